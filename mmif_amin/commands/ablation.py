"""``mmif-amin ablation``: train without each part in turn."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command, Option, whole
from ..options import DATASET_DIR, OUTPUT, SAMPLE, SEED

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "ablation",
    "train without each part in turn, resumable",
    options=(
        replace(OUTPUT, required=False, default="runs/ablation"),
        replace(DATASET_DIR, many=False, help="datalist JSON, or folder in the Harvard layout", default=SAMPLE),
        Option("epochs", "budget of each variant", 8, parse=whole),
        SEED,
    ),
)


def run(args: argparse.Namespace) -> int:
    """Train every variant, and print the table."""
    from ..benchmark.ablation import ablation

    ablation(args.dataset_dir, args.output, args.epochs, args.seed)
    table = Path(args.output) / "ablation.md"
    print(table.read_text(encoding="utf-8"))
    print(f"table: {table}")
    return 0
