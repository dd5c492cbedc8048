"""What the loss decides, over time: epoch means of its terms and weights into the log, a table and curves."""

from __future__ import annotations

import csv
import math
import os
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..utils.checks import first_line
from ..utils.enums import SourceKeys
from ..utils.files import write_atomically
from .figures import new_figure
from .processes import gather

__all__ = ["LossSummaryHandler"]


class LossSummaryHandler:
    """Collects the trainer's ``summary()``, its ``outer_values`` and the learning rate; stores epoch means.

    They go to ``engine.state.metrics`` (so MLflow logs them; put this handler before the MLFlowHandler), to
    ``loss_weights.csv`` and to ``loss_weights.png``. A resumed run continues both. The means are over all processes of
    the training, each of which must have this handler.

    Args:
        output_dir: folder of the two files.
        save: whether this process writes them. Defaults to True.
    """

    def __init__(self, output_dir: str | os.PathLike, save: bool = True) -> None:
        self.save = save
        self.csv_path = Path(output_dir) / "loss_weights.csv"
        self.figure_path = Path(output_dir) / "loss_weights.png"
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    def attach(self, engine: Engine) -> None:
        """Attach to a FusionTrainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.store)

    def collect(self, engine: Any) -> None:
        """Add one iteration, unless the trainer has left it out."""
        if not math.isfinite(float(engine.state.output[0]["loss"])):
            return
        tasks = [item[SourceKeys.TASK] for item in engine.state.batch if SourceKeys.TASK in item]
        values = {
            "learning_rate": engine.optimizer.param_groups[0]["lr"],
            **engine.summary(tasks),
            **engine.outer_values,
        }
        for name, value in values.items():
            self._sums[name] += value
        self._counts.update(values.keys())

    def store(self, engine: Engine) -> None:
        """Store the epoch's means."""
        means = self._means()
        self._sums.clear()
        self._counts.clear()
        engine.state.metrics.update(means)
        if not self.save:
            return
        rows = self._rows(before=engine.state.epoch)
        rows.append({"epoch": str(engine.state.epoch), **{name: f"{value:.6g}" for name, value in means.items()}})
        write_atomically(self.csv_path, lambda path: self._write(path, rows))
        self._draw(rows)

    def _means(self) -> dict[str, float]:
        """Means of the epoch, over all processes; some values are not in each iteration."""
        sums: dict[str, float] = defaultdict(float)
        counts: Counter[str] = Counter()
        for part_sums, part_counts in gather((dict(self._sums), self._counts)):
            counts.update(part_counts)
            for name, value in part_sums.items():
                sums[name] += value
        return {name: sums[name] / counts[name] for name in sums}

    def _rows(self, before: int) -> list[dict[str, str]]:
        """The table's rows of the epochs before this one; none, with a warning, where the table is damaged."""
        if not self.csv_path.is_file():
            return []
        try:
            with self.csv_path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < before]
            for row in rows:
                [float(value) for value in row.values() if value]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            warnings.warn(f"{self.csv_path}: is damaged ({first_line(error)}), so it begins anew.", stacklevel=2)
            return []
        return rows

    @staticmethod
    def _write(path: Path, rows: list[dict[str, str]]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def _draw(self, rows: list[dict[str, str]]) -> None:
        """Draw the curves: terms, shares of source A, outer level, and the weights of the terms for each task."""
        by_task = sorted({n.partition("/")[0] for n in rows[-1] if n.startswith("weight_")})
        groups = [("term/", "terms"), ("share/", "shares of source A"), ("outer/", "outer level")]
        groups += [(f"{group}/", group.replace("_", "s of the terms, ")) for group in by_task or ["weight"]]
        figure = new_figure(figsize=(18, 4 * math.ceil(len(groups) / 3)))
        axes = figure.subplots(math.ceil(len(groups) / 3), 3)
        for axis, (prefix, title) in zip(axes.flat, groups, strict=False):
            for name in [n for n in rows[-1] if n.startswith(prefix)]:
                points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
                axis.plot([x for x, _ in points], [y for _, y in points], label=name.removeprefix(prefix))
            axis.set_title(title)
            axis.set_xlabel("epoch")
            if axis.lines:
                axis.legend(fontsize="small")
        write_atomically(self.figure_path, figure.savefig)
