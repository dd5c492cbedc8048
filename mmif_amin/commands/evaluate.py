"""``mmif-amin evaluate``: metrics of weights, or of another method's fused images, on a data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .. import BUNDLE
from ..declarations import Command, Option
from ..options import CONFIG_FILE, DATASET_DIR, DEVICE, OUTPUT, SAMPLE, TASKS, TRACKING_URI, WEIGHTS
from ..output_links import check_links
from ..scripts.utils.checks import InputError
from ._comparison import SPLIT_FILE
from ._config_keys import config_overrides

__all__ = ["COMMAND", "run"]

OUTPUT_DIR = replace(OUTPUT, required=False, default="runs/evaluate", key="output_dir")
SPLIT = Option("split", "which pairs", "validation", choices=("training", "validation"))
DATA_KEYS = (OUTPUT_DIR, DATASET_DIR, TASKS, SPLIT, SPLIT_FILE)
KEYS = (*DATA_KEYS, WEIGHTS, DEVICE, replace(TRACKING_URI, default_text="mlruns.db in OUT"))
COMMAND = Command(
    "evaluate",
    "metrics on a data set; any further --key value overrides that key of the configs",
    options=(
        *KEYS,
        CONFIG_FILE,
        Option("fused", "another method's images: DIR/TASK/NAME.png or DIR/NAME.png", metavar="DIR"),
    ),
    takes_config_keys=True,
)


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the table."""
    folder = Path(args.output)
    check_links(folder)
    if args.fused is None:
        _evaluate_weights(args)
    else:
        _evaluate_images(args)
    print((folder / "metrics.md").read_text(encoding="utf-8"))
    print(f"one row an image: {folder / 'metrics.csv'}")
    if args.fused is None:
        print(f"contact sheet: {folder / 'examples' / 'sheet.png'}")
    return 0


def _evaluate_weights(args: argparse.Namespace) -> None:
    from ..workflow import run_config

    configs = [BUNDLE / "configs" / name for name in ("train.json", "evaluate.json")]
    overrides = {"output_dir": args.output, **config_overrides(args, KEYS)}
    run_config([*configs, *map(Path, args.config_file)], "run", overrides)


def _evaluate_images(args: argparse.Namespace) -> None:
    from ..benchmark.folders import evaluate_fused

    allowed = [option.name for option in DATA_KEYS]
    taken = {option.attribute for option in DATA_KEYS} | {"fused"}
    other = sorted(
        [name.replace("_", "-") for name in args.given - taken] + [w[2:] for w in args.rest if w[:2] == "--"]
    )
    if other:
        raise InputError(f"--{other[0]}: with --fused the options are --{', --'.join(allowed)}.")
    options = {"dataset_dir": SAMPLE, "split": args.split, "tasks": None, **config_overrides(args, DATA_KEYS)}
    evaluate_fused(args.fused, **{**options, "output_dir": args.output})
