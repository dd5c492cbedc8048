"""Spellings of version 0.4, which still work, with a warning. To be deleted in 1.0."""

from __future__ import annotations

import ast
from collections.abc import Sequence

__all__ = ["modern_spelling"]

RENAMED = {"ckpt-path": "weights", "output-dir": "output", "tasks": "task"}
LISTS = ("--task", "--dataset-dir")  # whose old values were Python lists


def modern_spelling(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Spell the options of a command as this version does.

    Args:
        words: of the command line.

    Returns:
        The words with the new spellings, and a warning for each old one.

    Example:
        >>> modern_spelling(["train", "--output_dir", "runs/mine"])
        (['train', '--output', 'runs/mine'], ['--output_dir is now --output. The old spelling goes with version 1.0.'])
    """
    result: list[str] = []
    warnings: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--") and "#" not in name:  # keys of a config's parts are spelled as there
            dashed = name[2:].replace("_", "-")
            new = f"--{RENAMED.get(dashed, dashed)}"
            if new != name:
                warnings.append(f"{name} is now {new}. The old spelling goes with version 1.0.")
            result.append(new + equals + value)
        elif word.startswith("[") and result and result[-1] in LISTS:
            result.extend(_one_by_one(result.pop(), word))
        else:
            result.append(word)
    return result, warnings


def _one_by_one(option: str, word: str) -> list[str]:
    """Words that give an option the members of a Python list."""
    try:
        members = [str(member) for member in ast.literal_eval(word)]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # what literal_eval raises
        return [option, word]
    return [option, *members] if option == "--dataset-dir" else [w for member in members for w in (option, member)]
