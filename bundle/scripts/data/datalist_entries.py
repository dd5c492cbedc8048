"""What stands in a data list or a split.json, checked: such files are passed from hand to hand."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from typing import Any

from ..utils.checks import InputError, is_plain
from ..utils.enums import SourceKeys
from ..utils.json_files import read_json

__all__ = ["checked_entry", "read_splits"]

LONGEST_NAME = 200  # bytes; files named after a pair have up to 255
SHOWN = 80  # characters of a wrong value


def read_splits(path: Path) -> dict[str, dict[str, list]]:
    """Read a ``split.json``.

    Returns:
        Task to split to names; empty where there is no such file.

    Raises:
        InputError: When it is not JSON, or of another form.
    """
    splits = read_json(path, "a split (task to split to names)") if path.is_file() else {}
    tasks = splits.values() if isinstance(splits, dict) else [None]
    lists = [names for task in tasks for names in (task.values() if isinstance(task, dict) else [None])]
    if not all(isinstance(names, list) and all(isinstance(name, str | int) for name in names) for names in lists):
        raise InputError(
            f'{path}: expected {{"TASK": {{"training": ["NAME", ...], "validation": [...]}}}}, got other types. '
            "Correct it, or remove it."
        )
    return splits


def checked_entry(path: Path, who: str, entry: Any) -> tuple[str, str, str, str, int]:
    """Check one entry of a data list.

    Args:
        path: the data list, for the message.
        who: which entry it is, for the message.
        entry: what stands there.

    Returns:
        Source A, source B, task, name (empty where there is none) and slice (-1 where there is none).

    Raises:
        InputError: When a key is missing, a value has another type, or a path or name is none that a file can have.
    """
    required = (SourceKeys.SOURCE_A.value, SourceKeys.SOURCE_B.value, SourceKeys.TASK.value)
    found = [entry.get(key) for key in required] if isinstance(entry, dict) else []
    texts = [text for text in found if isinstance(text, str) and text]
    if len(texts) < len(required):
        got = f"the keys {', '.join(map(repr, entry))}" if isinstance(entry, dict) else type(entry).__name__
        raise InputError(f"{path}: {who} must have source_a, source_b and task, each a text, got {got[:SHOWN]}.")
    source_a, source_b, task = texts
    for source in (source_a, source_b):
        if not _can_be_named(source):
            raise InputError(f"{path}: {who}: expected the path of a file, got {source[:SHOWN]!r}.")
    slice_index = entry.get(SourceKeys.SLICE.value, -1)
    if type(slice_index) is not int or slice_index < -1:
        raise InputError(f"{path}: {who}: slice must be a whole number from 0 up, got {_shown(slice_index)}.")
    name = entry.get(SourceKeys.NAME.value)
    if name in (None, ""):
        return source_a, source_b, task, "", slice_index
    if type(name) not in (str, int) or not _stays_inside(str(name)):
        raise InputError(
            f"{path}: {who}: {_shown(name)}: expected the name of a pair that stays in the output folder: a text "
            f"without '..', not absolute, without control characters, of at most {LONGEST_NAME} bytes. Rename it."
        )
    return source_a, source_b, task, str(name), slice_index


def _shown(value: Any) -> str:
    return repr(value)[:SHOWN] if isinstance(value, str | int | float) else type(value).__name__


def _can_be_named(text: str) -> bool:
    """Whether a file of the system can have this path."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _stays_inside(name: str) -> bool:
    """Whether a file can be named after a pair, in the folder where its kind belongs, on each system."""
    place = PureWindowsPath(name)  # knows both kinds of slashes, and drives
    outside = bool(place.drive or place.root) or ".." in place.parts or not place.name
    return is_plain(name) and not outside and len(name.encode()) <= LONGEST_NAME
