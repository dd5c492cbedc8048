"""Opening DICOM files: whether a file is one, its header, and one error for every kind of damage."""

from __future__ import annotations

import gc
import importlib
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.limits import MOST_INFLATED, memory_error

__all__ = [
    "DICOM_MODALITIES",
    "blaming",
    "collecting_no_garbage",
    "files_in",
    "is_dicom",
    "is_localizer",
    "private_value",
    "read_dataset",
    "read_header",
    "read_if_dicom",
    "require",
    "values_of",
]

META_GROUP = 0x0002  # of the file meta information
DEFLATED = "1.2.840.10008.1.2.1.99"  # Deflated Explicit VR Little Endian
CHUNK = 2**20  # bytes
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
def blaming(path: Path, otherwise: str = "") -> Iterator[None]:
    """Turn every error that pydicom and its decoders raise for a damaged file into one that names ``path``.

    pydicom converts a value when it is first asked for, so a malformed value can raise anywhere.

    Args:
        path: the file.
        otherwise: what to say after its name. Defaults to "": that it is truncated or damaged.

    Raises:
        InputError: When the code inside raises anything; an InputError passes as it is.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise memory_error(path) from error
    except Exception as error:
        raise (InputError(f"{path}: {otherwise}") if otherwise else _damaged(path)) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}: expected whole and valid DICOM, it is truncated or damaged. Copy it again or take it away."
    )


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or all files in a folder and in the folders in it, by name; none where nothing is.

    Raises:
        InputError: When a folder cannot be read.
    """
    if path.is_file():
        yield path
    elif path.is_dir():
        with _reading(path), os.scandir(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                yield from files_in(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its magic, or, without a preamble, by a readable SOPClassUID.

    Raises:
        InputError: When the file cannot be read, or pydicom is needed to tell and is not installed.
    """
    with _reading(path), path.open("rb") as file:
        return _is_dicom(file)


def _is_dicom(file: BinaryIO) -> bool:
    """Whether an open file is DICOM; it is back at its start afterwards."""
    head = file.read(132)
    file.seek(0)
    if head[128:] == b"DICM":
        return True
    if head[:2] not in (b"\x02\x00", b"\x08\x00"):  # the group that a file without a preamble starts with
        return False
    try:
        return bool(_read(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID"))
    except Exception:  # pydicom raises many types for files that are not DICOM
        return False
    finally:
        file.seek(0)


@contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """Hold back Python's garbage collector, which looks again and again through headers that are all still needed.

    That takes a third of the time of reading 7,000 headers.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name a file or folder that the system does not let us read."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}. Check its permissions.") from error


def read_header(path: Path, tags: Sequence[str | int] | None = None) -> Any:
    """Read a DICOM file up to its pixels.

    Args:
        path: the file.
        tags: keywords or numbers of the elements to read. Defaults to None: all.

    Returns:
        The pydicom dataset. Its attribute ``pixel_bytes`` says how many bytes of the file follow what was read.

    Raises:
        InputError: When the file cannot be read, its header is damaged, ends before it describes the image that its
            class promises, or describes no image and does not say what else the file is.
    """
    with _reading(path), path.open("rb") as file:
        return _header(file, path, tags)


def read_if_dicom(path: Path, tags: Sequence[str | int] | None = None) -> Any:
    """As :func:`read_header`, but None for a file that is no DICOM. It is opened once.

    Args:
        path: the file.
        tags: keywords or numbers of the elements to read. Defaults to None: all.

    Raises:
        InputError: As :func:`read_header`.
    """
    with _reading(path), path.open("rb") as file:
        return _header(file, path, tags) if _is_dicom(file) else None


def read_dataset(path: Path, **options: Any) -> Any:
    """Read a DICOM file as ``pydicom.dcmread`` does, but not one that inflates to more than memory should hold.

    Args:
        path: the file.
        options: of ``pydicom.dcmread``; ``force`` is set.

    Raises:
        InputError: When a deflated file is more than ``MOST_INFLATED`` bytes, inflated.
        Exception: Any of the many that pydicom raises for damaged files; see :func:`blaming`.
    """
    with path.open("rb") as file:
        return _read(file, **options)


def _read(file: BinaryIO, **options: Any) -> Any:
    """See :func:`read_dataset`."""
    pydicom = require("pydicom")
    filereader = pydicom.filereader
    filereader.read_preamble(file, force=True)
    meta = filereader.read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != META_GROUP)
    if str(meta.get("TransferSyntaxUID", "")) == DEFLATED and _inflates_beyond(file, MOST_INFLATED):
        raise InputError(
            f"{file.name}: expected at most {MOST_INFLATED} bytes, a deflated file that grows to more. Export it "
            "without deflating it."
        )
    file.seek(0)
    return pydicom.dcmread(file, force=True, **options)


def _inflates_beyond(file: BinaryIO, most: int) -> bool:
    """Whether the rest of an open file inflates to more bytes; of what it inflates to, nothing is kept."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflate.eof and (part := inflate.unconsumed_tail or file.read(CHUNK)):
        most -= len(inflate.decompress(part, CHUNK))
        if most < 0:
            return True
    return False


def _header(file: BinaryIO, path: Path, tags: Sequence[str | int] | None) -> Any:
    pydicom = require("pydicom")
    with blaming(path):
        header = _read(file, stop_before_pixels=True, specific_tags=tags)
        read = file.tell()
        header.pixel_bytes = file.seek(0, os.SEEK_END) - read
        if "Columns" in header:
            return header
        kind = pydicom.uid.UID(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))
        if not kind:
            raise InputError(
                f"{path}: expected DICOM that says what it is, the header has neither SOPClassUID nor Columns. Take "
                "the file away, or copy it again if it is an image."
            )
        if "Image Storage" in kind.name:
            raise _damaged(path)
        return header


def private_value(header: Any, group: int, creator: str, element: int) -> Any:
    """Value of a private element; None where there is none.

    Args:
        header: pydicom dataset.
        group: of the element.
        creator: the private creator, such as ``"SIEMENS MR HEADER"``.
        element: last two hexadecimal digits of its number.
    """
    try:
        return header.private_block(group, creator)[element].value
    except KeyError:
        return None


def values_of(header: Any, keyword: str) -> list[str]:
    """All values of a text element, which pydicom gives as None, a string or a list."""
    value = header.get(keyword) or []
    return [value] if isinstance(value, str) else list(value)


def is_localizer(header: Any) -> bool:
    """Whether an image is a localizer (scout) by its FrameType or ImageType."""
    return "LOCALIZER" in (values_of(header, "FrameType") or values_of(header, "ImageType"))
