"""Names and errors of a batch that do not say who the patient is."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from ..scripts.data.study import Study
from ..scripts.dicom.header import files_in
from ..scripts.dicom.privacy import holds_word, patient_words, without_header_texts, without_uids
from ..scripts.utils.checks import InputError, input_error_behind
from ..scripts.utils.files import is_nifti, write_atomically

__all__ = ["hashed_name", "keep_key", "public_name", "public_reason"]

KEY_SUFFIX = "_key"
KEY_COLUMNS = ("name", "study", "source_a", "source_b")


PLAIN = re.compile(r"\w[\w .,@()+=-]{0,99}")  # letters of a name that every disk and spreadsheet takes as it is
LONG_NAME = 5  # letters, from which a study's name means it inside of another word too
DATE = re.compile(r"(?<!\d)(?:(?:19|20)\d\d([-_. ]?)[01]\d\1[0-3]\d|[0-3]\d([-_. ]?)[01]\d\2(?:19|20)\d\d)(?!\d)")


def public_name(study: Study, hidden: bool = False) -> str:
    """Name of a study for its folder and for the table.

    It is the study's own name, or :func:`hashed_name` where that may lead to the patient: where it holds a word of the
    names or ids, with or without its accents, or the date of birth in its DICOM, where damage keeps these from being
    read, and where it holds any date while NIfTI alone tells of nobody. So is a name that a disk, a spreadsheet or the
    batch's own table would not take as it is.

    Args:
        study: the study.
        hidden: whether to give no study its own name. Defaults to False.
    """
    if hidden or not PLAIN.fullmatch(study.name) or study.name.lower().endswith(".csv"):
        return hashed_name(study)
    files = [path for path in (study.source_a, study.source_b) if not is_nifti(path)]
    if not files:
        return hashed_name(study) if DATE.search(study.name) else study.name
    for path in files:
        words = patient_words(path)
        if words is None or holds_word(study.name, words):
            return hashed_name(study)
    return study.name


def hashed_name(study: Study) -> str:
    """A name made of the hash of the study's own name: the same in each run, and nobody reads a patient's name in it.

    Example:
        >>> hashed_name(Study("a.nii", "b.nii", name="DOE_JANE"))
        'study-ccde0451'
    """
    return f"study-{hashlib.sha256(study.name.encode()).hexdigest()[:8]}"


def keep_key(table: Path, studies: Iterable[tuple[Study, str]]) -> None:
    """Write down beside a batch's table which study a pseudonym stands for, readable by its owner only.

    What an earlier run has written is kept. No file is made where every study keeps its own name.

    Args:
        table: of the batch; the key is beside it, with ``_key`` after its name.
        studies: each with its public name.

    Raises:
        InputError: When the key of an earlier run cannot be read, or the key cannot be written.
    """
    path = table.with_name(f"{table.stem}{KEY_SUFFIX}{table.suffix}")
    named = {name: (study.name, study.source_a, study.source_b) for study, name in studies if name != study.name}
    rows = _read_key(path) if named else {}
    if all(rows.get(name) == row for name, row in named.items()):
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(KEY_COLUMNS)
    writer.writerows((name, *row) for name, row in {**rows, **named}.items())
    content = text.getvalue()
    write_atomically(path, lambda temporary: temporary.write_text(content, encoding="utf-8"), mode=0o600)


def _read_key(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.exists():
        return {}
    try:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: expected the key of an earlier run: {error}. Move it away.") from error
    if tuple(header) != KEY_COLUMNS or any(len(row) != len(KEY_COLUMNS) for row in rows):
        raise InputError(f"{path}: expected the columns {', '.join(KEY_COLUMNS)}. Move it away.")
    return {name: tuple(rest) for name, *rest in rows}


def public_reason(error: BaseException, study: Study, name: str) -> str:
    """Say in one line why a study failed, without anything that may lead to the patient.

    The study's paths become A and B, a file in them its number in the order of names, and its name becomes ``name``.
    Free text of its headers, UIDs and dates are held back. Of an error of the program, which may quote anything, only
    its kind and its place are told.

    Args:
        error: what was raised.
        study: the study.
        name: its public name.
    """
    cause = input_error_behind(error)
    text = str(cause) if cause else _kind_and_place(error)
    sources = ((study.source_a, "A"), (study.source_b, "B"))
    for path, letter in sources:
        text = _without_files(text, path, letter)
    if name != study.name:
        text = _named(text, study.name, name)
    for path, _ in sources:
        if not is_nifti(path):
            text = without_header_texts(text, path)
    return "; ".join(line.strip() for line in without_uids(text).splitlines())


def _named(text: str, own: str, name: str) -> str:
    """The text with a public name in place of a study's own; a short one only where it stands alone."""
    return text.replace(own, name) if len(own) >= LONG_NAME else re.sub(rf"(?<!\w){re.escape(own)}(?!\w)", name, text)


def _kind_and_place(error: BaseException) -> str:
    """What kind of error was raised first, and where; of an error of the system what it says."""
    while behind := error.__cause__ or error.__context__:
        error = behind
    if isinstance(error, OSError) and error.errno:
        return f"{type(error).__name__}: {os.strerror(error.errno)}"
    places = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(places[-1].filename).name}, line {places[-1].lineno}" if places else ""
    return type(error).__name__ + place


def _without_files(text: str, path: str, letter: str) -> str:
    """The text with a letter in place of a source's path, and numbers in place of the names of files in it."""
    spellings = {os.path.realpath(path), os.path.abspath(path), path.rstrip(os.sep), str(Path(path))}
    longest_first = sorted(filter(None, spellings), key=len, reverse=True)
    if any(f"{spelling}{os.sep}" in text for spelling in longest_first):
        try:
            files = list(files_in(Path(path)))
        except InputError:  # the folder is locked
            files = []
        for number, file in sorted(enumerate(files, start=1), key=lambda pair: len(str(pair[1])), reverse=True):
            for spelling in longest_first:
                text = text.replace(os.path.join(spelling, os.path.relpath(file, path)), f"{letter}, file {number}")
    for spelling in longest_first:
        text = re.sub(rf"(?<!\w){re.escape(spelling)}(?:{re.escape(os.sep)}[^:;,'\"\n]*)?(?!\w)", letter, text)
    return text
