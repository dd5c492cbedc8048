"""The page of the metrics, docs/metrics.md, made from their declarations."""

from __future__ import annotations

import math

from ..scripts.metrics.base import MetricDeclaration
from ..scripts.metrics.suite import METRICS, METRICS_MIN_SIZE, TASK_METRICS, score
from ..scripts.utils.tables import markdown_table

__all__ = ["metrics_page"]

OF_TASKS = ", ".join(f"{metric.name} of {' and '.join(metric.tasks)}" for metric in TASK_METRICS)
HEAD = f"""# The metrics

This page is made from the metrics' declarations by `make docs`; do not edit it.

{len(METRICS)} metrics are computed for each image in the conventions of the field's usual evaluator, that of CDDFuse,
so that tables compare: fused image F and sources A and B on gray levels 0..255, rounded; of PET and SPECT in color the
luminance. Volumes are measured slice by slice. Some tasks have more: {OF_TASKS}.
The docstrings hold the formulas and say where the evaluator is odd. All metrics together need images of at least
{METRICS_MIN_SIZE} pixels a side.

Ranked: the tasks in which the benchmark's mean rank is over these metrics, as in the field's papers. Tested: the
benchmark tests the differences of the metric for significance, where it ranks by it; those that are ranked nowhere in
all tasks.

"""
ADD = """
## Add a metric

Write one file in `bundle/scripts/metrics`: the function with its docstring, the declaration and the class, as in
`background.py`. The suite finds the file, and tables, CSV files, the HTML page and the statistics read the declaration.
Then write this page anew (`make docs`), and a test beside the others in `tests/model/metrics`.
"""


def _range(metric: MetricDeclaration) -> str:
    low, high = ("∞" if math.isinf(end) else f"{end:.4g}" for end in (metric.low, metric.high))
    return f"{low} to {high}{f' {metric.unit}' if metric.unit else ''}"


def metrics_page() -> str:
    """Render what the metrics declare as Markdown."""
    rows = [
        [
            metric.name,
            str(metric.better),
            _range(metric),
            str(metric.min_size),
            ", ".join(metric.ranked),
            "yes" if metric.tested else "",
            metric.summary,
        ]
        for metric in (*METRICS, *TASK_METRICS)
    ]
    header = ["metric", "better", "range", "smallest side", "ranked", "tested", "what it measures"]
    scored = ", ".join(metric.name for metric in METRICS if metric.scored is not None)
    references = "".join(f"- {metric.name}: {metric.reference}\n" for metric in (*METRICS, *TASK_METRICS))
    return (
        f"{HEAD}{markdown_table(header, rows, left=len(header))}\n"
        f"## Score\n\n{(score.__doc__ or '').splitlines()[0]}\nThe qualities are {scored}, each brought to 0..1; the "
        f"formula is in `bundle/scripts/metrics/suite.py`.\n\n## References\n\n{references}{ADD}"
    )
