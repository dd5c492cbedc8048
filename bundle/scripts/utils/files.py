"""Names of files, and writing them so that they are never half-written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .checks import InputError

__all__ = ["IMAGE_SUFFIXES", "NIFTI_SUFFIXES", "check_writable", "is_nifti", "write_atomically"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: str | os.PathLike) -> bool:
    """Whether the name is that of a NIfTI file."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of ``path`` that takes its place on success and vanishes on failure."""
    name = path.name
    suffix = ".nii.gz" if name.lower().endswith(".nii.gz") else path.suffix
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror or error}. Choose another output.") from error
    try:
        yield Path(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: could not be written: {error.strerror or error}. Nothing was left there.") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Check, before long work, that a file or folder of this name can be made.

    Raises:
        InputError: When a file stands where a folder must, or the folder cannot be written.
    """
    place = Path(path).resolve().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InputError(f"{path}: cannot write there, {place} is not a folder that can be written. Choose another.")


def write_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> Path:
    """Call ``write`` on a temporary name beside ``path`` and rename it when it is complete.

    Args:
        path: the final name; its folder is made.
        write: writes the file it is given.

    Returns:
        The final path.

    Raises:
        InputError: When the folder cannot be written or the disk is full; nothing is left behind.
    """
    path = Path(path)
    with _temporary_beside(path) as temporary:
        write(temporary)
    return path
