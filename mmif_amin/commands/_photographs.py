"""``mmif-amin fuse`` with a task of photographs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..exit_codes import SOME_FAILED
from ..options import REGISTER
from ..scripts.utils.checks import InputError

if TYPE_CHECKING:
    from ..fuser import Fuser
    from ..scripts.data.tasks import FusionTask

__all__ = ["fuse_photographs_of"]


def fuse_photographs_of(args: argparse.Namespace, task: FusionTask) -> int:
    """Fuse photographs, or folders of them with the same names."""
    from ..scripts.utils.enums import PhotographRegistration

    for option in args.declared.options:
        for_photographs = option.name == REGISTER.name or (option.pictures and not option.medical)
        if option.attribute in args.given and not for_photographs:
            raise InputError(f"--{option.name}: is for medical images, got the task {task.name}. Leave it out.")
    if args.register not in tuple(PhotographRegistration):
        known = ", ".join(PhotographRegistration)
        raise InputError(f"--register {args.register}: is for volumes; expected one of {known} for photographs.")
    sources = [Path(word) for word in (args.source_a, args.source_b, *args.more) if word is not None]
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: expected a photograph or a folder of them, found nothing there.")
    folders = [source.is_dir() for source in sources]
    if all(folders):
        return _fuse_folders(args, sources, task)
    if any(folders):
        raise InputError("Expected photographs or folders of them, got some of each.")
    return _fuse_one(args, sources, task)


def _fuse_one(args: argparse.Namespace, sources: list[Path], task: FusionTask) -> int:
    from ..photograph_files import PhotographJob, fuse_photograph_files

    if Path(args.output).is_dir():
        raise InputError(f"{args.output}: expected a file name for the fused photograph, found a folder.")
    job = PhotographJob(tuple(sources), Path(args.output), task, args.register, args.gray)
    job.check()
    for line in fuse_photograph_files(_fuser(args, task), job):
        print(line)
    return 0


def _fuse_folders(args: argparse.Namespace, folders: list[Path], task: FusionTask) -> int:
    from ..photograph_files import PhotographJob, fuse_photograph_jobs
    from ..photographs.merge import check_count
    from ..scripts.data.datalist import folder_pairs

    output = Path(args.output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: expected a folder for the fused photographs of folders, found a file.")
    check_count(len(folders), task)
    jobs = []
    for pairs in zip(*(folder_pairs(folders[0], folder, task.name) for folder in folders[1:]), strict=True):
        sources = (pairs[0]["source_a"], *(pair["source_b"] for pair in pairs))
        target = output / f"{pairs[0]['name']}.png"
        jobs.append(PhotographJob(tuple(map(Path, sources)), target, task, args.register, args.gray))
    for job in jobs:
        job.check()
    failed = fuse_photograph_jobs(_fuser(args, task), jobs)
    print(f"{len(jobs) - failed} fused into {output}, {failed} failed")
    return SOME_FAILED if failed else 0


def _fuser(args: argparse.Namespace, task: FusionTask) -> Fuser:
    from ..device import choose_device
    from ..fuser import load

    return load(args.weights, choose_device(args.device), args.runtime, args.precision, task=task)
