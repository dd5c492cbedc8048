"""Finding the studies of a batch."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..scripts.data.study import Study
from ..scripts.utils.checks import InputError
from ..scripts.utils.files import NIFTI_SUFFIXES, is_nifti

__all__ = ["find_studies"]

COLUMNS = ("name", "source_a", "source_b", "task", "series_a", "series_b", "volume_a", "volume_b")


def find_studies(path: str | os.PathLike) -> list[Study]:
    """Studies of a batch, from a CSV table or a folder.

    Args:
        path: a CSV table with the columns ``source_a``, ``source_b`` and, if wanted, ``name``, ``task``, ``series_a``,
            ``series_b``, ``volume_a``, ``volume_b`` (paths relative to it); or a folder with one folder for each study,
            which holds two NIfTI files, ``a.nii.gz`` and ``b.nii.gz`` (or ``source_a``, ``source_b``), or two folders
            ``a`` and ``b``, or DICOM of one structural series and one to fuse with it.

    Returns:
        The studies, in the order of the table, or by name.

    Raises:
        InputError: When nothing is there, a column is missing or unknown, a cell is missing or too many, or a name is
            given twice or is a path.
    """
    path = Path(path)
    if path.is_dir():
        studies = [_folder_study(folder) for folder in _by_name(path) if folder.is_dir()]
    elif path.suffix.lower() == ".csv" and path.is_file():
        studies = _table(path)
    else:
        raise InputError(f"{path}: expected a folder of studies or a .csv table, found nothing of the kind there.")
    if not studies:
        raise InputError(f"{path}: expected at least one study, found none.")
    names = [study.name for study in studies]
    odd = [name for name in names if Path(name).name != name or name in (".", "..") or is_nifti(name)]
    if odd:
        raise InputError(f"{path}: expected a plain name for each study, without .nii, got '{odd[0]}'.")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"{path}: expected each name once, '{twice[0]}' is there {names.count(twice[0])} times.")
    return studies


def _by_name(folder: Path) -> list[Path]:
    """What is in a folder, in the order of the names' characters, which is the same on each machine."""
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror or error}. Check its permissions.") from error


def _is_there(path: Path) -> bool:
    """Whether something is there; what is in a locked folder is for the study's own row to say."""
    try:
        return path.exists()
    except OSError:
        return False


def _folder_study(folder: Path) -> Study:
    sources = []
    for letter in "ab":
        names = [f"{stem}{suffix}" for stem in (letter, f"source_{letter}") for suffix in ("", *NIFTI_SUFFIXES)]
        sources.append(next((folder / name for name in names if _is_there(folder / name)), folder))
    return Study(str(sources[0]), str(sources[1]), folder.name)


def _name_of(row: Mapping[str, str]) -> str:
    """The name of a row that has none: it goes by what the row fuses, so that a result is never taken for another's."""
    text = "\n".join(row.get(column, "") for column in COLUMNS)
    return f"pair-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _table(path: Path) -> list[Study]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a table in UTF-8, got another encoding. Save it as CSV UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path}: expected a table of text, there is a zero byte in it. Save it as CSV UTF-8.")
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        fields, lines = {field.strip() for field in reader.fieldnames or ()}, list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: expected a table that can be read, got: {error}.") from error
    missing, unknown = {"source_a", "source_b"} - fields, fields - set(COLUMNS)
    if missing or unknown:
        raise InputError(
            f"{path}: expected the columns source_a and source_b, and perhaps name, task, series_a, series_b, "
            f"volume_a, volume_b, separated by commas; {'missing' if missing else 'unknown'}: "
            f"{', '.join(sorted(missing or unknown))}."
        )
    studies = []
    for number, line in enumerate(lines, start=1):
        if None in line:
            raise InputError(f"{path}: row {number}: expected {len(fields)} columns, there are more.")
        row = {key.strip(): value.strip() for key, value in line.items() if value and value.strip()}
        if not row:
            continue
        if not {"source_a", "source_b"} <= set(row):
            raise InputError(f"{path}: row {number}: expected source_a and source_b, one of them is empty.")
        name = _name_of(row)
        sources = {key: str(path.parent / row.pop(key)) for key in ("source_a", "source_b")}
        studies.append(Study(**{"name": name, **row, **sources}))  # type: ignore[arg-type]
    return studies
