"""The table ``batch.csv``: one row a study."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..scripts.data.study_report import StudyReport
from ..scripts.utils.checks import InputError
from ..scripts.utils.files import write_atomically

__all__ = ["DONE_BEFORE", "FAILED", "FUSED", "TABLE_NAME", "Row", "read_table", "write_table"]

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
        warning: what a person must know of how the two lie to each other. Defaults to None.
    """

    name: str
    status: str
    seconds: float | None = None
    VIF: float | None = None
    VIFlocal: float | None = None
    Qabf: float | None = None
    registration_nmi: float | None = None
    error: str | None = None
    warning: str | None = None

    @classmethod
    def of_report(cls, name: str, status: str, report: StudyReport) -> Row:
        """The row of a study that has its report."""

        def metric(key: str) -> float | None:
            return round(report.metrics[key], 4) if key in report.metrics else None

        after = round(report.registration.after, 4) if report.registration else None
        figures = metric("VIF"), metric("VIFlocal"), metric("Qabf"), after
        warning = report.alignment.warning if report.alignment else None
        return cls(name, status, report.seconds, *figures, warning=warning)


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


def read_table(path: Path) -> list[Row]:
    """Read a table that :func:`write_table` wrote.

    Raises:
        InputError: When nothing is there, or it has other columns or other values.
    """
    names = [field.name for field in fields(Row)]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != names:
                raise InputError(f"{path}: expected the columns {', '.join(names)}. Fuse these studies again.")
            return [_row(line) for line in reader]
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected the table of a batch, found nothing there. Has that part ended?") from error
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected the table of a batch, got: {error}. Fuse these studies again.") from error


def _row(line: dict[str, str]) -> Row:
    texts = {"name", "status", "error", "warning"}
    return Row(**{key: (value if key in texts else float(value)) if value else None for key, value in line.items()})  # type: ignore[arg-type]
