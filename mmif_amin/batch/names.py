"""Names and errors of a batch that do not say who the patient is."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..scripts.data.study import Study
from ..scripts.dicom.privacy import patient_words
from ..scripts.utils.checks import InputError, input_error_behind
from ..scripts.utils.files import is_nifti, write_atomically

__all__ = ["hashed_name", "keep_key", "public_name", "public_reason"]

KEY_SUFFIX = "_key"
KEY_COLUMNS = ("name", "study", "source_a", "source_b")


def public_name(study: Study) -> str:
    """Name of a study for its folder and for the table.

    It is the study's own name, or :func:`hashed_name` where that holds a word of the name or the id in its DICOM.
    """
    words = set().union(*(patient_words(path) for path in (study.source_a, study.source_b) if not is_nifti(path)))
    letters = re.sub(r"[\W_]+", "", study.name).lower()
    return hashed_name(study) if any(word in letters for word in words) else study.name


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
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the key of an earlier run: {error}. Move it away.") from error
    if tuple(header) != KEY_COLUMNS or any(len(row) != len(KEY_COLUMNS) for row in rows):
        raise InputError(f"{path}: expected the columns {', '.join(KEY_COLUMNS)}. Move it away.")
    return {name: tuple(rest) for name, *rest in rows}


def public_reason(error: BaseException, study: Study, name: str) -> str:
    """Say in one line why a study failed.

    Args:
        error: what was raised.
        study: the study. Its paths become A and B and its name becomes ``name``, because both may name the patient.
        name: its public name.
    """
    cause = input_error_behind(error)
    while cause is None and (behind := error.__cause__ or error.__context__):
        error = behind
    text = str(cause) if cause else f"{type(error).__name__}: {error}".removesuffix(": ")
    for path, letter in ((study.source_a, "A"), (study.source_b, "B")):
        for spelling in (os.path.realpath(path), os.path.abspath(path), path, str(Path(path))):
            text = text.replace(spelling, letter)
    text = text.replace(study.name, name)
    return "; ".join(line.strip() for line in text.splitlines())
