"""Whose series it is: telling patients apart by their headers, without ever quoting them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["IDENTITY_TAGS", "Patient", "number_patients"]

IDENTITY_TAGS = ("PatientID", "PatientName", "PatientBirthDate")


@dataclass(frozen=True)
class Patient:
    """Who a series belongs to. It prints nothing of it.

    Args:
        values: PatientID, PatientName and PatientBirthDate, without what two systems write differently: case, carets,
            commas, blanks, and the points of old dates. Empty where the header has none.
    """

    values: tuple[str, str, str] = field(repr=False)

    @classmethod
    def of(cls, header: Any) -> Patient:
        """The patient of a header."""
        identity, name, born = (str(header.get(tag) or "") for tag in IDENTITY_TAGS)
        words = re.sub(r"[\s^,]+", " ", name.split("=")[0])  # without the name's ideographic and phonetic spelling
        return cls((_plain(identity), _plain(words), re.sub(r"\D", "", born)))

    def differs_in(self, other: Patient) -> tuple[str, ...]:
        """Tags that both have, with different values."""
        pairs = zip(IDENTITY_TAGS, self.values, other.values, strict=True)
        return tuple(tag for tag, one, two in pairs if one and two and one != two)

    def not_compared(self, other: Patient) -> tuple[str, ...]:
        """Tags that only one of the two has; all of them where no tag could be compared."""
        pairs = list(zip(IDENTITY_TAGS, self.values, other.values, strict=True))
        if not any(one and two for _, one, two in pairs):
            return IDENTITY_TAGS
        return tuple(tag for tag, one, two in pairs if bool(one) != bool(two))


def number_patients(patients: Sequence[Patient]) -> list[int]:
    """The same number, from 1, for those that no tag tells apart."""
    groups: list[list[Patient]] = []
    numbers = []
    for patient in patients:
        hits = (k for k, group in enumerate(groups) if not any(patient.differs_in(known) for known in group))
        k = next(hits, len(groups))
        if k == len(groups):
            groups.append([])
        if patient not in groups[k]:
            groups[k].append(patient)
        numbers.append(k + 1)
    return numbers


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
