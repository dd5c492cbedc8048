"""Reading files of structures, and writing them on the fusion grid beside the fused volume."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dicom_objects.writer import FOLDER as OBJECTS
from ..scripts.data.nifti import write_nifti
from ..scripts.data.study import FoundStudy
from ..scripts.data.volume import Volume
from ..scripts.dicom.header import blaming, is_dicom, read_dataset, require
from ..scripts.dicom.patient import Patient
from ..scripts.dicom.privacy import public_text, quiet_pydicom
from ..scripts.utils.checks import InputError, in_words
from ..scripts.utils.enums import SourceKeys, StudyKeys
from .contours import read_contours
from .segments import read_segments, segmentation_object
from .structures import DrawnFile, carry_to_grid, share_outside

__all__ = ["CarryWriter", "drawn_on", "read_drawn"]

FOLDER = "carried"
TABLE = "carried.json"
LONGEST_NAME = 40  # letters of a structure's name in the name of its file
CONTOURS, SEGMENTS, LABELS = (  # SOP classes: RT Structure Set, Segmentation, Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
)


@quiet_pydicom()
def read_drawn(path: str | os.PathLike) -> DrawnFile:
    """Read a file of structures: an RT Structure Set or a DICOM SEG.

    Raises:
        InputError: When it is not there, not one of the two, damaged, or holds no structure.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected an RTSTRUCT or a DICOM SEG to carry, found {found} there.")
    header = None
    if is_dicom(path):
        with blaming(path):
            header = read_dataset(path)
            kind = str(header.get("SOPClassUID", ""))
    if header is None or kind not in (CONTOURS, SEGMENTS, LABELS):
        named = "another kind of file" if header is None else require("pydicom").uid.UID(kind).name
        got = named or "DICOM that does not say its class"
        raise InputError(f"{path}: expected an RTSTRUCT or a DICOM SEG to carry, got {got}.")
    with blaming(path):
        return read_contours(path, header) if kind == CONTOURS else read_segments(path, header)


def drawn_on(drawn: DrawnFile, frames: Sequence[str], series: Sequence[str], moved: bool) -> int:
    """On which source the structures of a file were drawn: 0 for A, 1 for B.

    The frame of reference decides it, and where both sources share it, the series that the file names. A file without a
    frame of reference must name a series of the two.

    Args:
        drawn: the file.
        frames: FrameOfReferenceUID of A and of B, empty where there is none.
        series: SeriesInstanceUID of A and of B, empty where there is none.
        moved: whether the one was registered to the other.

    Raises:
        InputError: When it is the frame of neither source, or no series of the two is named where one must be.
    """
    named = [k for k in (0, 1) if series[k] and series[k] in drawn.series]
    if not drawn.frame:
        if named:
            return named[0]
        raise InputError(
            f"{drawn.path}: names no frame of reference and no series of the two sources. Carry a file that was drawn "
            "on one of them."
        )
    fitting = [k for k in (0, 1) if frames[k] == drawn.frame]
    if not any(frames):
        raise InputError(
            f"{drawn.path}: its structures lie in a DICOM frame of reference, which neither source names. Fuse the "
            "DICOM series that they were drawn on."
        )
    if not fitting:
        raise InputError(
            f"{drawn.path}: expected the frame of reference of source A or B, its structures lie in another one "
            f"({drawn.frame}). Carry a file that was drawn on one of the two series."
        )
    chosen = [k for k in fitting if k in named] or fitting
    if len(chosen) > 1 and moved and not named:
        raise InputError(
            f"{drawn.path}: both sources share its frame of reference, one of them was registered, and the file names "
            "no series of the two. Choose one that was drawn on source A or B."
        )
    return chosen[0]


class CarryWriter:
    """Writes each structure as a label volume on the fusion grid, and with DICOM each file as a SEG.

    Into ``carried/``: ``01_<name>.nii.gz`` (1 inside, 0 outside), ... and ``carried.json``, which says from which file
    and source each comes, how large it is, and how much of it lies outside the grid. A name that names the patient is
    left out of all of them.

    Args:
        files: RTSTRUCT and SEG files.
        dicom: whether to write SEG too. Defaults to False.

    Raises:
        InputError: When a file cannot be used.
    """

    def __init__(self, files: Sequence[str | os.PathLike], dicom: bool = False) -> None:
        self.drawn = [read_drawn(file) for file in files]
        self.dicom = dicom
        self.notes: list[str] = []

    def check(self, found: FoundStudy, moved: bool, same_patient: bool = False) -> None:
        """Refuse files that were drawn on neither source or name another patient, before the long work.

        Args:
            found: the study.
            moved: whether it is known already that the one is moved to the other.
            same_patient: whether two ids, names or birth dates are known to be one person's. Defaults to False.

        Raises:
            InputError: See :func:`drawn_on`, or when the patient is another one; it names the tags, never their values.
        """
        opened = [source.opened for source in (found.a, found.b)]
        frames = [one.series.frame_uid if one else "" for one in opened]
        series = [one.series.uid if one else "" for one in opened]
        for drawn in self.drawn:
            source = opened[drawn_on(drawn, frames, series, moved)]
            differs_in = Patient.of(drawn.header).differs_in(source.series.identity) if source else ()
            if differs_in and not same_patient:
                raise InputError(
                    f"{drawn.path}: expected structures of the sources' patient, they differ in "
                    f"{in_words(differs_in)}. Choose another file, or, if both are one person's, say so with "
                    "--same-patient."
                )

    @quiet_pydicom()
    def __call__(self, folder: Path, study: Mapping[str, Any]) -> None:
        """Write all of it; ``notes`` then says what was left out or cut.

        Args:
            folder: of the study.
            study: see ``StudyWriter``.

        Raises:
            InputError: When a file was drawn on neither source, or nothing of it lies on the fusion grid.
        """
        (folder / FOLDER).mkdir()
        rows: list[dict[str, Any]] = []
        for number, drawn in enumerate(self.drawn, start=1):
            rows += self._write(folder, study, drawn, number, sum(row["volume"] is not None for row in rows))
        self.notes = [f"file {k}: {note}" for k, drawn in enumerate(self.drawn, start=1) for note in drawn.notes]
        self.notes += [
            f"file {row['file']}: {row['name']}: {row['ml_outside']:g} of {row['ml_drawn']:g} ml lie outside the grid"
            for row in rows
            if row["ml_outside"]
        ]
        text = json.dumps({"structures": rows, "notes": self.notes}, indent=4) + "\n"
        (folder / FOLDER / TABLE).write_text(text, encoding="utf-8")

    def _write(
        self, folder: Path, study: Mapping[str, Any], drawn: DrawnFile, number: int, before: int
    ) -> list[dict[str, Any]]:
        files: list[Volume] = [study[StudyKeys.SOURCE_A_FILE], study[StudyKeys.SOURCE_B_FILE]]
        frames, series = (
            [str(file.headers[0].get(keyword) or "") if file.headers else "" for file in files]
            for keyword in ("FrameOfReferenceUID", "SeriesInstanceUID")
        )
        registration = study.get(StudyKeys.SOURCE_B_REGISTRATION)
        source = drawn_on(drawn, frames, series, registration is not None)
        matrix = np.array(registration.matrix) if registration and source == 1 else np.eye(4)
        warning = registration.warning if registration else ""
        affine = study[SourceKeys.SOURCE_A].affine.numpy()
        shape = tuple(study[SourceKeys.SOURCE_A].shape[1:])
        rows: list[dict[str, Any]] = []
        masks: list[np.ndarray] = []
        kept = []
        for structure in drawn.structures:
            mask = carry_to_grid(structure, affine, shape, matrix)
            label = _public(structure.name, drawn, files)
            voxels = int(mask.sum())
            row: dict[str, Any] = {"file": number, "source": "AB"[source], "name": label, "volume": None}
            row |= {"voxels": voxels, "ml": round(voxels * _voxel(affine), 3)}
            row["ml_drawn"] = round(float(structure.share.sum()) * _voxel(structure.affine), 3)
            row["ml_outside"] = round(share_outside(structure, affine, shape, matrix) * _voxel(structure.affine), 3)
            if mask.any():
                place = before + len(masks) + 1
                row["volume"] = "_".join(filter(None, (f"{place:02d}", _slug(label)))) + ".nii.gz"
                write_nifti(folder / FOLDER / row["volume"], mask[None], affine, warning)
                masks.append(mask)
                kept.append(replace(structure, name=label))
            rows.append(row)
        if not masks:
            raise InputError(f"{drawn.path}: nothing of its structures lies on the fusion grid. Is it of this study?")
        if self.dicom:
            (folder / OBJECTS).mkdir(exist_ok=True)
            made = segmentation_object(masks, kept, affine, files[0], number)
            made.save_as(folder / OBJECTS / f"carried_{number:02d}.dcm", enforce_file_format=True)
        return rows


def _voxel(affine: np.ndarray) -> float:
    """Volume of a voxel, ml."""
    return abs(float(np.linalg.det(affine[:3, :3]))) / 1000


def _public(name: str, drawn: DrawnFile, files: Sequence[Volume]) -> str:
    """The name of a structure, or a remark in its place where it names the patient."""
    for header in (drawn.header, *(file.headers[0] for file in files if file.headers)):
        name = public_text(name, header)
    return name


def _slug(name: str) -> str:
    """Letters and digits of a name, for a file's name; empty for a remark."""
    return "" if name.startswith("(") else re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:LONGEST_NAME]
