"""How the program treats its memory: it keeps what it frees, and imports without collecting garbage."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keep_freed_memory", "quick_imports"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 512 * 2**20  # bytes at the heap's end that are not given back
LARGE = 32 * 2**20  # bytes from which an array has pages of its own, which are given back when it is freed


def keep_freed_memory() -> bool:
    """Let glibc keep the memory that a network's features leave, instead of giving it back after each call.

    The process pays a page fault for every 4 kB that it gets again, a third of the time of a fusion. This is for
    programs that own their process: the setting holds for all of it, and up to 512 MB more stay with it. Nothing is
    changed where the user has set a variable ``MALLOC_...``, or where the C library is not glibc.

    Returns:
        Whether glibc took the setting.

    Reference: mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE) and mallopt(M_TRIM_THRESHOLD, KEPT))


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import PyTorch and MONAI without Python's garbage collector, and leave them out of all later collections.

    They make half a million objects that stay to the end, and the collector would look through them again and again,
    for 2 s of the 7 s that a small study takes. This is for programs that own their process, and does nothing where
    MONAI is imported already.

    Reference: gc.freeze in the library reference of Python.
    """
    if "monai" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
