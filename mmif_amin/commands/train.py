"""``mmif-amin train``: train with the bundle's ``train.json``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .. import BUNDLE
from ..declarations import Command, Option
from ..options import CONFIG_FILE, DATASET_DIR, DEVICE, OUTPUT, SEED, TASKS, TRACKING_URI
from ..scripts.data.tasks import PHOTOGRAPHIC_TASKS
from ..scripts.utils.checks import InputError
from ._config_keys import config_overrides

__all__ = ["COMMAND", "run"]

OUTPUT_DIR = replace(OUTPUT, required=False, default="runs/train", key="output_dir")
KEYS = (
    OUTPUT_DIR,
    DATASET_DIR,
    TASKS,
    Option("epochs", "passes over the training pairs", 50, parse=int),
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
    files = [BUNDLE / "configs" / "train.json"]
    if set(args.task) & set(PHOTOGRAPHIC_TASKS):
        files.append(BUNDLE / "configs" / "photographs.json")
        overrides["task"] = _only(args.task)
        del overrides[TASKS.key]
    run_config([*files, *map(Path, args.config_file)], "run", overrides)
    print(f"best weights, log and pictures: {args.output}")
    return 0


def _only(tasks: Sequence[str]) -> str:
    """The one task of photographs; several are refused."""
    if len(tasks) > 1:
        raise InputError(
            f"--task: expected one task of photographs, whose weights are its own, got {' and '.join(tasks)}. Train "
            "one after the other."
        )
    return tasks[0]
