"""What the commands share that fuse volumes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..declarations import overrides_of
from ..exit_codes import SOME_FAILED
from ..memory import quick_imports
from ..options import LOSS_MAP, NETWORK_OPTIONS, VOLUME_OPTIONS, WEIGHTS
from ..scripts.utils.checks import InputError

if TYPE_CHECKING:
    from ..scripts.data.study import Study

__all__ = ["fuse_many_studies", "headers_bar", "study_overrides"]


def study_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Overrides of ``inference_volume.json`` that the options of a command stand for.

    ``--runtime auto`` runs the shipped weights in PyTorch, which is faster than ONNX Runtime and which volumes import
    anyway.

    Raises:
        InputError: When the weights, the device or the runtime cannot be used, or there is no DICOM to de-identify.
    """
    if args.deidentify and not args.dicom:
        raise InputError("--deidentify: is for DICOM output, no other file names the patient. Add --dicom.")
    import torch

    from ..device import choose_device
    from ..dicom_objects.deidentify import Deidentifier
    from ..fuser import load
    from ..scripts.inferers.contract import choose_runtime
    from ..scripts.utils.enums import Runtime

    device = choose_device(args.device)
    wanted = Runtime.TORCH if args.runtime == Runtime.AUTO and args.weights is None else args.runtime
    runtime, _ = choose_runtime(args.weights, device, wanted, args.precision)
    load(
        args.weights, device, runtime, args.precision, args.refine, args.keep
    )  # refuses what cannot be used before the long work
    overrides = overrides_of(args, (*VOLUME_OPTIONS, *NETWORK_OPTIONS, LOSS_MAP, WEIGHTS))
    further = {"further": [Deidentifier()]} if args.deidentify else {}
    return {**overrides, "device": torch.device(device), "runtime": str(runtime), **further}


def headers_bar(files: list[Path]) -> Iterable[Path]:
    """Progress of reading headers, shown where it takes longer than a moment."""
    from tqdm import tqdm

    return tqdm(files, desc="headers", unit="file", delay=1, leave=False)


def fuse_many_studies(studies: Sequence[Study], args: argparse.Namespace, output: Path, **settings: Any) -> int:
    """Fuse studies into folders of their names, and say how many failed.

    Args:
        studies: the studies.
        args: parsed arguments with ``STUDY_OPTIONS``.
        output: folder for the results.
        **settings: further arguments of ``fuse_studies``.
    """
    with quick_imports():
        from ..batch.run import fuse_studies

    return told(len(studies), output, *fuse_studies(studies, output, args.task, study_overrides(args), **settings))


def told(count: int, output: Path, failed: int, table: Path) -> int:
    """Say how many of ``count`` studies failed; returns the exit code."""
    print(f"{count - failed} of {count} studies fused into {output}; report: {table}")
    return SOME_FAILED if failed else 0
