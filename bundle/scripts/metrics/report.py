"""What a table of metrics is written as: CSV, one row an image, and Markdown, one row a task."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from ..utils.image_io import write_atomically
from .suite import METRIC_NAMES

__all__ = ["markdown_table", "write_rows"]


def write_rows(path: str | os.PathLike, names: Sequence[tuple[str, str]], rows: Sequence[Sequence[float]]) -> None:
    """Write one row an image.

    Args:
        path: CSV file.
        names: task and name of each image.
        rows: values of each image in the order of ``METRIC_NAMES``.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "name", *METRIC_NAMES])
            for (task, name), row in zip(names, rows, strict=True):
                writer.writerow([task, name, *(f"{value:.6f}" for value in row)])

    write_atomically(path, write)


def markdown_table(means: dict[str, float], tasks: Sequence[str]) -> str:
    """Render the means of a :class:`FusionMetricSuite` as a Markdown table, one row a task.

    Args:
        means: its ``aggregate()``.
        tasks: the rows.
    """
    names = ("score", *METRIC_NAMES)
    lines = ["| task | " + " | ".join(names) + " |", "|" + " --- |" * (len(names) + 1)]
    for task in tasks:
        lines.append(f"| {task} | " + " | ".join(f"{means[f'{task}/{name}']:.4f}" for name in names) + " |")
    lines.append("| mean | " + " | ".join(f"{means[name]:.4f}" for name in names) + " |")
    return "\n".join(lines)
