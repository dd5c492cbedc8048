"""``mmif-amin batch``: many studies, one after the other; a bad one does not stop the others."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..options import OUTPUT, STUDY_OPTIONS, Argument, Command
from ..scripts.utils.checks import InputError
from ._studies import fuse_many_studies

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "batch",
    "fuse many studies, resumable",
    (Argument("studies", "STUDIES", "folder with one folder a study, or a CSV table"),),
    (replace(OUTPUT, help="folder: one folder a study, and batch.csv"), *STUDY_OPTIONS),
)


def run(args: argparse.Namespace) -> int:
    """Find the studies and fuse them."""
    from ..batch.find import find_studies

    folder, output = Path(args.studies).resolve(), Path(args.output).resolve()
    if folder.is_dir() and folder in (output, *output.parents):
        raise InputError(f"{args.output}: expected a folder outside of the studies', else it is taken for one itself.")
    return fuse_many_studies(find_studies(args.studies), args)
