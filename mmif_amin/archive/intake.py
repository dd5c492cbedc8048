"""Taking in objects: on the disk under their final name, then in the queue, and only then confirmed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple

from ..scripts.dicom.header import read_dataset
from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.utils.files import sha256_of
from .journal import Pseudonyms, public_reason
from .queue import StudyQueue
from .settings import Limits

__all__ = ["CANNOT_UNDERSTAND", "DISK_FULL", "NO_MATCH", "OUT_OF_RESOURCES", "STORED", "Intake", "Taken", "sync_folder"]

STORED = 0x0000
OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3
NO_MATCH = 0xA900  # the data set is not what the command says
CANNOT_UNDERSTAND = 0xC000
TAGS = ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
NAME_LENGTH = 40  # hexadecimal digits
LAST_BYTES = 64e6  # free space below which not even an object that has begun may go on; a tenth of the reserve at most
LEAST_BYTES = 1e6  # the same where nothing is reserved: for the queue, and for what has just arrived
DISK_FULL = "the disk is full"


class Taken(NamedTuple):
    """What became of an object.

    Args:
        status: DICOM status.
        study: StudyInstanceUID; empty where it could not be read.
        new: whether the object has not been there.
        why: it was refused; empty where it was not.
    """

    status: int
    study: str = ""
    new: bool = False
    why: str = ""


class Intake:
    """The folder of received objects.

    ``incoming`` holds what arrives, ``objects`` what is in the queue, ``work`` what a worker reads, ``results`` what
    was made. Names are hashes, because a UID comes from elsewhere and may be anything.

    Args:
        folder: of the node.
        queue: its queue.
        limits: what is refused.
        names: makes pseudonyms.
    """

    def __init__(self, folder: Path, queue: StudyQueue, limits: Limits, names: Pseudonyms) -> None:
        self.folder, self.queue, self.limits, self.names = folder, queue, limits, names
        self.incoming, self.work, self.results = (folder / name for name in ("incoming", "work", "results"))
        for place in (self.incoming, folder / "objects", self.work, self.results):
            place.mkdir(parents=True, exist_ok=True)

    def tidy(self) -> None:
        """Delete what an end of the process left: objects that were never confirmed, and unfinished work."""
        for file in self.incoming.iterdir():
            self.discard(file)
        shutil.rmtree(self.work)
        self.work.mkdir()
        kept = self.queue.files()
        for file in (self.folder / "objects").rglob("*"):
            if file.is_file() and file.relative_to(self.folder).as_posix() not in kept:
                file.unlink()
        for unfinished in self.results.glob(".*"):
            shutil.rmtree(unfinished, ignore_errors=True)

    def free_bytes(self) -> int:
        """Free space on the disk."""
        return shutil.disk_usage(self.folder).free

    @property
    def largest(self) -> float:
        """Size of the largest object that is taken, bytes."""
        return self.limits.object_mb * 1e6

    def full(self, size: int = 0) -> bool:
        """Whether the disk has no place for so many bytes more."""
        return self.free_bytes() - size < self.limits.free_gb * 1e9

    @property
    def must_stop(self) -> bool:
        """Whether so little of the disk is free that nothing more may be written, not even the rest of an object."""
        return self.free_bytes() < max(min(self.limits.free_gb * 1e8, LAST_BYTES), LEAST_BYTES)

    def discard(self, arrived: Path) -> str:
        """Delete what has arrived of an object; its series waits for the whole of it.

        Args:
            arrived: a file in ``incoming``.

        Returns:
            StudyInstanceUID; empty where it could not be read.
        """
        try:
            found = self._header(arrived)
            if found:
                self._refuse(*found, "it came only in part")
            arrived.unlink(missing_ok=True)
        except (OSError, sqlite3.Error):  # the next start tries again
            return ""
        return found[1] if found else ""

    def _header(self, arrived: Path) -> tuple[str, str, str] | None:
        """UIDs of object, study and series; None where they cannot be read. Study and series may be empty."""
        with quiet_pydicom():
            try:
                header = read_dataset(arrived, stop_before_pixels=True, specific_tags=TAGS)
                sop, study = str(header.SOPInstanceUID), str(header.StudyInstanceUID)
                return sop, study, str(header.get("SeriesInstanceUID", ""))
            except Exception:  # pydicom raises many types for what is no DICOM; InputError what grows too large
                return None

    def _refuse(self, sop: str, study: str, series: str, why: str) -> None:
        if study and series:
            self.queue.refuse(sop, study, series, self.names.of(study), why)

    def take(self, arrived: Path, sop: str) -> Taken:
        """Take an object that has arrived.

        Args:
            arrived: a file in ``incoming``, complete.
            sop: the SOPInstanceUID that the sender announced.

        Returns:
            What became of it.
        """
        try:
            found = self._header(arrived)
            size = arrived.stat().st_size
            if size > self.largest or self.full():
                why = DISK_FULL if self.full() else f"it is larger than {self.limits.object_mb:g} MB"
                self._refuse(*(found or ("", "", "")), why)
                return Taken(OUT_OF_RESOURCES, found[1] if found else "", why=why)
            if found is None:
                return Taken(CANNOT_UNDERSTAND, why="it cannot be read")
            _, study, series = found
            if found[0] != sop or not study or not series:
                return Taken(NO_MATCH, study, why="its UIDs are missing, or others than announced")
            file = Path("objects", _name(study), f"{_name(sop)}.dcm")
            digest = sha256_of(arrived)
            _sync_file(arrived)
            new = self.queue.record(
                sop, study, self.names.of(study), file.as_posix(), digest, lambda: _keep(arrived, self.folder / file)
            )
            return Taken(STORED, study, new)
        except (OSError, sqlite3.Error) as error:  # the disk is full or gone
            return Taken(OUT_OF_RESOURCES, why=public_reason(error))


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:NAME_LENGTH]


def _sync_file(file: Path) -> None:
    """Wait until the content of a file is on the disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep(arrived: Path, file: Path) -> None:
    """Give a file its final name."""
    if not file.parent.is_dir():
        file.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(file.parent.parent)
    os.replace(arrived, file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; systems that have no such call are passed over."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
