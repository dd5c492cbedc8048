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
SHORTEST_WORD = 3  # letters; shorter words are also found in other words


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
    for file in filter(is_dicom, sorted(files_in(Path(path)))):
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
    """The text, or, where it holds a word of the patient's name or id, a remark in its place."""
    return "(names the patient)" if any(word in text.lower() for word in _words(header)) else text


def _words(header: Any) -> set[str]:
    text = " ".join(str(header.get(tag) or "") for tag in PATIENT_TAGS).lower()
    return {word for word in re.split(r"[\W_]+", text) if len(word) >= SHORTEST_WORD}
