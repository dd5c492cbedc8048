"""Choosing one of the volumes that a 4-D file or a series holds, or their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..utils.checks import InputError

__all__ = ["MEAN", "choose_volumes", "volume_note"]

MEAN = "mean"
LISTED = 12  # volumes in a message
SAME_NUMBER = 0.5  # numbers closer than this are one: b-values are written with and without decimals


def choose_volumes(who: str, labels: Sequence[Mapping[str, str]], choice: str | None) -> list[int]:
    """Which volumes are meant; several ones are those whose mean is meant.

    Args:
        who: file or series, for messages.
        labels: for each volume what tells it apart, such as ``{"b": "1000"}``; empty where only its number does.
        choice: a number from 1; conditions such as ``"b=1000"`` or ``"echo=2,type=M"``; ``"mean"``, of all or, after
            conditions, of those that fit. None: the only one.

    Returns:
        Indices from 0, ascending.

    Raises:
        InputError: When there are several and none is chosen, the choice cannot be read, none fits, or several fit and
            their mean is not asked for. The volumes are listed.

    Example:
        >>> b_values = [{"b": "0"}, {"b": "1000"}, {"b": "1000"}]
        >>> choose_volumes("dwi", b_values, "b=0"), choose_volumes("dwi", b_values, "b=1000,mean")
        ([0], [1, 2])
    """
    if choice is None:
        if len(labels) == 1:
            return [0]
        raise InputError(f"{who}: expected one volume, it holds {len(labels)}. {_how(labels)}")
    if choice.isdecimal():
        if 1 <= int(choice) <= len(labels):
            return [int(choice) - 1]
        raise InputError(f"{who}: expected a volume from 1 to {len(labels)}, got {choice}. {_how(labels)}")
    *conditions, last = [part.strip() for part in choice.split(",")]
    if last != MEAN:
        conditions.append(last)
    if not all(0 < part.find("=") < len(part) - 1 for part in conditions):
        raise InputError(f"{who}: expected a volume's number, mean or such as b=1000, got '{choice}'. {_how(labels)}")
    hits = [k for k, label in enumerate(labels) if all(_fits(label, *part.split("=", 1)) for part in conditions)]
    if not hits:
        raise InputError(f"{who}: expected a volume with {choice}, found none. {_how(labels)}")
    if len(hits) > 1 and last != MEAN:
        numbers = ", ".join(str(k + 1) for k in hits[:LISTED]) + ("..." if len(hits) > LISTED else "")
        raise InputError(
            f"{who}: expected one volume with {choice}, {len(hits)} fit: {numbers}."
            f" Choose one by its number, or {choice},{MEAN}. {_how(labels)}"
        )
    return hits


def volume_note(labels: Sequence[Mapping[str, str]], chosen: Sequence[int]) -> str:
    """What was chosen, for the report."""
    if len(chosen) > 1:
        return f"mean of {len(chosen)} of {len(labels)} volumes"
    told = _told(labels[chosen[0]])
    return f"volume {chosen[0] + 1} of {len(labels)}{': ' if told else ''}{told}"


def _fits(label: Mapping[str, str], name: str, value: str) -> bool:
    own = label.get(name.strip().lower())
    if own is None:
        return False
    try:
        return abs(float(own) - float(value)) < SAME_NUMBER
    except ValueError:
        return value.strip().upper() in own.upper().split("/")


def _told(label: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in label.items())


def _how(labels: Sequence[Mapping[str, str]]) -> str:
    """How to choose, and what there is."""
    if len(labels) == 1:
        return "It holds one volume: leave the choice out."
    names = list(dict.fromkeys(name for label in labels for name in label))
    words = "".join(f"{name}=..., " for name in names)
    text = f"Choose with --volume-a or --volume-b: a number from 1 to {len(labels)}, {words}or {MEAN}."
    if names:
        text += "".join(f"\n  {k + 1}: {_told(label)}" for k, label in enumerate(labels[:LISTED]))
        if len(labels) > LISTED:
            text += f"\n  ... {len(labels)}: {_told(labels[-1])}"
    return text
