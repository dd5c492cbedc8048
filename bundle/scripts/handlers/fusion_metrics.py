"""All fusion metrics of an evaluator, by task, with one row an image."""

from __future__ import annotations

import os
from typing import Any

import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler

from ..metrics.suite import FusionMetricSuite, write_means, write_rows
from ..utils.enums import SourceKeys
from .processes import first_of_each, gather, is_first_process, positions_of

__all__ = ["FusionMetricsHandler"]


class FusionMetricsHandler(IgniteMetricHandler):
    """Computes a :class:`~scripts.metrics.suite.FusionMetricSuite` on each iteration's decollated output.

    Its own value, for best-by-key-metric, is ``score``; every mean goes to ``engine.state.metrics`` beside it, as
    ``VIF`` and ``CT-MRI/VIF``.

    On several processes it counts each image of the data set once, in its order, as one process does: a sampler gives
    some images twice, so that each process has as many.

    Args:
        suite: the metrics.
        csv_path: CSV file that gets one row an image after each epoch. Defaults to None: not at all.
        table_path: Markdown file that gets the means as a table. Defaults to None: not at all.
    """

    def __init__(
        self,
        suite: FusionMetricSuite,
        csv_path: str | os.PathLike | None = None,
        table_path: str | os.PathLike | None = None,
    ) -> None:
        super().__init__(metric_fn=suite, save_details=False)
        self.suite = suite
        self.csv_path = csv_path
        self.table_path = table_path
        self._names: list[tuple[str, str]] = []
        self._positions: list[int] = []
        self._means: dict[str, float] = {}

    def started(self, engine: Any) -> None:
        """Begin an epoch."""
        super().started(engine)
        self._positions = positions_of(engine)

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._names = []

    def iteration_completed(self, engine: Any) -> None:
        """Add one batch."""
        pairs = [(str(item[SourceKeys.TASK.value]), str(item[SourceKeys.NAME.value])) for item in engine.state.batch]
        fused = torch.stack([item["pred"] for item in engine.state.output])
        image = torch.stack([item["image"] for item in engine.state.output])
        self.suite(fused, image, tasks=[task for task, _ in pairs])
        self._names.extend(pairs)
        self._is_reduced = False

    def compute(self) -> float:
        """Aggregate, write the files on the first process, and return ``score``."""
        rows, names = self.suite.get_buffer(), [name for part in gather(self._names) for name in part]
        if self._positions:
            kept = first_of_each([position for part in gather(self._positions) for position in part])
            rows, names = rows[kept], [names[index] for index in kept]
        self._means = self.suite.aggregate(rows)
        if self.csv_path is not None and is_first_process():
            write_rows(self.csv_path, names, rows[:, 1:].tolist())
        if self.table_path is not None and is_first_process():
            write_means(self.table_path, self._means)
        self._is_reduced = True
        return self._means["score"]

    def completed(self, engine: Engine, name: str) -> None:
        """Store the score under ``name`` and all means under their own names."""
        super().completed(engine, name)
        engine.state.metrics.update({key: value for key, value in self._means.items() if key != "score"})

    def attach(self, engine: Engine, name: str, *args: Any) -> None:  # type: ignore[override]
        """Attach to an evaluator."""
        super().attach(engine, name)
