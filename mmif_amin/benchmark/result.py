"""What the benchmark found: the values of all methods by task, and what their means hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..scripts.classical.probes import CLIPPED_SUM, COPIES, PROBES
from ..scripts.classical.rules import AVERAGE
from ..scripts.data.splits import case_of
from ..scripts.data.tasks import PHOTOGRAPHIC_TASKS
from ..scripts.metrics.base import MEDICAL
from .columns import names_of
from .detection.result import TaskDetection
from .methods import OURS
from .statistics import agreement, bootstrap_interval, mean_ranks, paired_tests, probe_warnings

__all__ = ["BenchmarkResult", "ShownPair", "TaskResult", "summarize"]


@dataclass
class TaskResult:
    """What the benchmark found on one task.

    Args:
        names: name of each image.
        values: method to (N, K) array, K as :func:`~.columns.names_of` the task.
        means: method to metric to mean.
        intervals: method to metric to the ends of its 95 % interval.
        ranks: method to mean rank.
        tests: method to metric to ``difference`` and ``p`` of this bundle's method against it.
        warnings: method to the ways in which it behaves like a probe.
        detection: how well lesions are found. Defaults to None: none were planted.
        agreement: metric to ``tau``, ``p`` and ``methods``: Kendall's tau with the detectability.
    """

    names: list[str]
    values: dict[str, np.ndarray]
    means: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    ranks: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    detection: TaskDetection | None = None
    agreement: dict[str, dict[str, float]] = field(default_factory=dict)

    def by_rank(self) -> list[str]:
        """Methods, the best mean rank first."""
        return sorted(self.ranks, key=self.ranks.__getitem__)


@dataclass
class BenchmarkResult:
    """What the benchmark found: the probes among the methods, and the results by task."""

    probes: list[str]
    tasks: dict[str, TaskResult]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single images' values, as ``benchmark.json`` holds it."""
        return {
            task: {
                "images": len(found.names),
                "methods": {
                    name: {
                        "probe": name in self.probes,
                        "mean_rank": found.ranks[name],
                        "means": found.means[name],
                        "interval_95": found.intervals[name],
                        "against_mmif_amin": found.tests.get(name),
                        "warnings": found.warnings.get(name, []),
                    }
                    for name in found.by_rank()
                },
                "detectability": None if found.detection is None else found.detection.to_dict(),
                "kendall_tau_with_detectability": found.agreement,
            }
            for task, found in self.tasks.items()
        }


@dataclass
class ShownPair:
    """One pair for the page.

    Args:
        task: its task.
        name: its name.
        image: both sources, (2, H, W) in [0, 1].
        color: source B in its colors, (3, H, W) in [0, 1].
        fused: method to fused image, (H, W) in [0, 1].
    """

    task: str
    name: str
    image: np.ndarray
    color: np.ndarray
    fused: dict[str, np.ndarray]


def summarize(
    names: Sequence[str],
    rows: Mapping[str, Sequence[Sequence[float]]],
    white: Mapping[str, Sequence[float]],
    detection: TaskDetection | None = None,
    task: str = MEDICAL,
) -> TaskResult:
    """Compute means, intervals, ranks, tests, warnings and the agreement with the detectability of one task.

    Args:
        names: name of each image.
        rows: method to one row of metrics an image, in the order of :func:`~.columns.names_of` the task. The
            average, the copies and the clipped sum must be among the methods: the warnings compare with them.
        white: method to the fraction of pixels of each image that it made white although no source is.
        detection: how well lesions are found. Defaults to None: none were planted.
        task: their task. Defaults to any medical one.
    """
    columns = names_of(task)
    choosing = task in PHOTOGRAPHIC_TASKS and not PHOTOGRAPHIC_TASKS[task].ordered
    arrays = {method: np.array(table) for method, table in rows.items()}
    result = TaskResult(list(names), arrays, detection=detection)
    cases = [case_of(name, task) for name in names]
    for method, values in result.values.items():
        result.means[method] = dict(zip(columns, values.mean(axis=0).tolist(), strict=True))
        low, high = bootstrap_interval(values, cases)
        result.intervals[method] = dict(zip(columns, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    result.ranks = mean_ranks(result.means, [method for method in rows if method in PROBES], task)
    result.tests = paired_tests(result.values, OURS, task)
    if detection is not None:
        yardstick = {name: kept for name, kept in detection.smaller().items() if name not in PROBES}
        result.agreement = agreement(result.means, yardstick, task)
    copies = [result.means[method] for method in COPIES]
    clipped = {method: float(np.mean(fractions)) for method, fractions in white.items()}
    for method in rows:
        found = probe_warnings(
            result.means[method], result.means[AVERAGE], copies, clipped[method], clipped[CLIPPED_SUM], choosing
        )
        if found:
            result.warnings[method] = found
    return result
