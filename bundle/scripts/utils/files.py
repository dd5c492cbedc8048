"""Names of files, and writing files and folders so that they are never half-written."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .checks import InputError

__all__ = [
    "IMAGE_SUFFIXES",
    "NIFTI_SUFFIXES",
    "check_new_output",
    "check_writable",
    "is_nifti",
    "sha256_of",
    "write_atomically",
    "write_folder_atomically",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: str | os.PathLike) -> bool:
    """Whether the name is that of a NIfTI file."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: str | os.PathLike) -> None:
    """Check, before long work, that a file or folder of this name can be made.

    Args:
        path: the name; neither it nor its parents need to exist.

    Raises:
        InputError: When a file stands where a folder must be, or the folder cannot be written.
    """
    place = Path(path).resolve().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InputError(f"{path}: cannot write there, {place} is not a folder that can be written. Choose another.")


def check_new_output(output: str | os.PathLike, several: bool) -> None:
    """Check, before long work, that a fused study can be written: into a new or empty folder, or as one NIfTI file.

    Args:
        output: the folder; or a name ending in .nii or .nii.gz for the fused volume alone.
        several: whether more than the fused volume is asked for.

    Raises:
        InputError: When it cannot.
    """
    output = Path(output)
    check_writable(output)
    alone = is_nifti(output)
    if alone and several:
        raise InputError(f"{output}: expected a folder as output, because more than one file is asked for.")
    if alone and output.is_dir():
        raise InputError(f"{output}: expected a file name for the fused volume, found a folder.")
    if not alone and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: expected a new or empty folder, there is something. Choose another output.")


def write_atomically(path: str | os.PathLike, write: Callable[[Path], object], mode: int = 0o666) -> Path:
    """Call ``write`` with a temporary name beside ``path`` and rename it when it is complete.

    Args:
        path: the final name; its folder is made, and a file of this name is replaced.
        write: writes the file whose name it gets. That name has the suffix of ``path``.
        mode: permissions of the file, before the user's mask. Defaults to those of any new file.

    Returns:
        The final path.

    Raises:
        InputError: When the folder cannot be written or the disk is full; nothing is left behind.
    """
    path = Path(path)
    suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix

    def empty_file() -> Path:
        handle, name = tempfile.mkstemp(prefix=".", suffix=suffix, dir=path.parent)
        os.close(handle)
        return Path(name)

    with _temporary_beside(path, empty_file, mode) as temporary:
        write(temporary)
    return path


def write_folder_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> Path:
    """Call ``write`` with a temporary folder beside ``path`` and rename it when it is complete.

    Args:
        path: the final name; its parents are made. It must not exist, or be an empty folder.
        write: fills the folder that it gets.

    Returns:
        The final path.

    Raises:
        InputError: When the folder cannot be written, is not empty, or the disk is full; nothing is left behind.
    """
    path = Path(path)

    def empty_folder() -> Path:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))

    with _temporary_beside(path, empty_folder, mode=0o777) as temporary:
        write(temporary)
    return path


@contextmanager
def _temporary_beside(path: Path, make: Callable[[], Path], mode: int) -> Iterator[Path]:
    """Yield what ``make`` makes in the folder of ``path``; it takes its place on success and vanishes on failure.

    Args:
        path: the final name.
        make: makes an empty file or folder that only its owner can read.
        mode: permissions of the result, before the user's mask.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = make()
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror or error}. Choose another output.") from error
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(mode & ~mask)
        if temporary.is_dir() and path.is_dir():
            path.rmdir()  # Windows renames no folder onto another, even an empty one
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: could not be written: {error.strerror or error}. Nothing was left there.") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
