"""The patient's privacy: words that name the patient, and holding back what DICOM packages log."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..utils.checks import InputError
from .header import files_in, is_dicom, read_dataset

__all__ = [
    "BURNED_IN",
    "PATIENT_TAGS",
    "TERMS",
    "burned_in",
    "holds_word",
    "patient_words",
    "public_text",
    "public_word",
    "quiet_pydicom",
    "without_header_texts",
    "without_uids",
]

PATIENT_TAGS = ("PatientName", "PatientID")
TELLING_TAGS = (*PATIENT_TAGS, "OtherPatientNames", "OtherPatientIDs", "PatientBirthName", "AccessionNumber")
BIRTH_TAG = "PatientBirthDate"
DESCRIBING_TAGS = (  # free text of a header that messages quote, or might
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "ReferringPhysicianName",
    "OperatorsName",
    "InstitutionName",
    "StudyID",
)
SHORTEST_WORD = 3  # letters, where parts of words are compared; shorter ones are also found in other words
SHORTEST_WHOLE_WORD = 2  # letters, where whole words are compared
LONG_WORD = 5  # letters; a word this long names the patient also as a part of another word
FIRST_IDEOGRAPH = "\u2e80"  # Chinese, Japanese and Korean letters; two of them are as telling as a long word
STROKES = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
TWO_LETTERS = str.maketrans({**{letter: f"{bare}e" for letter, bare in zip("äöüø", "aouo", strict=True)}, "å": "aa"})
UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")  # more parts than an IP address has
DATE = re.compile(r"\b(?:19|20)\d\d-[01]\d-[0-3]\d\b")  # as messages write it
HELD_BACK = "(held back)"
BURNED_IN = "text is burned into the images (BurnedInAnnotation YES), it may name the patient and is in the outputs"
# Defined terms of Units (PS3.3 C.8.9.1.1.3), RescaleType (C.11.1.1.2) and DecayCorrection (C.8.9.1.1.6).
TERMS = frozenset(
    "CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML MLML GML "
    "STDDEV OD HU US MGML Z_EFF ED EDW HU_MOD PCT START ADMIN missing".split()
)


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
def patient_words(path: str | os.PathLike) -> set[str] | None:
    """Words that name the patient of a DICOM file or folder.

    Args:
        path: any path. Damaged and locked files, and files that are not DICOM, are passed over.

    Returns:
        The words of names and ids, two letters each or more, and the date of birth as folders spell it
        (``"19700131"``, ``"31011970"``, ``"700131"``), in lower case, without accents (``"muller"`` and ``"mueller"``)
        and without separators, of the first file that has any; empty where no file has; None where none has and a file
        is damaged or locked, so that nobody knows.
    """
    damaged = False
    for header in _headers(path, (*TELLING_TAGS, BIRTH_TAG)):
        if header is None:
            damaged = True
        elif words := _words(header, tags=TELLING_TAGS) | _spellings(header[BIRTH_TAG]):
            return words
    return None if damaged else set()


def holds_word(text: str, words: Iterable[str]) -> bool:
    """Whether a text holds one of ``patient_words``, whatever it does with accents, case and separators.

    A word of two letters must stand alone; two digits are no word. A word of three may be a part of another one.

    Example:
        >>> holds_word("Mueller_t1", {"muller", "mueller"}), holds_word("li_2", {"li"}), holds_word("lid", {"li"})
        (True, True, False)
    """
    return any(
        word in ("".join(parts) if _inside(word, SHORTEST_WORD) else parts)
        for parts in map(_parts, _spelled(text))
        for word in words
        if not (word.isdigit() and len(word) < SHORTEST_WORD)
    )


def _headers(path: str | os.PathLike, tags: Sequence[str]) -> Iterator[dict[str, str] | None]:
    """These elements of each DICOM file, as text; None for a file or folder that is damaged or locked."""
    try:
        for file in files_in(Path(path)):
            try:
                if is_dicom(file):
                    header = read_dataset(file, stop_before_pixels=True, specific_tags=["SOPClassUID", *tags])
                    yield {tag: str(header.get(tag) or "") for tag in tags} if "SOPClassUID" in header else None
            except Exception:  # pydicom raises many types; a damaged file is refused where it is used
                yield None
    except InputError:  # a folder is locked
        yield None


def burned_in(headers: Iterable[Any]) -> bool:
    """Whether a header says that text is burned into its image."""
    return any(str(header.get("BurnedInAnnotation") or "").upper() == "YES" for header in headers)


def public_word(term: Any) -> str:
    """A term of a header, or, where it is none of the standard's, a remark in its place: anything may stand there.

    Example:
        >>> public_word("BQML"), public_word("DOE^JANE")
        ('BQML', '(no term of the standard)')
    """
    return str(term) if str(term) in TERMS else "(no term of the standard)"


@quiet_pydicom()
def without_header_texts(text: str, path: str | os.PathLike) -> str:
    """A message without free text of headers and without dates, any of which may lead to somebody. UIDs stay.

    Args:
        text: the message.
        path: DICOM file or folder that it is about; files that cannot be read are passed over.
    """
    headers = _headers(path, (*TELLING_TAGS, *DESCRIBING_TAGS))
    texts = {value for header in headers if header for value in header.values()}
    for known in sorted(texts, key=len, reverse=True):
        if len(known) >= SHORTEST_WHOLE_WORD:
            text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", HELD_BACK, text)
    return DATE.sub(HELD_BACK, text)


def without_uids(text: str) -> str:
    """A message without UIDs, which an archive knows.

    Example:
        >>> without_uids("series 3, UID 1.2.840.113619.2.55.3, at 127.0.0.1")
        'series 3, UID (held back), at 127.0.0.1'
    """
    return UID.sub(HELD_BACK, text)


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
    words = _words(header)
    for name in _spelled(str(header.get("PatientName") or "")):
        words |= {"".join(_parts(name)), "".join(reversed(_parts(name)))}
    for spelled in _spelled(text):
        inside = any(word in spelled for word in words if _inside(word, LONG_WORD))
        if inside or words & set(_parts(spelled)) - {""}:
            return "(names the patient)"
    return text


def _words(header: Any, tags: Sequence[str] = PATIENT_TAGS) -> set[str]:
    texts = _spelled(" ".join(str(header.get(tag) or "") for tag in tags))
    words = {word for text in texts for word in _parts(text)}
    return {word for word in words if len(word) >= SHORTEST_WHOLE_WORD or word >= FIRST_IDEOGRAPH}


def _parts(text: str) -> list[str]:
    """The words of a text, as they follow each other."""
    return [word for word in re.split(r"[\W_]+", text) if word]


def _inside(word: str, long: int) -> bool:
    """Whether a word names the patient also as a part of another word: it is long, or of two ideographs."""
    return len(word) >= long or (len(word) >= SHORTEST_WHOLE_WORD and max(word) >= FIRST_IDEOGRAPH)


def _spelled(text: str) -> set[str]:
    """A text in lower case as it is spelled where accents are not at hand: ü as u, or with an e; ł as l."""
    lower = unicodedata.normalize("NFKC", text).lower()
    spellings = (unicodedata.normalize("NFKD", one.translate(STROKES)) for one in (lower, lower.translate(TWO_LETTERS)))
    bare = ("".join(letter for letter in one if not unicodedata.combining(letter)) for one in spellings)
    return {unicodedata.normalize("NFC", one) for one in bare}


def _spellings(date: str) -> set[str]:
    """A date, YYYYMMDD, as people write it, without separators; none where it is no date."""
    if not re.fullmatch(r"\d{8}", date):
        return set()
    year, month, day = date[:4], date[4:6], date[6:]
    orders = ((year, month, day), (day, month, year), (month, day, year))
    return {"".join(order) for order in orders} | {"".join(order).replace(year, year[2:], 1) for order in orders}
