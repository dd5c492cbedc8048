"""``mmif-amin plant``: write pairs with planted lesions, for other methods to fuse."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command
from ..options import DATASET_DIR, OUTPUT, SEED, TASKS
from ._comparison import LESIONS, SPLIT, SPLIT_FILE, data_of, planting_of

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "plant",
    "plant lesions in one source of each pair, for other methods to fuse; see detect",
    options=(
        replace(OUTPUT, required=False, default="runs/planted"),
        DATASET_DIR,
        SPLIT,
        SPLIT_FILE,
        TASKS,
        *LESIONS,
        SEED,
    ),
)


def run(args: argparse.Namespace) -> int:
    """Write the pairs and the manifest."""
    from ..benchmark.detection.planting import MANIFEST, write_planted

    folder = Path(args.output)
    pairs = write_planted(output_dir=folder, planting=planting_of(args), **data_of(args))["pairs"]
    lesions = sum(len(pair.get("lesions", ())) for pair in pairs)
    print(f"{len(pairs)} pairs, {lesions} lesions: {folder}")
    print(f"where each lesion is: {folder / MANIFEST}")
    print("Fuse each pair into FUSED/TASK/NAME.png; then, with the same data, split, tasks, lesions, sets and seed:")
    print("mmif-amin detect --method NAME=FUSED")
    return 0
