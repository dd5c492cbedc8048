"""The two ways in which tables are written: Markdown and CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .files import write_atomically

__all__ = ["markdown_table", "write_csv"]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Render a Markdown table.

    Args:
        header: names of the columns.
        rows: cells, as many in each row as there are columns.
        left: how many columns, from the first one, are aligned to the left; the others are aligned to the right.
            Defaults to 1.

    Raises:
        ValueError: When a row has another number of cells than the header.

    Example:
        >>> print(markdown_table(["metric", "mean"], [["VIF", "0.6"]]), end="")
        | metric | mean |
        | --- | ---: |
        | VIF | 0.6 |
    """
    lines = [list(header), ["---"] * left + ["---:"] * (len(header) - left)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"A row of the table must have {len(header)} cells, {list(header)}, got {list(row)}.")
        lines.append(list(row))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write_csv(path: str | os.PathLike, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file, completely or not at all; floats get six decimals.

    Args:
        path: CSV file.
        header: names of the columns.
        rows: cells.

    Returns:
        The file.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row] for row in rows)

    return write_atomically(path, write)
