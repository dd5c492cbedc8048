"""What the commands share that run the training configs with any of their keys."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from typing import Any

from ..declarations import Option
from ..device import choose_device
from ..scripts.utils.checks import InputError

__all__ = ["config_overrides"]


def config_overrides(args: argparse.Namespace, options: Sequence[Option]) -> dict[str, Any]:
    """Config keys to values: the options that were given, then all further ``--key value`` as they are.

    Args:
        args: the parsed arguments.
        options: the options that set a key of the config.

    Raises:
        InputError: When a word is neither a key nor the value of one.
    """
    overrides = {
        option.key or option.attribute: getattr(args, option.attribute)
        for option in options
        if option.attribute in args.given
    }
    if len(overrides.get("dataset_dir", ())) == 1:
        overrides["dataset_dir"] = overrides["dataset_dir"][0]
    if "device" in overrides:
        import torch

        overrides["device"] = torch.device(choose_device(overrides["device"]))
    return {**overrides, **_further(args.rest)}


def _further(words: Sequence[str]) -> dict[str, Any]:
    """Turn ``--key value --flag`` into a dictionary; values are Python literals where they parse as such."""
    result: dict[str, Any] = {}
    key = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name if "#" in name else name.replace("-", "_")
            key = None if equals else name
            result[name] = _literal(value) if equals else True
        elif key is None:
            raise InputError(f"'{word}': expected --key value pairs of the config.")
        else:
            result[key], key = _literal(word), None
    return result


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # what literal_eval raises
        return {"true": True, "false": False, "null": None}.get(word, word)
