"""The file of the queue: its tables, and transactions that are on the disk as a whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..scripts.utils.checks import InputError

__all__ = ["QUEUE_NAME", "QueueFile"]

QUEUE_NAME = "queue.sqlite"
VERSION = 1
BUSY_SECONDS = 30.0  # how long to wait for another process that writes
TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    uid TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '', fused INTEGER NOT NULL DEFAULT 0,
    more INTEGER NOT NULL DEFAULT 0, received REAL NOT NULL, changed REAL NOT NULL);
CREATE INDEX IF NOT EXISTS studies_by_state ON studies (state);
CREATE TABLE IF NOT EXISTS objects (
    sop TEXT NOT NULL, study TEXT NOT NULL, file TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (sop, study));
CREATE TABLE IF NOT EXISTS refused (
    sop TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (sop, study));
CREATE INDEX IF NOT EXISTS objects_of_study ON objects (study);
CREATE INDEX IF NOT EXISTS objects_by_file ON objects (file);
CREATE TABLE IF NOT EXISTS deliveries (
    study TEXT NOT NULL, destination TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (study, destination));
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, study TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commitments (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, host TEXT NOT NULL, request TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0);
"""


class QueueFile:
    """A queue's sqlite file. Several threads may share it, and several processes may open it.

    Args:
        folder: where the file is, or is made.

    Raises:
        InputError: When the file is none of a queue, or was made by a newer version.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / QUEUE_NAME
        self._lock = threading.RLock()
        try:
            self._base = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise InputError(f"{path}: expected a queue of version {VERSION}, got {version}. Update mmif-amin.")
            (found,) = self._base.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError("it is damaged; restore it or move it away")
            if version < VERSION:  # an operator can look at the queue also where the disk is full
                self._base.executescript(TABLES)
                self._base.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise InputError(f"{path}: expected a queue, cannot use it: {error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk, or nothing."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def ask(self, question: str, *values: Any) -> list[tuple]:
        """All rows of the answer to a question."""
        with self._lock:
            return self._base.execute(question, values).fetchall()
