"""Measuring how much memory a piece of work takes."""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
from contextlib import suppress

import psutil

__all__ = ["PeakMemory"]

INTERVAL = 0.02  # seconds between two looks
CHILDREN_INTERVAL = 0.1  # the same where all processes of the machine must be looked through


class PeakMemory:
    """Measures by how much a piece of work raises the memory of the process at most.

    The figure is the largest resident size (what the process holds in RAM) seen from ``start`` to ``stop``, minus the
    resident size at ``start``. A thread looks at it every 20 ms, so shorter peaks are missed. What was there before
    (Python, libraries, the network's weights) is not counted, and neither is the memory of other processes, such as
    that of a registration, unless it is asked for.

    ``start`` first collects garbage and, with glibc, returns freed memory to the system. Otherwise the next piece of
    work would reuse what the last one has freed, and would seem to need less than it does.

    Args:
        children: whether to count the processes that this one starts too, every 100 ms; what they share with this
            process then counts twice. Defaults to False.

    Example:
        >>> memory = PeakMemory()
        >>> memory.start()
        >>> work = bytearray(100_000_000)
        >>> 90e6 < memory.stop() < 150e6
        True
    """

    def __init__(self, children: bool = False) -> None:
        self._process, self._children = psutil.Process(), children
        self._before = self._largest = 0
        self._stopped = threading.Event()
        self._stopped.set()

    def start(self) -> None:
        """Begin to measure; what was measured before is forgotten."""
        self.stop()
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)
        self._before = self._largest = self._process.memory_info().rss
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, args=[self._stopped], name="peak memory", daemon=True).start()

    def stop(self, rise: bool = True) -> int:
        """Stop measuring; may be called again and again.

        Args:
            rise: whether to leave out what was there before. Defaults to True.

        Returns:
            The largest rise since ``start``, bytes, or the largest size itself; 0 before the first ``start``.
        """
        if not self._stopped.is_set():
            self._look()
            self._stopped.set()
        return self._largest - (self._before if rise else 0)

    def _watch(self, stopped: threading.Event) -> None:
        while not stopped.wait(CHILDREN_INTERVAL if self._children else INTERVAL):
            self._look()

    def _look(self) -> None:
        size = self._process.memory_info().rss
        for child in self._process.children(recursive=True) if self._children else ():
            with suppress(psutil.Error):  # it has ended
                size += child.memory_info().rss
        self._largest = max(self._largest, size)
