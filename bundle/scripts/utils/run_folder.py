"""The folder of a run: one program at a time writes there, and what a killed one left is tidied up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from .checks import InputError
from .files import UNFINISHED

__all__ = ["RunFolder"]

LOCK_NAME = "train.lock"


class RunFolder:
    """Keeps other trainings out of a folder while the ``with`` block runs.

    The lock is one of the operating system on ``train.lock``: it ends with the process, also after ``kill -9``, and the
    file itself means nothing.

    Args:
        path: the folder; it is made.

    Raises:
        InputError: When the block begins and another training writes there, or the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._lock = FileLock(self.path / LOCK_NAME, timeout=0)

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise InputError(
                f"{self.path}: another training writes there. Wait until it has ended, or choose another output."
            ) from error
        except (OSError, NotImplementedError) as error:
            raise InputError(
                f"{self.path}: cannot train there: {getattr(error, 'strerror', None) or error}. Choose another output."
            ) from error
        self._tidy_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def _tidy_up(self) -> None:
        """Delete what a killed training had not finished; with the lock held, nobody is writing it any more."""
        for folder in (self.path, self.path / "examples"):
            for item in folder.glob(f"{UNFINISHED}*"):
                if item.is_dir():
                    shutil.rmtree(item, ignore_errors=True)
                else:
                    item.unlink(missing_ok=True)
