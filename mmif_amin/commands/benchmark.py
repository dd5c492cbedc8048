"""``mmif-amin benchmark``: compare methods on a data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command, Option, whole
from ..options import DATASET_DIR, OUTPUT, TASKS, TRACKING_URI, WEIGHTS
from ._comparison import METHOD, NO_CLASSICAL, SPLIT, SPLIT_FILE, data_of, methods_of

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "benchmark",
    "compare methods on a data set, probes included",
    options=(
        replace(OUTPUT, required=False, default="runs/benchmark"),
        DATASET_DIR,
        METHOD,
        SPLIT,
        SPLIT_FILE,
        TASKS,
        NO_CLASSICAL,
        Option(
            "lesions",
            "plant lesions and look for them: none, the standard kind, or all seven kinds (see detect)",
            "standard",
            choices=("none", "standard", "all"),
        ),
        Option("pairs", "pairs of each task in the HTML report", 3, parse=whole),
        WEIGHTS,
        replace(TRACKING_URI, default_text="none"),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Compare, print the tables, and say where everything is."""
    from ..benchmark.detection.planting import Planting
    from ..benchmark.run import benchmark
    from ..scripts.metrics.detection.lesions import KINDS, STANDARD

    folder = Path(args.output)
    kinds = {"none": (), "standard": (STANDARD,), "all": KINDS}[args.lesions]
    result = benchmark(
        output_dir=folder,
        methods=methods_of(args.method),
        weights=args.weights,
        classical=not args.no_classical,
        pairs=args.pairs,
        planting=Planting(kinds) if kinds else None,
        tracking_uri=args.tracking_uri,
        **data_of(args),
    )
    lesions = any(found.detection is not None for found in result.tasks.values())
    print((folder / "benchmark.md").read_text(encoding="utf-8"))
    for what, name in (
        ("report to look at", "benchmark.html"),
        ("tables", "benchmark.md"),
        ("everything, with intervals and tests", "benchmark.json"),
        ("one row an image and method", "metrics.csv"),
        *([("one row a method and kind of lesion", "detectability.csv")] if lesions else []),
        ("fused images", "fused"),
    ):
        print(f"{what}: {folder / name}")
    return 0
