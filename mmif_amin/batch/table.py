"""The table ``batch.csv``: one row a study."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..scripts.data.study_report import StudyReport
from ..scripts.utils.files import write_atomically

__all__ = ["DONE_BEFORE", "FAILED", "FUSED", "TABLE_NAME", "Row", "write_table"]

TABLE_NAME = "batch.csv"
FUSED, DONE_BEFORE, FAILED = "fused", "done before", "failed"


@dataclass(frozen=True)
class Row:
    """What became of one study; the fields are the columns, and what is not known stays empty.

    Args:
        name: public name of the study.
        status: ``"fused"``, ``"done before"`` or ``"failed"``.
        seconds: how long it took. Defaults to None.
        VIF: see the metric of this name. Defaults to None.
        VIFlocal: see the metric of this name. Defaults to None.
        Qabf: see the metric of this name. Defaults to None.
        registration_nmi: normalized mutual information after the registration. Defaults to None.
        error: why it failed. Defaults to None.
    """

    name: str
    status: str
    seconds: float | None = None
    VIF: float | None = None
    VIFlocal: float | None = None
    Qabf: float | None = None
    registration_nmi: float | None = None
    error: str | None = None

    @classmethod
    def of_report(cls, name: str, status: str, report: StudyReport) -> Row:
        """The row of a study that has its report."""

        def metric(key: str) -> float | None:
            return round(report.metrics[key], 4) if key in report.metrics else None

        after = round(report.registration.after, 4) if report.registration else None
        return cls(name, status, report.seconds, metric("VIF"), metric("VIFlocal"), metric("Qabf"), after)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the table; a reader finds the old one or the new one, never a part.

    Raises:
        InputError: When it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_atomically(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8"))
