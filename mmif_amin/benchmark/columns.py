"""Names of the metrics by what the benchmark does with them, as the metrics declare it."""

from __future__ import annotations

from ..scripts.metrics.suite import METRICS
from ..scripts.utils.enums import Better

__all__ = ["DEFECTS", "RANKED", "SHOWN", "TESTED"]

RANKED = tuple(metric.name for metric in METRICS if metric.ranked)  # by which the field ranks methods
TESTED = tuple(metric.name for metric in METRICS if metric.tested)  # for significance
SHOWN = RANKED + tuple(metric.name for metric in METRICS if metric.shown and not metric.ranked)  # in short tables
DEFECTS = tuple(metric.name for metric in METRICS if metric.better is Better.LOWER)  # a small value is no merit
