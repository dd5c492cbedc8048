"""The patient's privacy: words that name the patient, and holding back what DICOM packages log."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .header import files_in, is_dicom, require

__all__ = ["PATIENT_TAGS", "patient_words", "public_text", "quiet_pydicom"]

PATIENT_TAGS = ("PatientName", "PatientID")
SHORTEST_WORD = 3  # letters, where parts of words are compared; shorter ones are also found in other words
SHORTEST_WHOLE_WORD = 2  # letters, where whole words are compared
LONG_WORD = 5  # letters; a word this long names the patient also as a part of another word


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Hold back what pydicom and highdicom warn and log, because they quote the header, with the patient's name."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@quiet_pydicom()
def patient_words(path: str | os.PathLike) -> set[str]:
    """Words that name the patient of a DICOM file or folder.

    Args:
        path: any path. Damaged files, and files that are not DICOM, are passed over.

    Returns:
        The words of name and id in lower case, at least three letters each, of the first file that has any; empty
        where no file has.
    """
    for file in filter(is_dicom, files_in(Path(path))):
        try:
            header = require("pydicom").dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=list(PATIENT_TAGS)
            )
        except Exception:  # pydicom raises many types; a damaged file is refused where it is used
            continue
        if words := _words(header):
            return words
    return set()


def public_text(text: str, header: Any) -> str:
    """The text, or, where it names the patient, a remark in its place.

    It names the patient where one of its words is a word of the name or the id in ``header``, or the whole name written
    together, or where a long word of them is a part of it. Three letters that happen to be the same do not.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PatientName = "LAW^AXEL"
        >>> public_text("AX T1 lawn", header), public_text("T1_law", header)
        ('AX T1 lawn', '(names the patient)')
    """
    words = _words(header, SHORTEST_WHOLE_WORD)
    parts = re.split(r"[\W_]+", text.lower())
    named = words | {"".join(_in_order(header)), "".join(reversed(_in_order(header)))}
    inside = any(word in text.lower() for word in words if len(word) >= LONG_WORD)
    return "(names the patient)" if inside or named & set(parts) - {""} else text


def _words(header: Any, shortest: int = SHORTEST_WORD) -> set[str]:
    text = " ".join(str(header.get(tag) or "") for tag in PATIENT_TAGS).lower()
    return {word for word in re.split(r"[\W_]+", text) if len(word) >= shortest}


def _in_order(header: Any) -> list[str]:
    """The words of the name, as they follow each other."""
    return [word for word in re.split(r"[\W_]+", str(header.get("PatientName") or "").lower()) if word]
