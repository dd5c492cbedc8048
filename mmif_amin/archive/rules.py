"""Choosing the two series to fuse by the rules of ``series_rules.json``, without the MONAI Deploy SDK."""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..scripts.dicom.find import scan_folder
from ..scripts.dicom.header import read_header
from ..scripts.dicom.patient import Patient
from ..scripts.dicom.write_common import PRODUCT
from ..scripts.utils.checks import InputError

__all__ = [
    "FUNCTIONAL",
    "IMAGE_TYPE",
    "SHIPPED_RULES",
    "STRUCTURAL",
    "Candidate",
    "candidates_in",
    "choose_by_rules",
    "read_rules",
]

SHIPPED_RULES = Path(__file__).resolve().parents[1] / "deploy" / "series_rules.json"
STRUCTURAL, FUNCTIONAL = "structural", "functional"
IMAGE_TYPE = "ImageType"
COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "!=": operator.ne}


@dataclass(frozen=True)
class Candidate:
    """A series that the rules look at.

    Args:
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
        header: pydicom dataset of one of its images.
        images: how many images it has.
        files: its files, where they are on disk. Defaults to none.
    """

    study: str
    uid: str
    header: Any
    images: int
    files: tuple[Path, ...] = ()

    def __str__(self) -> str:
        """Without its description, in which anything may stand."""
        number = self.header.get("SeriesNumber")
        name = "without number" if number is None else str(number)
        return f"series {name} ({self.header.get('Modality', '')}, {self.images} images, UID {self.uid})"


def read_rules(path: str | os.PathLike) -> str:
    """Read and check the rules.

    Args:
        path: JSON file in the form of the MONAI Deploy SDK's selector, with a selection for each of both roles.

    Returns:
        Its text.

    Raises:
        InputError: When it is not there, is not JSON, or one of the two selections is missing or without a condition.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        named = [(str(rule["name"]), set(dict(rule["conditions"]))) for rule in json.loads(text)["selections"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path}: expected rules in JSON, got {type(error).__name__}: {error}. See mmif_amin/deploy/README.md."
        ) from error
    names = [name for name, _ in named]
    if sorted(names) != sorted((STRUCTURAL, FUNCTIONAL)) or not all(keys - {IMAGE_TYPE} for _, keys in named):
        raise InputError(
            f"{path}: expected the selections '{STRUCTURAL}' and '{FUNCTIONAL}', each with a condition beside "
            f"{IMAGE_TYPE}, got {', '.join(names) or 'none'}. See mmif_amin/deploy/README.md."
        )
    return text


def candidates_in(folder: str | os.PathLike) -> list[Candidate]:
    """The series of a folder.

    Raises:
        InputError: When a file is damaged, because nobody knows which series lacks it.
    """
    found = []
    scan = scan_folder(folder)
    if scan.unreadable:
        raise InputError(
            f"expected whole images, {len(scan.unreadable)} cannot be used: {next(iter(scan.unreadable.values()))}"
        )
    for series in scan.series:
        header = read_header(series.files[0])
        study = str(header.get("StudyInstanceUID", ""))
        found.append(Candidate(study, series.uid, header, series.images, series.files))
    return found


def choose_by_rules(
    rules: str, candidates: Sequence[Candidate], same_patient: bool = False
) -> tuple[Candidate, Candidate]:
    """The structural and the functional series. What this product made itself is never a source.

    Args:
        rules: what :func:`read_rules` returns.
        candidates: the series to choose from.
        same_patient: whether two ids, names or birth dates are known to be one person's. Defaults to False.

    Raises:
        InputError: When a role has no series or several, which are listed; when the patients differ; or when a
            condition cannot be applied.
    """
    chosen = []
    candidates = [candidate for candidate in candidates if candidate.header.get("Manufacturer") != PRODUCT]
    for role in (STRUCTURAL, FUNCTIONAL):
        conditions = next(rule["conditions"] for rule in json.loads(rules)["selections"] if rule["name"] == role)
        hits = [c for c in candidates if all(_fits(c.header, key, wanted) for key, wanted in conditions.items())]
        if len(hits) != 1:
            listing = "; ".join(map(str, hits or candidates)) or "none"
            many = f"{len(hits)} fit the rules" if hits else "none fits the rules"
            raise InputError(f"expected one {role} series, {many}. There are: {listing}. Change the rules.")
        chosen.append(hits[0])
    differs_in = Patient.of(chosen[0].header).differs_in(Patient.of(chosen[1].header))
    if differs_in and not same_patient:
        raise InputError(
            f"expected two series of one patient, they differ in {' and '.join(differs_in)}. Correct it at the "
            "archive, or, if both are one person's, say so with --same-patient."
        )
    return chosen[0], chosen[1]


def _fits(header: Any, key: str, wanted: Any) -> bool:
    """Whether an element of a header meets one condition."""
    value = header.get(key)
    if key == IMAGE_TYPE:
        return _has_words(value, wanted)
    if not wanted:
        return True
    if value is None or value == "":
        return False
    if isinstance(value, (int, float)):
        return _meets_number(float(value), key, wanted)
    if isinstance(wanted, str):
        try:
            return re.search(wanted, str(value), re.IGNORECASE) is not None
        except re.error as error:
            raise _cannot_apply(key, f"{wanted!r} is no regular expression: {error}") from error
    if isinstance(wanted, list) and all(isinstance(word, str) for word in wanted):
        return _has_words(value, wanted)
    raise _cannot_apply(key, f"the element holds text, the condition is {wanted!r}")


def _has_words(value: Any, words: Sequence[str] | str) -> bool:
    """Whether an element has each word, and none of those that begin with an exclamation mark."""
    there = {value} if isinstance(value, str) else set(value or ())
    wanted = [words] if isinstance(words, str) else words
    return all((word[1:] not in there) if word.startswith("!") else (word in there) for word in wanted)


def _meets_number(value: float, key: str, wanted: Any) -> bool:
    """A number, [from, to], [number, comparison], or a regular expression for the whole of it."""
    if isinstance(wanted, str):
        return re.fullmatch(wanted, f"{value:g}") is not None
    if isinstance(wanted, (int, float)):
        return value == wanted
    if isinstance(wanted, list) and len(wanted) == 2 and isinstance(wanted[0], (int, float)):
        if isinstance(wanted[1], (int, float)):
            return wanted[0] <= value <= wanted[1]
        if wanted[1] in COMPARISONS:
            return bool(COMPARISONS[wanted[1]](value, wanted[0]))
    raise _cannot_apply(key, f"the element holds a number, the condition is {wanted!r}")


def _cannot_apply(key: str, why: str) -> InputError:
    return InputError(f"the rules' condition for {key} cannot be applied: {why}. Correct the rules.")
