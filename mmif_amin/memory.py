"""The setting that lets a process keep the memory that it frees and will soon need again."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

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
