"""Opening DICOM files: whether a file is one, its header, and one error for every kind of damage."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..utils.checks import InputError
from ..utils.enums import Modality

__all__ = ["DICOM_MODALITIES", "blaming", "files_in", "is_dicom", "is_localizer", "read_header", "require", "values_of"]

DICOM_MODALITIES = {Modality.MRI: "MR", Modality.CT: "CT", Modality.PET: "PT", Modality.SPECT: "NM"}


def require(name: str) -> Any:
    """Import a DICOM package, or say how to install it.

    Args:
        name: ``"pydicom"`` or ``"highdicom"``.

    Returns:
        The package.

    Raises:
        InputError: When it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"DICOM needs {name}, which is not installed: pip install pydicom highdicom.") from error


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn every error that pydicom and its decoders raise for a damaged file into one that names ``path``.

    pydicom converts a value when it is first asked for, so a malformed value can raise anywhere.

    Raises:
        InputError: When the code inside raises anything but an InputError or a MemoryError, which pass.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}: expected whole and valid DICOM, it is truncated or damaged. Copy it again or take it away."
    )


def files_in(path: Path) -> Iterable[Path]:
    """The file itself, or all files in a folder and in the folders in it, in no order."""
    return [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its magic, or, without a preamble, by a readable SOPClassUID.

    Raises:
        InputError: When the file cannot be read, or pydicom is needed to tell and is not installed.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}. Check its permissions.") from error
    if head[128:] == b"DICM":
        return True
    if head[:2] not in (b"\x02\x00", b"\x08\x00"):  # the group that a file without a preamble starts with
        return False
    try:
        header = require("pydicom").dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        return bool(header.get("SOPClassUID"))
    except InputError:
        raise
    except Exception:  # pydicom raises many types for files that are not DICOM
        return False


def read_header(path: Path, tags: Sequence[str] | None = None) -> Any:
    """Read a DICOM file up to its pixels.

    Args:
        path: the file.
        tags: keywords of the elements to read. Defaults to None: all.

    Returns:
        The pydicom dataset.

    Raises:
        InputError: When the header is damaged, or ends before it describes the image that its class promises.
    """
    pydicom = require("pydicom")
    with blaming(path):
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=tags)
        kind = pydicom.uid.UID(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))
        if "Columns" not in header and (not kind or "Image Storage" in kind.name):
            raise _damaged(path)
        return header


def values_of(header: Any, keyword: str) -> list[str]:
    """All values of a text element, which pydicom gives as None, a string or a list."""
    value = header.get(keyword) or []
    return [value] if isinstance(value, str) else list(value)


def is_localizer(header: Any) -> bool:
    """Whether an image is a localizer (scout) by its FrameType or ImageType."""
    return "LOCALIZER" in (values_of(header, "FrameType") or values_of(header, "ImageType"))
