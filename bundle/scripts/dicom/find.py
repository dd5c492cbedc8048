"""Finding DICOM images in a folder: whether there are any, and which series they make."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..utils.checks import InputError
from .frames import with_shared_groups
from .header import blaming, collecting_no_garbage, files_in, is_dicom, is_localizer, read_if_dicom, require, values_of
from .patient import IDENTITY_TAGS, Patient, number_patients
from .privacy import public_text, quiet_pydicom
from .several import PRIVATE_TELLING_TAGS, TELLING_TAGS
from .tiles import CSA_TAGS, TILE_TAGS, is_tiled

__all__ = ["PART_OF_UID", "Scan", "Series", "is_dicom_folder", "list_series", "scan_folder"]

SCANNED_TAGS: tuple[str | int, ...] = (
    *IDENTITY_TAGS,
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "StudyDate",
    "FrameOfReferenceUID",
    "BodyPartExamined",
    "CorrectedImage",
    "AttenuationCorrected",
    "InstanceNumber",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "BurnedInAnnotation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "DetectorInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *TELLING_TAGS,
    *PRIVATE_TELLING_TAGS,
    *TILE_TAGS,
)
PLACING_TAGS = ("ImagePositionPatient", "PerFrameFunctionalGroupsSequence", "DetectorInformationSequence")
PART_OF_UID = 6  # characters of a UID that name a series; fewer are a series number
MOST_UID = 64  # characters
Progress = Callable[[list[Path]], Iterable[Path]]


@dataclass
class Series:
    """One series of images.

    Args:
        uid: SeriesInstanceUID.
        modality: as the element has it: ``"MR"``, ``"CT"``, ``"PT"``, ``"NM"``, ...
        number: SeriesNumber, None where there is none.
        description: SeriesDescription, unless it names the patient.
        files: its files, sorted by name.
        images: how many slices they hold together.
        size: columns and rows of the first one.
        spacing: its pixel spacing, mm: along a row, along a column; empty where the element is missing.
        localizer: whether every image is a localizer (scout).
        picture: whether no image is gray and placed in space: a screenshot, a report, a map in color.
        uncorrected: whether it is a PET or SPECT that says that its attenuation is not corrected.
        date: StudyDate as ``"2024-01-31"``, empty where there is none.
        body_part: BodyPartExamined.
        identity: whose series it is; it prints nothing.
        frame_uid: FrameOfReferenceUID, empty where there is none.
        headers: what a scan reads of each file, in the order of ``files``.
        frame: ``"F1"``, ``"F2"``, ...: the same for series of one frame of reference; empty where there is none.
        patient: ``"P1"``, ``"P2"``, ...: the same for series whose patient no tag tells apart.
        name: how ``--series-a`` names it: by its number, or, if that is missing or not its own, by the end of its UID.
    """

    uid: str
    modality: str
    number: int | None
    description: str
    files: tuple[Path, ...]
    images: int
    size: tuple[int, int]
    spacing: tuple[float, ...]
    localizer: bool
    picture: bool
    uncorrected: bool
    date: str
    body_part: str
    identity: Patient
    frame_uid: str
    headers: tuple[Any, ...] = field(repr=False)
    frame: str = ""
    patient: str = "P1"
    name: str = ""

    def __str__(self) -> str:
        spacing = "x".join(f"{s:g}" for s in self.spacing) + " mm" if self.spacing else "no pixel spacing"
        kind = self.modality + (" localizer" if self.localizer else " picture" if self.picture else "")
        place = ", ".join([self.patient, self.date or "no date", self.frame or "no frame of reference"])
        return (
            f"{'-' if self.number is None else self.number}: {kind}, {self.images} images of "
            f"{self.size[0]}x{self.size[1]}, {spacing}, {place}, '{self.description}', UID {self.uid}"
        )


@dataclass
class Scan:
    """What a folder holds, from its headers, which are read once.

    Args:
        path: the folder, or the file.
        series: its series of images, by number.
        unreadable: what is wrong with each file that cannot be used: it is damaged, or locked.
    """

    path: Path
    series: list[Series]
    unreadable: dict[Path, str]

    def passed_over(self) -> str:
        """How many files were passed over because they cannot be used, for messages; empty where there are none."""
        if not self.unreadable:
            return ""
        example = next(iter(self.unreadable))
        return f" Unreadable files in the folder, passed over: {len(self.unreadable)}, such as {example}."


@quiet_pydicom()
def is_dicom_folder(path: str | os.PathLike) -> bool:
    """Whether a folder, or a folder in it, holds at least one DICOM file, whatever its name; or a file is one.

    Args:
        path: any path.

    Raises:
        InputError: When a file cannot be read, or pydicom is needed to tell and is not installed.
    """
    return any(map(is_dicom, files_in(Path(path))))


@quiet_pydicom()
@collecting_no_garbage()
def scan_folder(path: str | os.PathLike, progress: Progress = iter) -> Scan:
    """Read the headers of all DICOM files in a folder and the folders in it, each once; other files are passed over.

    Args:
        path: folder, or one file.
        progress: wraps the files, such as tqdm. Defaults to nothing.

    Raises:
        InputError: When nothing is there, a folder or the only file cannot be read, or pydicom is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: expected a DICOM folder or file, found nothing there.")
    members: dict[str, list[tuple[Path, Any]]] = {}
    unreadable: dict[Path, str] = {}
    tags = [require("pydicom").tag.Tag(tag) for tag in SCANNED_TAGS]  # once, not for each file
    for file in progress(list(files_in(path))):
        try:
            header = _read(file, tags)
            with blaming(file):
                if header is not None and "Columns" in header:
                    members.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
        except InputError as error:
            unreadable[file] = str(error)
    if unreadable and not members and len(unreadable) == 1:
        raise InputError(next(iter(unreadable.values())))
    found = [series for uid, pairs in members.items() if (series := _describe(uid, pairs, unreadable))]
    found.sort(key=lambda series: (series.number or 0, series.uid))
    frames = list(dict.fromkeys(series.frame_uid for series in found if series.frame_uid))
    patients = number_patients([series.identity for series in found])
    labels = [f"F{frames.index(series.frame_uid) + 1}" if series.frame_uid else "" for series in found]
    named = [
        replace(series, frame=frame, patient=f"P{n}", name=name)
        for series, frame, n, name in zip(found, labels, patients, _names(found), strict=True)
    ]
    return Scan(path, named, unreadable)


def _names(found: Sequence[Series]) -> list[str]:
    """A name for each series that no other one has: its number, else the end of its UID."""
    count = Counter(series.number for series in found)
    ends = [{series.uid[-length:] for series in found} for length in range(1, MOST_UID)]
    length = next((n for n, some in enumerate(ends, 1) if n >= PART_OF_UID and len(some) == len(found)), MOST_UID)
    return [
        series.uid[-length:].lstrip(".") if series.number is None or count[series.number] > 1 else str(series.number)
        for series in found
    ]


def list_series(path: str | os.PathLike) -> list[Series]:
    """List the series of images in a folder and the folders in it; see :func:`scan_folder`.

    Args:
        path: folder, or one file.

    Returns:
        The series, by number.

    Raises:
        InputError: See :func:`scan_folder`.
    """
    return scan_folder(path).series


def _read(file: Path, tags: Sequence[int]) -> Any:
    """What a scan needs of a header, the long CSA header only of mosaics; None where the file is no DICOM."""
    header = read_if_dicom(file, tags)
    with blaming(file):
        if header is not None and not is_tiled(header):
            for tag in CSA_TAGS:
                header.pop(tag, None)
    return header


def _describe(uid: str, pairs: list[tuple[Path, Any]], unreadable: dict[Path, str]) -> Series | None:
    """The series of these files; files that cannot be described go to ``unreadable``."""
    while pairs:
        try:
            return _series(uid, *zip(*pairs, strict=True))
        except InputError as error:
            unreadable[pairs[0][0]] = str(error)
            pairs = pairs[1:]
    return None


def _series(uid: str, files: tuple[Path, ...], headers: tuple[Any, ...]) -> Series:
    with blaming(files[0]):
        first = with_shared_groups(headers[0])
        date = str(first.get("StudyDate") or "").replace(".", "")  # which old files have
        return Series(
            uid=uid,
            modality=str(first.get("Modality", "")),
            number=None if first.get("SeriesNumber") is None else int(first.SeriesNumber),
            description=public_text(str(first.get("SeriesDescription", "")), first),
            files=files,
            images=sum(int(header.get("NumberOfFrames") or 1) for header in headers),
            size=(int(first.Columns), int(first.Rows)),
            spacing=tuple(float(s) for s in reversed(first.get("PixelSpacing") or [])),
            localizer=all(map(is_localizer, headers)),
            picture=not any(map(_shows_a_slice, headers)),
            uncorrected=_is_uncorrected(first),
            date=f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdecimal() else "",
            body_part=str(first.get("BodyPartExamined") or ""),
            identity=Patient.of(first),
            frame_uid=str(first.get("FrameOfReferenceUID") or ""),
            headers=headers,
        )


def _shows_a_slice(header: Any) -> bool:
    """Whether an image is gray, and says somewhere where it lies."""
    gray = str(header.get("PhotometricInterpretation") or "MONOCHROME").startswith("MONOCHROME")
    return gray and any(word in header for word in PLACING_TAGS)


def _is_uncorrected(header: Any) -> bool:
    done = values_of(header, "CorrectedImage")
    return header.get("AttenuationCorrected") == "NO" or bool(done and "ATTN" not in done)
