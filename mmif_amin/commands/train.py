"""``mmif-amin train``: train with the bundle's ``train.json``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .. import BUNDLE
from ..options import CONFIG_FILE, DATASET_DIR, DEVICE, OUTPUT, SEED, TASKS, TRACKING_URI, Command, Option
from ._config_keys import config_overrides

__all__ = ["COMMAND", "run"]

OUTPUT_DIR = replace(OUTPUT, required=False, default="runs/train", key="output_dir")
KEYS = (
    OUTPUT_DIR,
    DATASET_DIR,
    TASKS,
    Option("epochs", "passes over the training pairs", 60, parse=int),
    SEED,
    DEVICE,
    replace(TRACKING_URI, default_text="mlruns.db in OUT"),
)
COMMAND = Command(
    "train",
    "train; any further --key value overrides that key of train.json",
    options=(*KEYS, CONFIG_FILE),
    takes_config_keys=True,
)


def run(args: argparse.Namespace) -> int:
    """Train; a run that was interrupted goes on where it was."""
    from ..output_links import check_links
    from ..workflow import run_config

    check_links(args.output)
    overrides = {"output_dir": args.output, **config_overrides(args, KEYS)}
    run_config([BUNDLE / "configs" / "train.json", *map(Path, args.config_file)], "run", overrides)
    print(f"best weights, log and pictures: {args.output}")
    return 0
