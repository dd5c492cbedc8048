"""Which pairs of a data set are for training and which for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..utils.checks import InputError
from .tasks import PHOTOGRAPHIC_TASKS

__all__ = ["SPLITS", "case_of", "split_names"]

SPLITS = {"training": ("training", "train"), "validation": ("validation", "val", "test")}
HOLD_OUT = 5  # without a written split one case of five is validation


def case_of(name: str, task: str = "") -> str:
    """Return the patient of an image: its name without the last three digits, the slice; a photograph is its own case.

    Args:
        name: name of the image, of the Harvard collection or of a photograph.
        task: its task. Defaults to none: a medical one.

    Example:
        >>> case_of("4013"), case_of("Knossos7", "multi-exposure")
        ('4', 'Knossos7')
    """
    return name if task in PHOTOGRAPHIC_TASKS else name[:-3] or name


def split_names(
    task: str, names: Sequence[str], split: str, listed: Mapping[str, Sequence[str | int]] | None
) -> set[str]:
    """Choose the names that belong to a split.

    Without a list each fifth case is validation. Of photographs it is the last fifth of the sorted names: frames of
    one scene have neighboring names, and so they stay together but for the one place where the list is cut.

    Args:
        task: their task.
        names: all names of the task.
        split: ``"training"`` or ``"validation"``.
        listed: split to names, as a ``split.json`` has it for the task. None: there is none.

    Raises:
        InputError: When the list has no such split.
    """
    if listed is not None:
        for key in SPLITS[split]:
            if key in listed:
                return {str(name) for name in listed[key]}
        raise InputError(f"split.json, task {task}: expected one of {SPLITS[split]}, got {sorted(listed)}.")
    cases = sorted({case_of(name, task) for name in names})
    if task in PHOTOGRAPHIC_TASKS:
        held_out = set(cases[len(cases) - len(cases) // HOLD_OUT :])
    else:
        held_out = {case for i, case in enumerate(cases) if i % HOLD_OUT == HOLD_OUT - 1}
    return {name for name in names if (case_of(name, task) in held_out) == (split == "validation")}
