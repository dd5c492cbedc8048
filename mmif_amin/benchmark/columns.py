"""Names of the metrics by what the benchmark does with them, as the metrics declare it."""

from __future__ import annotations

from ..scripts.metrics.base import MEDICAL
from ..scripts.metrics.suite import METRICS, metrics_of
from ..scripts.utils.enums import Better

__all__ = ["DEFECTS", "RANKED", "SHOWN", "TESTED", "names_of", "ranked", "shown", "tested"]


def names_of(*tasks: str) -> tuple[str, ...]:
    """All metrics of these tasks."""
    return tuple(metric.name for metric in metrics_of(*tasks))


def ranked(task: str) -> tuple[str, ...]:
    """Metrics by which the field ranks methods in a task."""
    return tuple(metric.name for metric in metrics_of(task) if metric.ranks(task))


def tested(task: str) -> tuple[str, ...]:
    """Metrics whose differences are tested for significance in a task."""
    return tuple(m.name for m in metrics_of(task) if m.ranks(task) or (m.tested and not m.ranked))


def shown(task: str) -> tuple[str, ...]:
    """Metrics of a task in short tables: those that rank, then the others."""
    return ranked(task) + tuple(m.name for m in metrics_of(task) if m.shown and not m.ranks(task))


RANKED, TESTED, SHOWN = ranked(MEDICAL), tested(MEDICAL), shown(MEDICAL)  # of all medical tasks
DEFECTS = tuple(metric.name for metric in METRICS if metric.better is Better.LOWER)  # a small value is no merit
