"""All fusion metrics of a batch at once, their score, and their accumulation by task."""

from __future__ import annotations

import importlib
import math
import os
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from monai.metrics import CumulativeIterationMetric

from ..utils.files import write_atomically
from ..utils.tables import markdown_table, write_csv
from . import background, vif_local
from .base import MetricDeclaration, gray_triplet

__all__ = [
    "METRICS",
    "METRIC_NAMES",
    "METRICS_MIN_SIZE",
    "FusionMetricSuite",
    "fusion_metrics",
    "score",
    "write_means",
    "write_rows",
]


def _declared_metrics() -> tuple[MetricDeclaration, ...]:
    """Collect the ``DECLARATION`` of each file of this package, so that a new metric is a new file and nothing else."""
    package = __name__.rpartition(".")[0]
    names = [info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    found = [module.DECLARATION for module in modules if hasattr(module, "DECLARATION")]
    return tuple(sorted(found, key=lambda declaration: declaration.order))


METRICS = _declared_metrics()
METRIC_NAMES = tuple(metric.name for metric in METRICS)
METRICS_MIN_SIZE = max(metric.min_size for metric in METRICS)  # of images that all metrics work on, pixels


def fusion_metrics(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> dict[str, torch.Tensor]:
    """All metrics for a batch; those of one family share their work.

    Args:
        fused: fused images, (B, C, H, W[, D]), H and W at least :data:`METRICS_MIN_SIZE`, 41.
        source_a: first sources, same shape.
        source_b: second sources, same shape.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Returns:
        Dictionary of the names in :data:`METRIC_NAMES` to (B, C) float64 tensors on the device of the images, always
        finite.

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.
    """
    images = gray_triplet(fused, source_a, source_b, data_range, METRICS_MIN_SIZE)
    return {metric.name: metric.of(images, fused) for metric in METRICS}


def score(means: Mapping[str, float]) -> float:
    r"""One number to choose weights by: the field's qualities, and both sources at the same place, with equal say.

    .. math::
        \sqrt{\Bigl(\tfrac{VIF}{2}\; Qabf\; \tfrac{ssim}{2}\; \tfrac{SCD + 2}{4}\Bigr)^{1/4}\, VIFlocal}\;
        (1 - background)

    The qualities are the metrics that declare which values count as 0 and as 1 (``scored``). A copy of one source, a
    cut-and-paste of regions and a gray background all lose by it.

    Args:
        means: means of :data:`METRIC_NAMES` over a data set.

    Returns:
        The score, in [0, 1].
    """
    qualities = [
        (means[metric.name] - metric.scored[0]) / (metric.scored[1] - metric.scored[0])
        for metric in METRICS
        if metric.scored is not None
    ]
    whole = math.prod(max(quality, 0.0) for quality in qualities) ** (1 / len(qualities))
    local, grayed = means[vif_local.DECLARATION.name], means[background.DECLARATION.name]
    return math.sqrt(whole * local) * (1 - grayed)


class FusionMetricSuite(CumulativeIterationMetric):
    """Accumulates all fusion metrics over a data set; aggregates to means over everything and by task.

    Args:
        tasks: names of the tasks that may occur, e.g. ``("CT-MRI", "PET-MRI", "SPECT-MRI")``. Defaults to none.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Raises:
        ValueError: When a batch names a task that is not in ``tasks``.
    """

    def __init__(self, tasks: Sequence[str] = (), data_range: float = 1.0) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.data_range = data_range

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, tasks: Sequence[str] | None = None, **_: object
    ) -> torch.Tensor:
        """Compute one row an image: its task index (-1: none), then the metrics, mean over channels.

        Args:
            y_pred: fused images, (B, 1, H, W[, D]).
            y: both sources, (B, 2, H, W[, D]).
            tasks: the task of each image.
        """
        if y is None or y.shape[1] != 2:
            raise ValueError(f"`y` must hold both sources, shape (B, 2, H, W[, D]), got {getattr(y, 'shape', None)}.")
        unknown = set(tasks or ()) - set(self.tasks)
        if unknown:
            raise ValueError(f"Tasks {sorted(unknown)} are not in `tasks` {list(self.tasks)}: add them there.")
        values = fusion_metrics(y_pred, y[:, :1], y[:, 1:], self.data_range)
        rows = torch.stack([v.mean(dim=1) for v in values.values()], dim=1)
        index = [self.tasks.index(t) for t in tasks] if tasks else [-1] * len(rows)
        return torch.cat([torch.tensor(index, dtype=rows.dtype, device=rows.device).unsqueeze(1), rows], dim=1)

    def aggregate(self, rows: torch.Tensor | None = None) -> dict[str, float]:
        """Means and :func:`score` as ``{"VIF": ..., "CT-MRI/VIF": ...}``; overall each task weighs the same.

        Args:
            rows: which rows of ``get_buffer()``. Defaults to None: all of them, of all processes.

        Raises:
            ValueError: When no image was seen yet.
        """
        rows = self.get_buffer() if rows is None else rows
        if not isinstance(rows, torch.Tensor):
            raise ValueError("No image was seen yet: call the metric before `aggregate`.")
        by_task: dict[str, dict[str, float]] = {}
        for index, task in enumerate(self.tasks):
            chosen = rows[rows[:, 0] == index, 1:]
            if len(chosen):
                by_task[task] = dict(zip(METRIC_NAMES, chosen.mean(dim=0).tolist(), strict=True))
        groups = list(by_task.values()) or [dict(zip(METRIC_NAMES, rows[:, 1:].mean(dim=0).tolist(), strict=True))]
        for means in groups:
            means["score"] = score(means)
        result = {name: sum(means[name] for means in groups) / len(groups) for name in groups[0]}
        for task, means in by_task.items():
            result.update({f"{task}/{name}": value for name, value in means.items()})
        return result


def write_rows(path: str | os.PathLike, names: Sequence[tuple[str, str]], rows: Sequence[Sequence[float]]) -> None:
    """Write the values of each image as CSV, one row an image.

    Args:
        path: CSV file.
        names: task and name of each image.
        rows: values of each image in the order of :data:`METRIC_NAMES`.
    """
    cells = [[*pair, *row] for pair, row in zip(names, rows, strict=True)]
    write_csv(path, ["task", "name", *METRIC_NAMES], cells)


def write_means(path: str | os.PathLike, means: Mapping[str, float]) -> None:
    """Write means as a Markdown table, one row a metric, one column a task.

    Args:
        path: Markdown file.
        means: the ``aggregate()`` of a :class:`FusionMetricSuite`.
    """
    tasks = sorted({name.split("/")[0] for name in means if "/" in name})
    rows = [
        [name, *(f"{value:.4f}" for value in (*(means[f"{task}/{name}"] for task in tasks), means[name]))]
        for name in (*METRIC_NAMES, "score")
    ]
    text = markdown_table(["metric", *tasks, "mean"], rows)
    write_atomically(path, lambda temporary: temporary.write_text(text))
