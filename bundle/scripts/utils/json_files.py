"""Reading JSON files that others wrote. Imports neither torch nor MONAI."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .checks import InputError

__all__ = ["read_json"]


def read_json(path: str | os.PathLike, expected: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file, in UTF-8.
        expected: what it should be, for the message, such as ``"a MONAI datalist JSON"``.

    Returns:
        What it holds, of any JSON type.

    Raises:
        InputError: When it cannot be read, is not JSON, or is nested deeper than Python can read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: expected {expected}, it cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected {expected}, got: {error}.") from error
