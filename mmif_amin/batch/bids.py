"""Data sets in the Brain Imaging Data Structure: finding their studies, and a derivatives folder of the results."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from .. import __version__
from ..scripts.data.study import Study
from ..scripts.data.study_report import NOTICE
from ..scripts.data.tasks import MEDICAL
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import Modality
from ..scripts.utils.files import NIFTI_SUFFIXES, write_atomically
from .table import Row

__all__ = ["STUDIES", "BidsDerivative", "find_bids_studies", "is_bids", "parse_places"]

DESCRIPTION = "dataset_description.json"
BIDS_VERSION = "1.9.0"
STUDIES = "studies"  # folder in the derivatives for what has no place in BIDS: reports, transforms, the table
PLACES = {Modality.MRI: "anat/*_T1w.nii*", Modality.PET: "pet/*_pet.nii*"}
README = """These images were fused by mmif-amin from the images that the field Sources of their JSON files names.

Each lies on the voxel grid of its MRI and shows both sources in one image; values go from 0 to 1. Files named
"color" are RGB. `studies/` holds the report, the sources and the transform of each pair, and the table batch.csv.
"""


def is_bids(folder: Path) -> bool:
    """Whether a folder is a data set in BIDS: it has its description and at least one subject."""
    return (folder / DESCRIPTION).is_file() and any(folder.glob("sub-*"))


def parse_places(words: Sequence[str]) -> dict[Modality, str]:
    """Read where modalities lie in the folder of a subject or session.

    Args:
        words: such as ``"CT=ct/*_ct.nii.gz"``; the others stay ``PLACES``.

    Raises:
        InputError: When a word is not of that form, or its modality is not known or named before.
    """
    named: dict[Modality, str] = {}
    for word in words:
        modality, _, pattern = word.partition("=")
        if modality not in MEDICAL or not _is_pattern(pattern):
            raise InputError(
                f"--bids {word}: expected MODALITY=PATTERN with one of {', '.join(MEDICAL)} and a pattern in the "
                "folder of a subject or session, such as CT=ct/*_ct.nii.gz."
            )
        if modality in named:
            raise InputError(
                f"--bids {word}: expected each modality once, {modality} is {named[Modality(modality)]} already."
            )
        named[Modality(modality)] = pattern
    return {**PLACES, **named}


def _is_pattern(word: str) -> bool:
    """Whether a word is a pattern of files below a folder."""
    if not word or word.startswith("/") or ".." in word:
        return False
    try:
        any(Path(os.devnull).glob(word))
    except (ValueError, IndexError, NotImplementedError):  # what pathlib raises differs between versions of Python
        return False
    return True


def find_bids_studies(root: Path, places: Mapping[Modality, str]) -> list[Study]:
    """Find the pairs of a BIDS data set: each PET (CT, SPECT) with the MRI of its session, or of its subject.

    Args:
        root: folder with ``dataset_description.json``.
        places: modality to a pattern in the folder of a subject or session.

    Returns:
        The studies, by subject. Each has the name of its MRI, with ``desc-fusedPET`` (or the other modality) and those
        entities of the other image that the MRI's name does not have. One warning names the images that have no MRI,
        one those that have several, of which the first is taken; one each place of the user's where nothing is.

    Raises:
        InputError: When no pair is found, or two would have one name.
    """
    studies, alone, several = [], [], []
    for subject in sorted((path for path in root.glob("sub-*") if path.is_dir()), key=lambda path: path.name):
        for modality, other, images in _to_fuse(subject, places):
            if not images:
                alone.append(other)
                continue
            if len(images) > 1:
                several.append(other)
            studies.append(Study(str(images[0]), str(other), _name(images[0], other, modality), f"{modality}-MRI"))
    for paths, what in (
        (alone, f"no MRI of the same subject at {places[Modality.MRI]}, left out"),
        (several, f"several MRI at {places[Modality.MRI]}, the first is taken; choose with --bids MRI=PATTERN"),
    ):
        if paths:
            names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
            warnings.warn(f"{len(paths)} images have {what}: {names}", stacklevel=2)
    if not studies:
        raise InputError(
            f"{root}: expected an MRI and another image of one subject, at {', '.join(map(str, places.values()))} in "
            "the folder of a subject or session, found none. Say where they are, such as --bids CT=ct/*_ct.nii.gz."
        )
    for modality, pattern in places.items():
        there = (path for level in ("sub-*", "sub-*/ses-*") for path in root.glob(f"{level}/{pattern}"))
        if pattern != PLACES.get(modality) and not any(there):
            warnings.warn(f"--bids {modality}={pattern}: no subject or session has a file there", stacklevel=2)
    counts = Counter(study.name for study in studies)
    twice = [study.source_b for study in studies if counts[study.name] > 1]
    if twice:
        raise InputError(
            f"{root}: expected images whose names differ, {' and '.join(twice[:2])} would get one name. Choose with "
            "--bids MODALITY=PATTERN."
        )
    return studies


class BidsDerivative:
    """A BIDS derivatives folder for fused images.

    It holds each fused image under a BIDS name beside a JSON file that names its sources. Everything else of a study
    stays in ``studies/NAME``, which ``.bidsignore`` names. The images are hard links, or copies where the disk has no
    links.

    Args:
        root: the data set that the studies come from.
        output: the derivatives folder; it is made.

    Raises:
        InputError: When ``output`` is a data set that another program made, or cannot be written.
    """

    def __init__(self, root: Path, output: Path) -> None:
        self.root, self.output = root.absolute(), output.absolute()
        self._refuse_foreign()
        description = {
            "Name": "Fused images",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "mmif-amin", "Version": __version__}],
            "DatasetLinks": {"raw": Path(os.path.relpath(self.root, self.output)).as_posix()},
        }
        for name, text in (
            (DESCRIPTION, json.dumps(description, indent=4) + "\n"),
            (".bidsignore", f"{STUDIES}/\n"),
            ("README", README),
        ):
            _write(self.output / name, text)

    def publish(self, study: Study, row: Row) -> None:
        """Put the fused images of a study under their BIDS names.

        Raises:
            InputError: When they cannot be written.
        """
        made = self.output / STUDIES / row.name
        sources = [Path(path).absolute().relative_to(self.root) for path in (study.source_a, study.source_b)]
        folder = self.output / sources[0].parent
        stem, suffix = study.name.rsplit("_", 1)
        modality = str(study.task).partition("-")[0]
        for file, color in (("fused.nii.gz", ""), ("fused_color.nii.gz", "color")):
            if not (made / file).is_file():
                continue
            target = folder / f"{stem}{color}_{suffix}.nii.gz"
            sidecar = {
                "Description": f"MRI and {modality} fused into one image{' in colors' if color else ''}. {NOTICE}",
                "Sources": [f"bids:raw:{path.as_posix()}" for path in sources],
                "SkullStripped": False,
            }
            write_atomically(target, partial(_link, made / file))
            _write(
                target.with_name(target.name.removesuffix(".nii.gz") + ".json"), json.dumps(sidecar, indent=4) + "\n"
            )

    def _refuse_foreign(self) -> None:
        path = self.output / DESCRIPTION
        if not path.exists():
            return
        try:
            makers = [maker.get("Name") for maker in json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            makers = []
        if makers != ["mmif-amin"]:
            raise InputError(
                f"{self.output}: expected a new folder or one that mmif-amin made, found another data set. Choose "
                "another output, such as derivatives/mmif-amin."
            )


def _to_fuse(subject: Path, places: Mapping[Modality, str]) -> Iterator[tuple[Modality, Path, list[Path]]]:
    """Each image of a subject that is no MRI, its modality, and the MRI that it may be fused with."""
    folders = [subject, *sorted(path for path in subject.glob("ses-*") if path.is_dir())]
    mri = {folder: _images(folder, places[Modality.MRI]) for folder in folders}
    for modality in (modality for modality in places if modality is not Modality.MRI):
        for folder in folders:
            for image in _images(folder, places[modality]):
                yield modality, image, mri[folder] or [path for paths in mri.values() for path in paths]


def _images(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.name.endswith(NIFTI_SUFFIXES))


def _entities(path: Path) -> tuple[list[str], str]:
    """Entities (``"ses-a"``) and suffix (``"T1w"``) of a BIDS name."""
    *entities, suffix = path.name.partition(".")[0].split("_")
    return entities, suffix


def _name(mri: Path, other: Path, modality: Modality) -> str:
    """BIDS name, without its ending, of what the two are fused into."""
    entities, suffix = _entities(mri)
    label = "".join(x for entity in _entities(other)[0] if entity not in entities for x in entity if x.isalnum())
    return "_".join([*(e for e in entities if not e.startswith("desc-")), f"desc-fused{modality}{label}", suffix])


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _link(source: Path, target: Path) -> None:
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
