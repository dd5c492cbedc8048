"""Finding DICOM images in a folder: whether there are any, and which series they make."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.checks import InputError
from .frames import with_shared_groups
from .header import blaming, files_in, is_dicom, is_localizer, read_header
from .privacy import PATIENT_TAGS, public_text, quiet_pydicom

__all__ = ["Series", "is_dicom_folder", "list_series"]

LISTED_TAGS = (
    *PATIENT_TAGS,
    "SOPClassUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "ImageType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
)


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

    def __str__(self) -> str:
        spacing = "x".join(f"{s:g}" for s in self.spacing) + " mm" if self.spacing else "no pixel spacing"
        kind = f"{self.modality} localizer" if self.localizer else self.modality
        return (
            f"{'-' if self.number is None else self.number}: {kind}, {self.images} images of "
            f"{self.size[0]}x{self.size[1]}, {spacing}, '{self.description}', UID {self.uid}"
        )


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
def list_series(path: str | os.PathLike) -> list[Series]:
    """List the series of images in a folder and the folders in it; other files are passed over.

    Args:
        path: folder, or one file.

    Returns:
        The series, by number.

    Raises:
        InputError: When nothing is there, a DICOM file is damaged, or pydicom is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: expected a DICOM folder or file, found nothing there.")
    members: dict[str, list[tuple[Path, Any]]] = {}
    for file in filter(is_dicom, sorted(files_in(path))):
        header = read_header(file, LISTED_TAGS)
        with blaming(file):
            if "Columns" in header:
                members.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    found = [_describe(uid, *zip(*pairs, strict=True)) for uid, pairs in members.items()]
    return sorted(found, key=lambda series: (series.number or 0, series.uid))


def _describe(uid: str, files: tuple[Path, ...], headers: tuple[Any, ...]) -> Series:
    with blaming(files[0]):
        first = with_shared_groups(headers[0])
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
        )
