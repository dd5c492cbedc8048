"""Values from JSON as the dataclasses, tuples, texts and numbers that annotations name.

It is written by hand: pydantic would do the same, but would be one more dependency of the model for sixty lines.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["ReportError", "typed", "typed_object"]


class ReportError(Exception):
    """What is wrong with a report, without its path."""


def wrong(key: str, expected: str, value: Any) -> ReportError:
    """The error for a value that is not what it must be."""
    got = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
    return ReportError(f"key '{key}': expected {expected}, got {got}. Fuse the study again.")


def typed(kind: Any, value: Any, key: str) -> Any:
    """A value from JSON as the dataclass, tuple, dictionary, text or number that an annotation names.

    Args:
        kind: the annotation.
        value: from JSON.
        key: where it stands in the report, for errors.

    Raises:
        ReportError: When it is of another type, or an object lacks a key.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if type(None) in inner:
        return None if value is None else typed(inner[0], value, key)
    if is_dataclass(kind) or origin is dict:
        if not isinstance(value, dict):
            raise wrong(key, "an object", value)
        if origin is dict:
            return {name: typed(inner[1], item, f"{key}.{name}") for name, item in value.items()}
        return typed_object(kind, value, key)
    if origin is tuple:
        any_length = inner[-1] is Ellipsis
        if not isinstance(value, list) or not (any_length or len(value) == len(inner)):
            raise wrong(key, "a list" if any_length else f"a list of {len(inner)}", value)
        return tuple(typed(inner[0 if any_length else i], item, f"{key}.{i}") for i, item in enumerate(value))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        if value not in list(kind):
            raise ReportError(f"key '{key}': expected one of {', '.join(kind)}, got {value!r}. Fuse the study again.")
        return kind(value)
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise wrong(key, {str: "a text", int: "a whole number", float: "a number"}[kind], value)
    return value


def typed_object(kind: Any, value: dict[str, Any], key: str) -> Any:
    """An object from JSON as a dataclass; what is missing takes its default, where it has one.

    Args:
        kind: the dataclass.
        value: from JSON.
        key: where it stands in the report, for errors; empty for all of it.

    Raises:
        ReportError: When a key without a default is missing, or a value is of another type.
    """
    values = {}
    defaults = {one.name: one.default for one in fields(kind) if one.default is not MISSING}
    for name, hint in get_type_hints(kind).items():
        place = f"{key}.{name}" if key else name
        if name not in value and name in defaults:
            values[name] = defaults[name]
            continue
        if name not in value:
            raise ReportError(f"expected the key '{place}', it is missing. Fuse the study again.")
        values[name] = typed(hint, value[name], place)
    return kind(**values)
