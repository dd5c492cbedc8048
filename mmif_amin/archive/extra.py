"""The packages of the extra ``[archive]``, imported where they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from ..scripts.utils.checks import InputError

__all__ = ["require_archive"]


def require_archive(name: str) -> Any:
    """Import a module of the extra, or say how to install it.

    Args:
        name: of the module, such as ``"pynetdicom"``.

    Raises:
        InputError: When it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise InputError(f"Archives need {package}, which is not there: pip install 'mmif-amin[archive]'.") from error
