"""Names of files, and writing files and folders so that they are never half-written."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from .checks import InputError

__all__ = [
    "IMAGE_SUFFIXES",
    "NIFTI_SUFFIXES",
    "UNFINISHED",
    "check_new_output",
    "check_writable",
    "is_nifti",
    "sha256_of",
    "write_atomically",
    "write_folder_atomically",
    "write_set_atomically",
]

UNFINISHED = ".mmif-amin.part-"  # how the names of files and folders begin until they are complete
SETTLED = 60.0  # seconds, after which a file or folder that nobody has locked belongs to nobody
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
        handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=suffix, dir=path.parent)
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
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))

    with _temporary_beside(path, empty_folder, mode=0o777) as temporary:
        write(temporary)
    return path


def write_set_atomically(
    folder: str | os.PathLike, names: Sequence[str], write: Callable[[Path], object], manifest: str | None = None
) -> list[Path]:
    """Write files that belong together: none takes its place before all are complete.

    They take their places one after the other, within a millisecond. A program that is killed in this moment leaves
    some new and some old files, each of them whole; the manifest tells.

    Args:
        folder: where they go; it is made, and files of these names are replaced.
        names: of the files, in the order in which they take their places.
        write: writes them into the folder that it gets.
        manifest: the one among them that describes the others. The old one is deleted before the first file is
            replaced, and the new one comes last, so that what it describes is always there. Defaults to None.

    Returns:
        The files.

    Raises:
        InputError: When the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    last = [] if manifest is None else [manifest]

    def empty_folder() -> Path:
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))

    def replace_all(temporary: Path) -> None:
        for name in last:
            (folder / name).unlink(missing_ok=True)
        for name in [*(name for name in names if name not in last), *last]:
            temporary.joinpath(name).chmod(0o666 & ~_mask())
            temporary.joinpath(name).replace(folder / name)

    with _temporary(folder, folder, empty_folder) as temporary:
        write(temporary)
        replace_all(temporary)
    return [folder / name for name in names]


@contextmanager
def _temporary_beside(path: Path, make: Callable[[], Path], mode: int) -> Iterator[Path]:
    """Yield what ``make`` makes in the folder of ``path``; it takes its place on success and vanishes on failure.

    Args:
        path: the final name.
        make: makes an empty file or folder that only its owner can read.
        mode: permissions of the result, before the user's mask.
    """
    with _temporary(path, path.parent, make) as temporary:
        yield temporary
        temporary.chmod(mode & ~_mask())
        if temporary.is_dir() and path.is_dir():
            path.rmdir()  # Windows renames no folder onto another, even an empty one
        temporary.replace(path)


@contextmanager
def _temporary(path: Path, folder: Path, make: Callable[[], Path]) -> Iterator[Path]:
    """Yield what ``make`` makes in ``folder``, and delete what is left of it in the end.

    Args:
        path: what is to be written, for messages.
        folder: it is made, and what killed programs left there is deleted.
        make: makes an empty file or folder that only its owner can read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy_up(folder.absolute())
        temporary = make()
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror or error}. Choose another output.") from error
    try:
        with _locked(temporary):
            yield temporary
    except OSError as error:
        raise InputError(f"{path}: could not be written: {error.strerror or error}. Nothing was left there.") from error
    except InputError as error:
        if str(temporary) not in str(error):
            raise
        raise InputError(str(error).replace(str(temporary), str(path))) from error  # its name means nothing to a user
    finally:
        _delete(temporary)


def _mask() -> int:
    """The user's mask of permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _delete(path: Path) -> None:
    """Delete a file or folder, if it is there and as far as that is possible."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a file or folder, and yield whether there is one; it ends with the process, whatever ends it."""
    handle = None
    try:
        import fcntl

        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # Windows; a file system without locks; another process holds it
        locked = False
    else:
        locked = True
    try:
        yield locked
    finally:
        if handle is not None:
            os.close(handle)


@lru_cache(maxsize=1024)
def _tidy_up(folder: Path) -> None:
    """Delete what programs that were killed while they wrote left in a folder; done once for each folder.

    They hold no lock any more. What is younger than a minute stays: its program may be about to lock it.
    """
    for path in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # another program has deleted it
            if time.time() - path.stat().st_mtime > SETTLED:
                with _locked(path) as ours:
                    if ours:
                        _delete(path)
