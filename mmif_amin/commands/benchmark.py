"""``mmif-amin benchmark``: compare methods on a data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..options import DATASET_DIR, OUTPUT, SAMPLE, TASKS, TRACKING_URI, WEIGHTS, Command, Option, whole
from ..scripts.utils.checks import InputError

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "benchmark",
    "compare methods on a data set, probes included",
    options=(
        replace(OUTPUT, required=False, default="runs/benchmark"),
        DATASET_DIR,
        Option("method", "another method's images: TASK/NAME.png", metavar="NAME=DIR", repeat=True),
        Option("split", "which pairs", "validation", choices=("training", "validation", "all")),
        TASKS,
        Option("no-classical", "leave the classical rules out, but the average", False, flag=True),
        Option("pairs", "pairs of each task in the HTML report", 3, parse=whole),
        WEIGHTS,
        replace(TRACKING_URI, default_text="none"),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Compare, print the tables, and say where everything is."""
    from ..benchmark.run import benchmark

    folder, data = Path(args.output), args.dataset_dir or [SAMPLE]
    benchmark(
        data[0] if len(data) == 1 else data,
        folder,
        _methods(args.method),
        split=None if args.split == "all" else args.split,
        tasks=args.task or None,
        weights=args.weights,
        classical=not args.no_classical,
        pairs=args.pairs,
        tracking_uri=args.tracking_uri,
    )
    print((folder / "benchmark.md").read_text(encoding="utf-8"))
    for what, name in (
        ("report to look at", "benchmark.html"),
        ("tables", "benchmark.md"),
        ("everything, with intervals and tests", "benchmark.json"),
        ("one row an image and method", "metrics.csv"),
        ("fused images", "fused"),
    ):
        print(f"{what}: {folder / name}")
    return 0


def _methods(words: list[str]) -> dict[str, str]:
    """Folders of the methods by name."""
    methods: dict[str, str] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not (name and folder):
            raise InputError(f"--method {word}: expected NAME=FOLDER, such as CDDFuse=results/cddfuse.")
        if name in methods:
            raise InputError(f"--method {word}: the name {name} is given twice. Choose another one.")
        methods[name] = folder
    return methods
