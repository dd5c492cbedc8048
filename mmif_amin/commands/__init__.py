"""The commands of ``mmif-amin``, one a file: each declares its options as ``COMMAND`` and does its work in ``run``.

These files import what is heavy only where they run, so that the parser is there at once.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["NAMES", "all_commands"]

NAMES = (
    "fuse",
    "list",
    "batch",
    "listen",
    "queue",
    "view",
    "values",
    "train",
    "evaluate",
    "upload",
    "benchmark",
    "plant",
    "detect",
    "ablation",
    "export",
    "scale",
    "demo",
    "info",
)


def all_commands() -> list[ModuleType]:
    """Return the modules of all commands, in the order of the help."""
    return [importlib.import_module(f".{name}", __name__) for name in NAMES]
