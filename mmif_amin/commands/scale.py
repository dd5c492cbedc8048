"""``mmif-amin scale``: what very many studies need, for several fleets of machines."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..declarations import Command, Option, whole
from ..memory import quick_imports
from ..options import TASK
from ..scripts.utils.checks import InputError

if TYPE_CHECKING:
    from ..scripts.data.study import Study

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "scale",
    "cores, hours, disk and archive load of very many studies",
    options=(
        Option("studies", "how many", 100000, parse=whole, metavar="N"),
        Option(
            "measured",
            "JSON that benchmarks/bench_batch.py --json wrote",
            metavar="FILE",
            default_text="the sample is measured now",
        ),
        Option("study", "two volumes of your own to measure now, such as MRI and PET", many=True, metavar="PATH"),
        replace(TASK, help="what the two are, such as PET-MRI", default_text="what DICOM and HU say"),
        Option(
            "fleet",
            "machines, such as ward=4x16x64: 4 with 16 cores and 64 GB each",
            repeat=True,
            metavar="NAME=MACHINESxCORESxGB",
            default_text="workstation, server, cluster",
        ),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Measure or read what one study takes, and print the table."""
    with quick_imports():
        from ..scale import FLEETS, Fleet, Measurement, measure, table

    if args.studies < 1:
        raise InputError(f"--studies {args.studies}: expected a number of studies, from 1.")
    fleets = [Fleet.parse(word) for word in args.fleet] or list(FLEETS)
    if args.measured is not None and args.study:
        raise InputError("--measured and --study: expected one of them.")
    one = Measurement.read(Path(args.measured)) if args.measured is not None else measure(_study(args))
    print(table(args.studies, one, fleets))
    return 0


def _study(args: argparse.Namespace) -> Study | None:
    """The study to measure; None for the sample."""
    from ..scripts.data.study import Study

    if not args.study:
        if args.task:
            raise InputError("--task: is for --study. Name that too, or leave it out.")
        return None
    if len(args.study) != 2:
        raise InputError(f"--study: expected two volumes, such as an MRI and a PET, got {len(args.study)}.")
    source_a, source_b = args.study
    return Study(source_a, source_b, task=args.task)
