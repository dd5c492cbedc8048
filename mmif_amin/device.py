"""The device on which the network runs."""

from __future__ import annotations

import ctypes.util

__all__ = ["choose_device"]


def choose_device(word: str) -> str:
    """Choose the device for ``"auto"``; every other word is kept.

    Importing torch takes a second, so it is asked only where the library of NVIDIA's driver is there.

    Args:
        word: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        ``"cuda"`` or ``"cpu"`` for ``"auto"``, else the word.
    """
    if word != "auto":
        return word
    if not any(ctypes.util.find_library(name) for name in ("cuda", "nvcuda")):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
