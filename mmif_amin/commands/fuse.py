"""``mmif-amin fuse``: two pictures, two folders of same-named files, or the two volumes of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..exit_codes import SOME_FAILED
from ..options import GRAY, OUTPUT, SERIES, STUDY_OPTIONS, Argument, Command
from ..scripts.utils.checks import InputError
from ._studies import fuse_many_studies, study_overrides

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "fuse",
    "fuse two images, volumes or folders of images",
    (
        Argument("source_a", "A", "structural image (MRI): picture, NIfTI, DICOM folder; or a folder of them"),
        Argument("source_b", "B", "CT, PET or SPECT; or a folder with the same names"),
    ),
    (OUTPUT, GRAY, *STUDY_OPTIONS, *SERIES),
)
DEFAULT_TASK = "CT-MRI"  # of pictures; it decides only how 16-bit pictures are scaled


def run(args: argparse.Namespace) -> int:
    """Find out what is to be fused, and fuse it."""
    from ..scripts.data.study import is_volume

    source_a, source_b = Path(args.source_a), Path(args.source_b)
    for source in (source_a, source_b):
        if not source.exists():
            raise InputError(f"{source}: expected an image, a volume or a folder, found nothing there.")
    volumes = [is_volume(source_a), is_volume(source_b)]
    if all(volumes):
        return _fuse_study(args)
    if any(volumes):
        raise InputError(f"{source_a} and {source_b}: expected two pictures or two volumes, got one of each.")
    if source_a.is_dir() != source_b.is_dir():
        raise InputError(f"{source_a} and {source_b}: expected two files or two folders, got one of each.")
    return _fuse_folders(args) if source_a.is_dir() else _fuse_pair(args)


def _fuse_study(args: argparse.Namespace) -> int:
    from ..scripts.data.study import Study
    from ..studies import fuse_study

    _refuse_given(args, "volumes", "pictures; volumes are written in gray and, with PET or SPECT, in color too")
    study = Study(args.source_a, args.source_b, task=args.task, series_a=args.series_a, series_b=args.series_b)
    for line in fuse_study(study, args.output, study_overrides(args)):
        print(line)
    return 0


def _fuse_pair(args: argparse.Namespace) -> int:
    from ..pictures import PictureJob, fuse_picture
    from ..scripts.data.datalist import modalities_of

    task = args.task or DEFAULT_TASK
    modalities_of(task)
    if Path(args.output).is_dir():
        raise InputError(f"{args.output}: expected a file name for the fused image, found a folder.")
    _refuse_given(args, "pictures", "volumes")
    job = PictureJob(Path(args.source_a), Path(args.source_b), Path(args.output), task)
    job.check_output()
    for path in fuse_picture(_fuser(args), job, args.gray, args.loss_map):
        print(path)
    return 0


def _fuse_folders(args: argparse.Namespace) -> int:
    from ..pictures import PictureJob, fuse_pictures
    from ..scripts.data.datalist import folder_pairs
    from ..scripts.data.study import Study, is_volume

    output, task = Path(args.output), args.task or DEFAULT_TASK
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: expected a folder for the fused images of two folders, found a file.")
    pairs = folder_pairs(args.source_a, args.source_b, task)
    if all(is_volume(pair["source_b"]) for pair in pairs):
        _refuse_given(args, "volumes", "pictures, or for one study", further=("series_a", "series_b"))
        studies = [Study(pair["source_a"], pair["source_b"], pair["name"]) for pair in pairs]
        return fuse_many_studies(studies, args)
    _refuse_given(args, "pictures", "volumes")
    jobs = [
        PictureJob(Path(pair["source_a"]), Path(pair["source_b"]), output / f"{pair['name']}.png", task)
        for pair in pairs
    ]
    for job in jobs:
        job.check_output()
    failed = fuse_pictures(_fuser(args), jobs, args.gray, args.loss_map)
    print(f"{len(jobs) - failed} fused into {output}, {failed} failed")
    return SOME_FAILED if failed else 0


def _fuser(args: argparse.Namespace):  # type: ignore[no-untyped-def]  # the type would import the network
    from ..device import choose_device
    from ..fuser import load

    return load(args.weights, choose_device(args.device), args.runtime, args.precision)


def _refuse_given(args: argparse.Namespace, kind: str, purpose: str, further: tuple[str, ...] = ()) -> None:
    """Refuse options that were given and mean nothing for what is fused, pictures or volumes."""
    for option in args.declared.options:
        if option.attribute in args.given and (not getattr(option, kind) or option.attribute in further):
            raise InputError(f"--{option.name}: is for {purpose}. Leave it out.")
