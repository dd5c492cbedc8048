"""A disk that fails, goes away or takes the process with it at its n-th operation.

A child process does the work. Each operation that changes the disk below a folder is counted by Python's audit hooks:
making, opening for writing, renaming, deleting and changing the mode of files and folders. What is written into an open
file may be written by C code, so there the system itself is the fault: a limit of the file's size (``RLIMIT_FSIZE``),
beyond which a write fails or, where the child does not ignore the signal, ends the process.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path

__all__ = ["DONE", "KILLED", "Fault", "Outcome", "count_operations", "run_with_fault"]

CHANGES = {  # audit event: which of its arguments are paths
    "os.chmod": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Fault(StrEnum):
    """What happens at the n-th operation."""

    NONE = "none"
    FAILS = "fails"  # this one operation
    GONE = "is gone"  # this and all later operations
    FULL = "is full"  # after 10 bytes of what is opened for writing then, and all later bytes
    KILLED = "kill -9"
    KILLED_IN_WRITE = "kill in a write"  # after 10 bytes of what is opened for writing then


class Outcome(IntEnum):
    """How the child ended; negative: the signal that killed it."""

    DONE = 0
    REFUSED = 2  # an InputError
    TRACEBACK = 3
    NOT_REACHED = 4  # it ended before the n-th operation


DONE = Outcome.DONE
KILLED = (-signal.SIGKILL, -signal.SIGXFSZ)
LITTLE = 10  # bytes that fit on a full disk


class _Disk:
    """Counts the operations below a folder, and spoils one."""

    def __init__(self, root: Path, fault: Fault, number: int) -> None:
        self.root, self.fault, self.number, self.count = str(root.resolve()), fault, number, 0
        self.opened: list[int] = []

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not flags & WRITING:
                return
            paths = (path,)
        elif event in CHANGES:
            paths = tuple(arguments[k] for k in CHANGES[event])
        else:
            return
        if any(os.path.realpath(os.path.dirname(os.fsdecode(path)) or ".").startswith(self.root) for path in paths):
            self.count += 1
            self.opened += [self.count] if event == "open" else []
            self._spoil(event == "open")

    def _spoil(self, opening: bool) -> None:
        now = self.count == self.number
        if self.fault is Fault.KILLED and now:
            os.kill(os.getpid(), signal.SIGKILL)
        elif (self.fault is Fault.FAILS and now) or (self.fault is Fault.GONE and self.count >= self.number):
            raise OSError(5, "Input/output error")
        elif self.fault in (Fault.FULL, Fault.KILLED_IN_WRITE) and now and opening:
            end = self.fault is Fault.KILLED_IN_WRITE
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL if end else signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (LITTLE, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def run_with_fault(work: Callable[[], object], root: Path, fault: Fault, number: int = 0) -> int:
    """Do work in a child process whose disk has a fault.

    Args:
        work: writes files below ``root``.
        root: the folder whose operations count.
        fault: what happens.
        number: at which operation, from 1.

    Returns:
        An :class:`Outcome`, or the negative signal that ended the child.
    """
    child = os.fork()
    if child == 0:
        code = Outcome.TRACEBACK
        try:
            code = _in_child(work, _Disk(root, fault, number))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _in_child(work: Callable[[], object], disk: _Disk) -> Outcome:
    from scripts.utils.checks import input_error_behind

    sys.addaudithook(disk)
    try:
        work()
    except BaseException as error:
        if input_error_behind(error) is not None:
            return Outcome.REFUSED
        traceback.print_exc(file=sys.__stderr__)
        return Outcome.TRACEBACK
    return Outcome.DONE if disk.fault is Fault.NONE or disk.count >= disk.number else Outcome.NOT_REACHED


def count_operations(work: Callable[[], object], root: Path) -> tuple[int, set[int]]:
    """How many operations the work takes on a disk without a fault, and which of them open a file for writing."""
    reading, writing = os.pipe()

    def counted() -> None:
        disk = _Disk(root, Fault.NONE, 0)
        sys.addaudithook(disk)
        work()
        os.write(writing, json.dumps([disk.count, disk.opened]).encode())

    assert run_with_fault(counted, root, Fault.NONE) == DONE
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        count, opened = json.load(file)
    return count, set(opened)
