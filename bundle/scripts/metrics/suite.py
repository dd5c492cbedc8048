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
    "TASK_METRICS",
    "FusionMetricSuite",
    "fusion_metrics",
    "metrics_of",
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


_DECLARED = _declared_metrics()
METRICS = tuple(metric for metric in _DECLARED if not metric.tasks)  # of all tasks
TASK_METRICS = tuple(metric for metric in _DECLARED if metric.tasks)  # of some tasks only
METRIC_NAMES = tuple(metric.name for metric in METRICS)
METRICS_MIN_SIZE = max(metric.min_size for metric in METRICS)  # of images that all metrics work on, pixels


def metrics_of(*tasks: str) -> tuple[MetricDeclaration, ...]:
    """Metrics of all tasks, and those that are only for one of these tasks, in the order of the tables.

    Example:
        >>> [metric.name for metric in metrics_of("CT-MRI", "multi-exposure") if metric.tasks]
        ['MEF-SSIM']
    """
    return tuple(metric for metric in _DECLARED if not metric.tasks or set(tasks) & set(metric.tasks))


def fusion_metrics(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0, task: str = ""
) -> dict[str, torch.Tensor]:
    """All metrics for a batch; those of one family share their work.

    Args:
        fused: fused images, (B, C, H, W[, D]), H and W at least :data:`METRICS_MIN_SIZE`, 41.
        source_a: first sources, same shape.
        source_b: second sources, same shape.
        data_range: the value that is white, 1 or 255. Defaults to 1.
        task: also the metrics that are only for this task. Defaults to none.

    Returns:
        Dictionary of the names of :func:`metrics_of` to (B, C) float64 tensors on the device of the images, always
        finite.

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.
    """
    images = gray_triplet(fused, source_a, source_b, data_range, METRICS_MIN_SIZE)
    return {metric.name: metric.of(images, fused) for metric in metrics_of(task)}


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
        self.metrics = metrics_of(*self.tasks)

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, tasks: Sequence[str] | None = None, **_: object
    ) -> torch.Tensor:
        """Compute one row an image: its task index (-1: none), then the metrics, mean over channels.

        A metric that is for other tasks only is NaN.

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
        rows = self._values(y_pred, y, list(tasks or [""] * len(y)))
        index = [self.tasks.index(t) for t in tasks] if tasks else [-1] * len(rows)
        return torch.cat([torch.tensor(index, dtype=rows.dtype, device=rows.device).unsqueeze(1), rows], dim=1)

    def _values(self, fused: torch.Tensor, sources: torch.Tensor, tasks: Sequence[str]) -> torch.Tensor:
        """Values of all metrics, (B, K); images of tasks with the same metrics are computed together."""
        rows = torch.full((len(fused), len(self.metrics)), math.nan, dtype=torch.float64, device=fused.device)
        for group in {metrics_of(task) for task in tasks}:
            chosen = [index for index, task in enumerate(tasks) if metrics_of(task) == group]
            triplet = fused[chosen], sources[chosen, :1], sources[chosen, 1:]
            for name, value in fusion_metrics(*triplet, self.data_range, tasks[chosen[0]]).items():
                column = [metric.name for metric in self.metrics].index(name)
                rows[chosen, column] = value.mean(dim=1)
        return rows

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
        by_task = {
            task: self._means(rows[rows[:, 0] == index, 1:], task)
            for index, task in enumerate(self.tasks)
            if (rows[:, 0] == index).any()
        }
        groups = list(by_task.values()) or [self._means(rows[:, 1:], "")]
        values: dict[str, list[float]] = {}
        for name, value in ((name, value) for means in groups for name, value in means.items()):
            values.setdefault(name, []).append(value)
        result = {name: sum(found) / len(found) for name, found in values.items()}
        for task, means in by_task.items():
            result.update({f"{task}/{name}": value for name, value in means.items()})
        return result

    def _means(self, rows: torch.Tensor, task: str) -> dict[str, float]:
        """Means of the metrics of a task, and their score."""
        values = zip(self.metrics, rows.mean(dim=0).tolist(), strict=True)
        means = {metric.name: value for metric, value in values if not metric.tasks or task in metric.tasks}
        return {**means, "score": score(means)}


def write_rows(path: str | os.PathLike, names: Sequence[tuple[str, str]], rows: Sequence[Sequence[float]]) -> None:
    """Write the values of each image as CSV, one row an image.

    Args:
        path: CSV file.
        names: task and name of each image.
        rows: values of each image in the order of :func:`metrics_of` the tasks; NaN, which is left empty, where a
            metric is not for the task.
    """
    cells = [
        [*pair, *("" if math.isnan(value) else value for value in row)] for pair, row in zip(names, rows, strict=True)
    ]
    columns = [metric.name for metric in metrics_of(*(task for task, _ in names))]
    write_csv(path, ["task", "name", *columns], cells)


def write_means(path: str | os.PathLike, means: Mapping[str, float]) -> None:
    """Write means as a Markdown table, one row a metric, one column a task.

    Args:
        path: Markdown file.
        means: the ``aggregate()`` of a :class:`FusionMetricSuite`.
    """
    tasks = sorted({name.split("/")[0] for name in means if "/" in name})
    names = [*(metric.name for metric in metrics_of(*tasks)), "score"]
    values = [[means.get(key) for key in (*(f"{task}/{name}" for task in tasks), name)] for name in names]
    rows = [
        [name, *("" if value is None else f"{value:.4f}" for value in row)]
        for name, row in zip(names, values, strict=True)
    ]
    text = markdown_table(["metric", *tasks, "mean"], rows)
    write_atomically(path, lambda temporary: temporary.write_text(text))
