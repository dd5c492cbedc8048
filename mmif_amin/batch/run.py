"""Fusing many studies, one after the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..scripts.data.study import Study
from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.checks import InputError
from ..scripts.utils.files import check_writable
from ..studies import fuse_study
from .names import hashed_name, public_name, public_reason
from .table import DONE_BEFORE, FAILED, FUSED, TABLE_NAME, Row, write_table

__all__ = ["fuse_studies"]


def fuse_studies(
    studies: Sequence[Study], output: str | os.PathLike, task: str | None, options: Mapping[str, Any]
) -> tuple[int, Path]:
    """Fuse many studies; the table says which failed and why, and the others go on.

    A study whose folder has its report is done and is left as it is, so an interrupted batch goes on where it was. A
    study that is named after its patient (the name or the id in its DICOM) gets a name made of its hash.

    Args:
        studies: the studies.
        output: folder; each study gets a folder of its name in it, and ``batch.csv`` a row.
        task: task of those that do not name theirs.
        options: overrides of ``inference_volume.json``.

    Returns:
        How many failed, and the table.

    Raises:
        InputError: When the output, or in the end the table, cannot be written.
    """
    output = Path(output)
    check_writable(output / TABLE_NAME)
    table = output / TABLE_NAME
    rows: list[Row] = []
    for study in tqdm(studies, desc="studies", unit="study"):
        rows.append(_fuse(replace(study, task=study.task or task), output, options))
        try:
            write_table(table, rows)
        except InputError as error:  # such as a table that is open in a spreadsheet program; the next try may work
            tqdm.write(str(error))
    write_table(table, rows)
    return sum(row.status == FAILED for row in rows), table


def _fuse(study: Study, output: Path, options: Mapping[str, Any]) -> Row:
    """Fuse one study unless it is done; whatever is wrong with it becomes a row and stops nothing."""
    name = hashed_name(study)  # until it is known that its own name is not the patient's
    try:
        name = public_name(study)
        report = output / name / REPORT_NAME
        status = DONE_BEFORE if report.is_file() else FUSED
        if status == FUSED:
            fuse_study(study, output / name, options)
        return Row.of_report(name, status, StudyReport.read(report))
    except Exception as error:
        row = Row(name, FAILED, error=public_reason(error, study, name))
        tqdm.write(f"{name}: {row.error}")
        return row
