"""``mmif-amin fuse``: two pictures, two folders of same-named files, or the two volumes of a study."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..declarations import Argument, Command
from ..exit_codes import SOME_FAILED
from ..memory import quick_imports
from ..options import (
    ARCHIVE_OPTIONS,
    CARRY,
    COLORMAP,
    FROM,
    GRAY,
    OUTPUT,
    REGISTER,
    REGISTER_ANY,
    SCALE_BAR,
    SERIES,
    STUDY_OPTIONS,
    TRANSFORM,
)
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import PhotographRegistration, RegistrationKind
from ._studies import fuse_many_studies, headers_bar, study_overrides

if TYPE_CHECKING:
    from ..carry.writer import CarryWriter
    from ..fuser import Fuser
    from ..pictures import PictureColors
    from ..scripts.data.study import FoundStudy
    from ..scripts.handlers.study_writer import FurtherWriter

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "fuse",
    "fuse two images, volumes or folders of images",
    (
        Argument(
            "source_a",
            "A",
            "structural image (MRI): picture, NIfTI, DICOM folder; infrared photograph; a folder of them; an archive",
            optional=True,
        ),
        Argument(
            "source_b",
            "B",
            "CT, PET or SPECT; visible photograph; a folder with the same names; not for an archive",
            optional=True,
        ),
        Argument("more", "C", "further photographs of a focus stack or a bracket of exposures", many=True),
    ),
    (
        OUTPUT,
        GRAY,
        *(REGISTER_ANY if option is REGISTER else option for option in STUDY_OPTIONS),
        *SERIES,
        TRANSFORM,
        CARRY,
        SCALE_BAR,
        *ARCHIVE_OPTIONS,
    ),
    photographs=True,
)
_OF_ONE_STUDY = tuple(option.attribute for option in (*SERIES, TRANSFORM, CARRY, SCALE_BAR))
DEFAULT_TASK = "CT-MRI"  # of pictures; it decides only how 16-bit pictures are scaled


def run(args: argparse.Namespace) -> int:
    """Find out what is to be fused, and fuse it."""
    from ..archive.addresses import is_address
    from ..scripts.data.study import is_volume
    from ..scripts.data.tasks import PHOTOGRAPHIC_TASKS

    args.source_a = _first_source(args)
    if args.task in PHOTOGRAPHIC_TASKS:
        from ._photographs import fuse_photographs_of

        return fuse_photographs_of(args, PHOTOGRAPHIC_TASKS[args.task])
    _refuse_for_photographs(args)
    if is_address(args.source_a):
        return _fuse_from_archive(args)
    for option in ARCHIVE_OPTIONS:
        if option.attribute in args.given:
            raise InputError(f"--{option.name}: is for studies of an archive, dicomweb://HOST:PORT/PATH. Leave it out.")
    if args.source_b is None:
        raise InputError(
            "Expected two sources, got one. Name B, or an archive as A, such as dicomweb://HOST:PORT/PATH."
        )
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


def _first_source(args: argparse.Namespace) -> str:
    """A, which an archive may also be named as by --from."""
    from ..archive.addresses import parse_address

    archive = getattr(args, FROM.attribute)
    if archive is not None:
        parse_address(archive)
    words = [word for word in (args.source_a, archive) if word is not None]
    if len(words) != 1:
        got = "both" if words else "neither"
        raise InputError(f"Expected two sources A and B, or an archive as A or with --from, got {got}.")
    return str(words[0])


def _refuse_for_photographs(args: argparse.Namespace) -> None:
    """Refuse what only photographs have."""
    if args.more:
        raise InputError(
            f"Expected two medical images, got {2 + len(args.more)}. Several photographs need --task multi-focus or "
            "--task multi-exposure."
        )
    if args.register == PhotographRegistration.HOMOGRAPHY:
        raise InputError("--register homography: is for photographs, whose --task says so. Choose another one.")


def _fuse_study(args: argparse.Namespace) -> int:
    from ..scripts.data.study import Study, find_study
    from ..study_output import check_study_output

    _refuse_given(args, "volumes", "pictures; volumes are written in gray and, with PET or SPECT, in color too")
    chosen = {option.attribute: getattr(args, option.attribute) for option in SERIES}
    study = Study(args.source_a, args.source_b, task=args.task, same_patient=args.same_patient, **chosen)
    found = find_study(study, headers_bar)  # what headers decide is said before torch and MONAI are imported
    carry = _carry_writer(args, found)
    transform = _transform(args)
    check_study_output(study, args.output, args.dicom, args.loss_map or args.scale_bar or carry is not None)
    with quick_imports():
        from ..reports.preview import PreviewWriter
        from ..studies import fuse_study

    further: list[FurtherWriter] = [*([PreviewWriter()] if args.scale_bar else []), *([carry] if carry else [])]
    for line in fuse_study(study, args.output, {**study_overrides(args), "transform": transform}, found, further):
        print(line)
    for note in carry.notes if carry else ():
        print(f"carried: {note}")
    return 0


def _transform(args: argparse.Namespace) -> str | None:
    """The transform file; one that cannot be used is refused here, before the long work."""
    if args.transform is None:
        return None
    from ..scripts.transforms.registration.transform_file import check_transform_file

    if args.register != REGISTER.default:
        raise InputError(f"--transform: takes the place of a registration, got --register {args.register}. Drop one.")
    return str(check_transform_file(args.transform).resolve())


def _carry_writer(args: argparse.Namespace, found: FoundStudy) -> CarryWriter | None:
    """What carries structures along; files that cannot be used are refused here, before the long work."""
    if not args.carry:
        return None
    if args.register == RegistrationKind.DEFORMABLE:
        raise InputError("--carry: contours follow no deformation, got --register deformable. Drop one.")
    from ..carry.writer import CarryWriter

    carry = CarryWriter(args.carry, args.dicom)
    carry.check(found, args.transform is not None or args.register in tuple(RegistrationKind), args.same_patient)
    return carry


def _fuse_from_archive(args: argparse.Namespace) -> int:
    from ..archive.addresses import parse_address
    from ..archive.archives import open_archive
    from ..archive.dicomweb import WebArchive
    from ..archive.remote import check_output, fuse_from_archive, narrowed_rules
    from ..archive.rules import SHIPPED_RULES, read_rules
    from ..archive.tls import TlsFiles

    on_disk = (CARRY.attribute, SCALE_BAR.attribute, TRANSFORM.attribute)
    _refuse_given(args, "volumes", "pictures, or for a study on disk", further=on_disk)
    if args.source_b is not None or not args.study:
        raise InputError("An archive: expected --study UID and no B. Name a second study with --study once more.")
    for study in args.study:
        if not re.fullmatch(r"[0-9.]{1,64}", study):
            raise InputError(f"--study: expected a StudyInstanceUID, digits and points, got '{study}'.")
    check_output(Path(args.output))
    tls = TlsFiles(ca=args.ca or "")
    source = open_archive(parse_address(args.source_a), args.login, tls)
    if not isinstance(source, WebArchive):
        raise InputError(f"{args.source_a}: expected dicomweb[s]://HOST:PORT/PATH to read from; or see `listen`.")
    destination = open_archive(parse_address(args.to), args.login, tls) if args.to else None
    rules = narrowed_rules(read_rules(args.rules or SHIPPED_RULES), args.task, args.series_a, args.series_b)
    for line in fuse_from_archive(source, args.study, rules, Path(args.output), study_overrides(args), destination):
        print(line)
    return 0


def _fuse_pair(args: argparse.Namespace) -> int:
    from ..pictures import PictureJob, fuse_picture
    from ..scripts.data.tasks import task_of

    task = args.task or DEFAULT_TASK
    task_of(task)
    if Path(args.output).is_dir():
        raise InputError(f"{args.output}: expected a file name for the fused image, found a folder.")
    _refuse_given(args, "pictures", "volumes")
    job = PictureJob(Path(args.source_a), Path(args.source_b), Path(args.output), task)
    job.check_output()
    colors = _picture_colors(args)
    fuser = _fuser(args)
    for path in fuse_picture(fuser, job, colors, args.loss_map):
        print(path)
    _tell_refinement(fuser)
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
        _refuse_given(args, "volumes", "pictures, or for one study", further=_OF_ONE_STUDY)
        studies = [Study(pair["source_a"], pair["source_b"], pair["name"]) for pair in pairs]
        return fuse_many_studies(studies, args, output)
    _refuse_given(args, "pictures", "volumes")
    jobs = [
        PictureJob(Path(pair["source_a"]), Path(pair["source_b"]), output / f"{pair['name']}.png", task)
        for pair in pairs
    ]
    for job in jobs:
        job.check_output()
    colors = _picture_colors(args)
    fuser = _fuser(args)
    failed = fuse_pictures(fuser, jobs, colors, args.loss_map)
    _tell_refinement(fuser)
    print(f"{len(jobs) - failed} fused into {output}, {failed} failed")
    return SOME_FAILED if failed else 0


def _picture_colors(args: argparse.Namespace) -> PictureColors:
    """The colors that are asked for; a picture keeps its own unless a map is named."""
    from ..pictures import PictureColors

    named = args.colormap if COLORMAP.attribute in args.given else None
    colors = PictureColors(args.gray, named, args.lightness, args.scale_bar)
    colors.check()
    return colors


def _fuser(args: argparse.Namespace) -> Fuser:
    from ..device import choose_device
    from ..fuser import load

    return load(args.weights, choose_device(args.device), args.runtime, args.precision, args.refine, args.keep)


def _tell_refinement(fuser: Fuser) -> None:
    """Say what the refinement did, if there was one."""
    if fuser.refinement and (report := fuser.refinement.report()):
        print(report)


def _refuse_given(args: argparse.Namespace, kind: str, purpose: str, further: tuple[str, ...] = ()) -> None:
    """Refuse options that were given and mean nothing for what is fused, pictures or volumes."""
    for option in args.declared.options:
        if option.attribute in args.given and (not getattr(option, kind) or option.attribute in further):
            raise InputError(f"--{option.name}: is for {purpose}. Leave it out.")
