"""What a table of metrics is written as: CSV, one row an image, and Markdown, the means by task."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from ..utils.files import write_atomically
from .suite import METRIC_NAMES

__all__ = ["markdown_table", "write_rows", "write_table"]


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


def markdown_table(means: dict[str, float]) -> str:
    """Render the means of a :class:`FusionMetricSuite` as a Markdown table, one row a metric, one column a task.

    Args:
        means: its ``aggregate()``.
    """
    tasks = sorted({name.split("/")[0] for name in means if "/" in name})
    lines = ["| metric | " + " | ".join([*tasks, "mean"]) + " |", "| --- |" + " ---: |" * (len(tasks) + 1)]
    for name in (*METRIC_NAMES, "score"):
        values = [means[f"{task}/{name}"] for task in tasks] + [means[name]]
        lines.append(f"| {name} | " + " | ".join(f"{value:.4f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


def write_table(path: str | os.PathLike, means: dict[str, float]) -> None:
    """Write :func:`markdown_table` to a file."""
    write_atomically(path, lambda temporary: temporary.write_text(markdown_table(means)))
