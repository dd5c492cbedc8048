"""The benchmark's two reports: Markdown, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..reports.html import content_policy, fill_template, json_for_script
from ..scripts.metrics.suite import metrics_of
from ..scripts.utils.files import write_atomically
from ..scripts.utils.tables import markdown_table
from .columns import DEFECTS, names_of, ranked, shown, tested
from .detection.tables import EXPLANATION, markdown_agreement, markdown_detection, page_detection
from .methods import OURS
from .result import BenchmarkResult, ShownPair, TaskResult

__all__ = ["markdown_report", "write_html_report"]

SIGNIFICANT = 0.05
TEMPLATE = Path(__file__).with_name("report.html")
LARGEST_SIDE = 768  # of a picture on the page, pixels
PLACEHOLDER = "/*RESULT*/null"
POLICY = "/*POLICY*/"


def markdown_report(result: BenchmarkResult) -> str:
    """Render tables with 95 % intervals, ranks, significance and warnings as Markdown."""
    lines = ["# Benchmark", ""]
    lines += [
        f"{_ranking(result)}; 1 is best. Probes (in italics) are no fusions: they show what",
        "the figures can be cheated with, take part in no rank but their own, and are never bold. Brackets: 95 %",
        "interval of the mean, whole patients drawn (single images where there is one patient, and of photographs).",
        f"\\*: differs from {OURS} (Wilcoxon signed-rank, Holm, p < {SIGNIFICANT}).",
        "",
    ]
    for task, found in result.tasks.items():
        lines += [f"## {task}, {len(found.names)} pairs", ""]
        lines += [_markdown_means(task, found, result.probes)]
        for name in found.by_rank():
            lines += [f"- warning: {name} {warning}" for warning in found.warnings.get(name, [])]
        lines.append("")
        if found.detection is not None:
            lines += [f"### {task}: lesions that are found", "", EXPLANATION, ""]
            lines += [markdown_detection(found.detection, result.probes), markdown_agreement(found.agreement)]
            missing = [name for name in found.means if name not in found.detection.gray]
            if missing and found.detection.lesions.any():
                lines += [f"Without images of the planted pairs, so not here: {', '.join(missing)}. See `plant`.", ""]
    return "\n".join(lines)


def _ranking(result: BenchmarkResult) -> str:
    """Say which metrics the mean rank is over, in each task if the tasks differ."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for task in result.tasks:
        sets.setdefault(ranked(task), []).append(task)
    if len(sets) == 1:
        return f"Mean rank over {', '.join(next(iter(sets)))}"
    return "Mean rank over " + "; ".join(f"{', '.join(names)} ({', '.join(tasks)})" for names, tasks in sets.items())


def _markdown_means(task: str, found: TaskResult, probes: Sequence[str]) -> str:
    """The table of one task, the best mean rank first; the best of the fusions is bold, but for a defect."""
    fusions = [name for name in found.means if name not in probes]
    columns = shown(task)
    best = {metric: max(found.means[name][metric] for name in fusions) for metric in columns if metric not in DEFECTS}

    def cell(name: str, metric: str) -> str:
        mean, (low, high) = found.means[name][metric], found.intervals[name][metric]
        text = f"**{mean:.3f}**" if name not in probes and mean == best.get(metric) else f"{mean:.3f}"
        tested = found.tests.get(name, {}).get(metric)
        star = "\\*" if tested and tested["p"] < SIGNIFICANT else ""
        return f"{text}{star} [{low:.3f}, {high:.3f}]"

    rows = [
        [f"*{name}*" if name in probes else name, f"{found.ranks[name]:.2f}", *(cell(name, m) for m in columns)]
        for name in found.by_rank()
    ]
    return markdown_table(["method", "mean rank", *columns], rows)


def _picture(image: np.ndarray) -> str:
    """(H, W) or (3, H, W) in [0, 1] as the data address of a PNG; a large one is made smaller."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
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
                "means": {metric: round(found.means[name][metric], 5) for metric in names_of(task)},
                "intervals": {m: [round(end, 4) for end in found.intervals[name][m]] for m in names_of(task)},
                "tests": {m: round(t["p"], 5) for m, t in found.tests.get(name, {}).items()},
                "values": {m: found.values[name][:, i].round(4).tolist() for i, m in enumerate(names_of(task))},
                "warnings": found.warnings.get(name, []),
            }
            for name in found.by_rank()
        ]
        examples = [
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
        lesions = None if found.detection is None else page_detection(found.detection, found.agreement)
        tasks[task] = {"images": len(found.names), "methods": methods, "pairs": examples, "lesions": lesions}
        tasks[task].update({"columns": shown(task), "rankedBy": ranked(task), "tested": tested(task)})
    return {
        "ours": OURS,
        "defects": DEFECTS,
        "summaries": {metric.name: metric.summary for metric in metrics_of(*result.tasks)},
        "significant": SIGNIFICANT,
        "aboutLesions": EXPLANATION,
        "tasks": tasks,
    }


def write_html_report(path: str | os.PathLike, result: BenchmarkResult, pairs: Sequence[ShownPair]) -> Path:
    """Write one page that needs nothing else: sortable tables, box plots, images with linked zoom, curtain, difference.

    By its content security policy a browser runs only the page's own script; no name in the data can add one.

    Args:
        path: HTML file.
        result: what the benchmark found.
        pairs: the pairs whose images the page shows.

    Returns:
        The file.
    """
    data = json_for_script(_page_data(result, pairs))
    head, _, rest = TEMPLATE.read_text(encoding="utf-8").partition("<script>")
    script, _, tail = rest.partition("</script>")
    script = fill_template(script, {PLACEHOLDER: data})
    style = head.partition("<style>")[2].partition("</style>")[0]
    head = fill_template(head, {POLICY: content_policy([script], style)})
    page = f"{head}<script>{script}</script>{tail}"
    return write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
