"""The benchmark's result, and its two reports: Markdown and one self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ..scripts.metrics.suite import METRIC_NAMES
from ..scripts.utils.files import write_atomically
from .statistics import FIELD_METRICS, TESTED_METRICS

__all__ = ["OURS", "BenchmarkResult", "ShownPair", "TaskResult", "markdown_report", "write_html_report"]

OURS = "MMIF-AMIN"
SIGNIFICANT = 0.05
COLUMNS = (*FIELD_METRICS, "ssim", "VIFmin", "Qabf_min", "VIFlocal", "background")
TEMPLATE = Path(__file__).with_name("report.html")
PLACEHOLDER = "/*RESULT*/null"


@dataclass
class TaskResult:
    """What the benchmark found on one task.

    Args:
        names: name of each image.
        values: method to (N, K) array, K as ``METRIC_NAMES``.
        means: method to metric to mean.
        intervals: method to metric to the ends of its 95 % interval.
        ranks: method to mean rank.
        tests: method to metric to ``difference`` and ``p`` of this bundle's method against it.
        warnings: method to the ways in which it behaves like a probe.
    """

    names: list[str]
    values: dict[str, np.ndarray]
    means: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    ranks: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def by_rank(self) -> list[str]:
        """Methods, the best mean rank first."""
        return sorted(self.ranks, key=self.ranks.__getitem__)


@dataclass
class BenchmarkResult:
    """What the benchmark found: the probes among the methods, and the results by task."""

    probes: list[str]
    tasks: dict[str, TaskResult]


@dataclass
class ShownPair:
    """One pair for the page.

    Args:
        task: its task.
        name: its name.
        image: both sources, (2, H, W) in [0, 1].
        color: source B in its colours, (3, H, W) in [0, 1].
        fused: method to fused image, (H, W) in [0, 1].
    """

    task: str
    name: str
    image: np.ndarray
    color: np.ndarray
    fused: dict[str, np.ndarray]


def markdown_report(result: BenchmarkResult) -> str:
    """Render tables with 95 % intervals, ranks, significance and warnings as Markdown."""
    lines = ["# Benchmark", ""]
    lines += [
        f"Mean rank over {', '.join(FIELD_METRICS)}; 1 is best. Probes (in italics) are no fusions: they show what",
        "the figures can be cheated with, take part in no rank but their own, and are never bold. Brackets: 95 %",
        "interval of the mean, whole patients drawn (single images where there is one patient). \\*: differs from "
        f"{OURS} (Wilcoxon signed-rank, Holm, p < {SIGNIFICANT}).",
        "",
    ]
    for task, found in result.tasks.items():
        lines += [f"## {task}, {len(found.names)} pairs", ""]
        lines += ["| method | mean rank | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) + 1)]
        best = {
            metric: max(found.means[name][metric] for name in found.means if name not in result.probes)
            for metric in COLUMNS
        }
        for name in found.by_rank():
            probe = name in result.probes
            cells = [f"*{name}*" if probe else name, f"{found.ranks[name]:.2f}"]
            for metric in COLUMNS:
                mean, (low, high) = found.means[name][metric], found.intervals[name][metric]
                bold = not probe and metric != "background" and mean == best[metric]
                tested = found.tests.get(name, {}).get(metric)
                star = "*" if tested and tested["p"] < SIGNIFICANT else ""
                star = star.replace("*", "\\*")
                text = f"**{mean:.3f}**" if bold else f"{mean:.3f}"
                cells.append(f"{text}{star} [{low:.3f}, {high:.3f}]")
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
        for name in found.by_rank():
            lines += [f"- warning: {name} {warning}" for warning in found.warnings.get(name, [])]
        lines.append("")
    return "\n".join(lines)


def _picture(image: np.ndarray) -> str:
    """(H, W) or (3, H, W) in [0, 1] as the data address of a PNG."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels)).save(
        buffer, "PNG", optimize=True
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page_data(result: BenchmarkResult, pairs: Sequence[ShownPair]) -> dict:
    """What the page's script works on."""
    tasks = {}
    for task, found in result.tasks.items():
        methods = [
            {
                "name": name,
                "probe": name in result.probes,
                "rank": round(found.ranks[name], 3),
                "means": {metric: round(found.means[name][metric], 5) for metric in METRIC_NAMES},
                "intervals": {m: [round(end, 4) for end in found.intervals[name][m]] for m in METRIC_NAMES},
                "tests": {m: round(t["p"], 5) for m, t in found.tests.get(name, {}).items()},
                "values": {m: found.values[name][:, i].round(4).tolist() for i, m in enumerate(METRIC_NAMES)},
                "warnings": found.warnings.get(name, []),
            }
            for name in found.by_rank()
        ]
        shown = [
            {
                "name": pair.name,
                "images": {
                    "Source A": _picture(pair.image[0]),
                    "Source B": _picture(pair.color),
                    **{name: _picture(fused) for name, fused in pair.fused.items()},
                },
            }
            for pair in pairs
            if pair.task == task
        ]
        tasks[task] = {"images": len(found.names), "methods": methods, "pairs": shown}
    return {
        "ours": OURS,
        "columns": COLUMNS,
        "rankedBy": FIELD_METRICS,
        "tested": TESTED_METRICS,
        "significant": SIGNIFICANT,
        "tasks": tasks,
    }


def write_html_report(path: str | os.PathLike, result: BenchmarkResult, pairs: Sequence[ShownPair]) -> None:
    """Write one page that needs nothing else: sortable tables, box plots, images with linked zoom, curtain, difference.

    Args:
        path: HTML file.
        result: what the benchmark found.
        pairs: the pairs whose images the page shows.
    """
    data = json.dumps(_page_data(result, pairs)).replace("</", "<\\/")
    page = TEMPLATE.read_text(encoding="utf-8").replace(PLACEHOLDER, data, 1)
    write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
