"""``mmif-amin ablation``: train without each part in turn."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command, Option, whole
from ..options import DATASET_DIR, OUTPUT, SAMPLE

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "ablation",
    "train without each part in turn, resumable",
    options=(
        replace(OUTPUT, required=False, default="runs/ablation"),
        replace(DATASET_DIR, many=False, help="datalist JSON, or folder in the Harvard layout", default=SAMPLE),
        Option("epochs", "budget of each training", 8, parse=whole),
        Option("seeds", "trainings of each variant, with the seeds 0, 1, ...", 2, parse=whole),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Train every variant, and print the table."""
    from ..benchmark.ablation.run import ablation

    ablation(args.dataset_dir, args.output, args.epochs, args.seeds)
    table = Path(args.output) / "ablation.md"
    print(table.read_text(encoding="utf-8"))
    print(f"table: {table}")
    return 0
