"""``mmif-amin scale``: what very many studies need, for several fleets of machines."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..declarations import Command, Option, whole
from ..scripts.utils.checks import InputError

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
    from ..scale import FLEETS, Fleet, Measurement, measure, table

    if args.studies < 1:
        raise InputError(f"--studies {args.studies}: expected a number of studies, from 1.")
    fleets = [Fleet.parse(word) for word in args.fleet] or list(FLEETS)
    one = Measurement.read(Path(args.measured)) if args.measured else measure()
    print(table(args.studies, one, fleets))
    return 0
