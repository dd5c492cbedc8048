"""Fusing many studies: one row each, and the engine that does it one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..dicom_objects.deidentify import deidentifies
from ..scripts.data.study import Study
from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.checks import InputError
from ..scripts.utils.files import check_writable
from ..studies import fuse_study, with_network
from .names import hashed_name, keep_key, public_name, public_reason
from .table import DONE_BEFORE, FAILED, FUSED, TABLE_NAME, Row, write_table

__all__ = ["Engine", "fuse_one", "fuse_studies", "one_after_the_other"]

REST = 20  # a table that takes long to write is written less often: for a 20th of the time at most

# Takes studies, the output and overrides of inference_volume.json; yields each study's position and its row.
Engine = Callable[[Sequence[Study], Path, Mapping[str, Any]], Iterator[tuple[int, Row]]]


def one_after_the_other(
    studies: Sequence[Study], output: Path, options: Mapping[str, Any]
) -> Iterator[tuple[int, Row]]:
    """Fuse the studies in this process, with one network for all of them; an :data:`Engine`."""
    options = with_network(options)
    for index, study in enumerate(studies):
        yield index, fuse_one(study, output, options)


def fuse_studies(
    studies: Sequence[Study],
    output: str | os.PathLike,
    task: str | None,
    options: Mapping[str, Any],
    *,
    table_name: str = TABLE_NAME,
    engine: Engine = one_after_the_other,
    publish: Callable[[Study, Row], None] | None = None,
) -> tuple[int, Path]:
    """Fuse many studies; the table says which failed and why, and the others go on.

    A study whose folder has its report is done and is left as it is, so an interrupted batch goes on where it was. A
    study whose name may lead to its patient, see ``public_name``, gets a name made of its hash, and ``batch_key.csv``,
    which only its owner can read, says which study that is.

    Args:
        studies: the studies.
        output: folder; each study gets a folder of its name in it, and the table a row.
        task: task of those that do not name theirs.
        options: overrides of ``inference_volume.json``.
        table_name: of the table in ``output``. Defaults to ``"batch.csv"``.
        engine: fuses them. Defaults to :func:`one_after_the_other`.
        publish: gets each fused study and its row, to copy the result elsewhere. Defaults to None.

    Returns:
        How many failed, and the table.

    Raises:
        InputError: When the output, or in the end the table, cannot be written, or the engine cannot work.
    """
    table = Path(output) / table_name
    check_writable(table)
    studies = [replace(study, task=study.task or task) for study in studies]
    rows: dict[int, Row] = {}
    next_write = 0.0
    with tqdm(total=len(studies), desc="studies", unit="study") as bar:
        for index, row in engine(studies, Path(output), options) if studies else ():
            rows[index] = _published(studies[index], row, publish)
            bar.update()
            if rows[index].status == FAILED:
                tqdm.write(f"{row.name}: {rows[index].error}")
            if (began := time.monotonic()) >= next_write:
                try:
                    _write(table, studies, rows)
                except InputError as error:  # such as a table that is open in a spreadsheet program; may work next time
                    tqdm.write(str(error))
                next_write = began + REST * (time.monotonic() - began)
    _write(table, studies, rows)
    return sum(row.status == FAILED for row in rows.values()), table


def fuse_one(study: Study, output: Path, options: Mapping[str, Any]) -> Row:
    """Fuse one study unless it is done; whatever is wrong with it becomes a row and stops nothing."""
    name = hashed_name(study)  # until it is known that its own name is not the patient's
    try:
        name = public_name(study, deidentifies(options))
        status = _fuse_unless_done(study, output / name, options)
        return Row.of_report(name, status, StudyReport.read(output / name / REPORT_NAME))
    except Exception as error:
        return Row(name, FAILED, error=public_reason(error, study, name))


def _fuse_unless_done(study: Study, folder: Path, options: Mapping[str, Any]) -> str:
    """Fuse a study and return its status; another process may do the same at the same time."""
    report = folder / REPORT_NAME
    if report.is_file():
        return DONE_BEFORE
    try:
        fuse_study(study, folder, options)
    except Exception:
        if report.is_file():  # the other process was faster
            return DONE_BEFORE
        raise
    return FUSED


def _published(study: Study, row: Row, publish: Callable[[Study, Row], None] | None) -> Row:
    """The row, after the result was published; that of a failed study where that fails."""
    if publish is None or row.status == FAILED:
        return row
    try:
        publish(study, row)
    except Exception as error:
        return Row(row.name, FAILED, error=public_reason(error, study, row.name))
    return row


def _write(table: Path, studies: Sequence[Study], rows: Mapping[int, Row]) -> None:
    """Write the table of the studies that have ended, in the order of the studies, and the key of their names."""
    keep_key(table, ((studies[index], row.name) for index, row in rows.items()))
    write_table(table, [rows[index] for index in sorted(rows)])
