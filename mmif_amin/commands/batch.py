"""``mmif-amin batch``: many studies, on one machine or many; a bad one does not stop the others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..declarations import Argument, Command, Option, whole
from ..options import OUTPUT, STUDY_OPTIONS, VOLUMES
from ..scripts.utils.checks import InputError
from ._studies import fuse_many_studies, told

if TYPE_CHECKING:
    from ..scripts.data.study import Study

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "batch",
    "fuse many studies, resumable",
    (Argument("studies", "STUDIES", "folder with one folder a study, a BIDS data set, or a CSV table"),),
    (
        replace(OUTPUT, help="folder: one folder a study, and batch.csv; of BIDS: a derivatives folder"),
        Option("part", "only part i of N, for an array of jobs; its table is batch_i_of_N.csv", metavar="i/N"),
        Option("merge", "fuse nothing: make batch.csv of the tables of N parts", parse=whole, metavar="N"),
        Option("engine", "local: one after the other; dask: many at once", "local", choices=("local", "dask")),
        Option("workers", "dask: processes on this machine", parse=whole, metavar="N", default_text="one a core"),
        Option("scheduler", "dask: address of a running scheduler", metavar="ADDRESS"),
        Option(
            "bids",
            "BIDS: where a modality lies, such as CT=ct/*_ct.nii.gz",
            repeat=True,
            metavar="MODALITY=PATTERN",
            default_text="MRI=anat/*_T1w.nii*, PET=pet/*_pet.nii*",
        ),
        *VOLUMES,
        *STUDY_OPTIONS,
    ),
)


def run(args: argparse.Namespace) -> int:
    """Find the studies and fuse them."""
    from ..batch.parts import Part, merge_tables

    if args.part is not None and args.merge is not None:
        raise InputError("--part and --merge: expected one of them. Merge when all parts have ended.")
    part = Part.parse(args.part) if args.part is not None else None
    engine = _engine(args)
    studies, folder, publish = _find(args)
    studies = [
        replace(study, volume_a=study.volume_a or args.volume_a, volume_b=study.volume_b or args.volume_b)
        for study in studies
    ]
    if args.merge is not None:
        return told(len(studies), folder, *merge_tables(studies, folder, args.merge))
    settings: dict[str, Any] = {**engine, "publish": publish}
    if part:
        studies, settings["table_name"] = part.of(studies), part.table_name
    return fuse_many_studies(studies, args, folder, **settings)


def _engine(args: argparse.Namespace) -> dict[str, Any]:
    """The engine that was asked for, as an argument of ``fuse_studies``; nothing for the default."""
    if args.engine != "dask":
        for option in ("workers", "scheduler"):
            if option in args.given:
                raise InputError(f"--{option}: is for --engine dask. Name that too, or leave it out.")
        return {}
    if args.workers is not None and args.scheduler:
        raise InputError("--workers and --scheduler: expected one of them; a running scheduler has its own workers.")
    if args.workers == 0:
        raise InputError("--workers 0: expected a number of processes, from 1.")
    try:
        from ..batch.cluster import DaskEngine
    except ImportError as error:
        raise InputError(
            f"--engine dask: expected the package dask, it is missing ({error}). Run: pip install 'mmif-amin[cluster]'"
        ) from error
    return {"engine": DaskEngine(args.workers, args.scheduler)}


def _find(args: argparse.Namespace) -> tuple[list[Study], Path, Callable | None]:
    """The studies, the folder for their results, and what publishes each."""
    from ..batch.bids import STUDIES, BidsDerivative, find_bids_studies, is_bids, parse_places
    from ..batch.find import find_studies

    source, output = Path(args.studies), Path(args.output)
    if is_bids(source):
        studies = find_bids_studies(source, parse_places(args.bids))
        return studies, output / STUDIES, BidsDerivative(source, output).publish
    if args.bids:
        raise InputError(f"--bids: is for a BIDS data set, {source} has no dataset_description.json. Leave it out.")
    if source.is_dir() and source.resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError(f"{args.output}: expected a folder outside of the studies', else it is taken for one itself.")
    return find_studies(source), output, None
