"""The curves of a training: its loss, and what validation measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..utils.files import write_atomically
from .figures import new_figure

__all__ = ["TrainingCurvesHandler", "write_training_curves"]

BY_TASK = ("VIF", "Qabf", "VIFmin", "VIFlocal")  # as published, then how much of the worse-kept source is there
Points = Sequence[tuple[int, float]]


class TrainingCurvesHandler:
    """Draws the curves after each epoch; see :func:`write_training_curves`.

    Its state belongs into the resume file, so that a resumed training has one curve. Put it after the handlers that set
    ``engine.state.metrics``.

    Args:
        path: PNG file.
        save: whether this process writes it. Defaults to True.
    """

    def __init__(self, path: str | os.PathLike, save: bool = True) -> None:
        self.path = path
        self.save = save
        self.histories: dict[str, list[tuple[int, float]]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"histories": self.histories}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.histories = state["histories"]

    def __call__(self, engine: Engine) -> None:
        """Add an epoch and draw."""
        for name, value in engine.state.metrics.items():
            if name == "loss" or name.startswith("val/"):
                self.histories.setdefault(name, []).append((engine.state.epoch, float(value)))
        if self.save:
            write_training_curves(self.histories, self.path)


def write_training_curves(histories: Mapping[str, Points], path: str | os.PathLike) -> Path:
    """Draw the training loss, the validation score and the validation metrics of each task over the epochs.

    Args:
        histories: ``loss``, ``val/score``, ``val/TASK/score`` and ``val/TASK/METRIC`` to (epoch, value) pairs in order;
            what is missing is not drawn.
        path: PNG file.

    Returns:
        The path.
    """
    tasks = sorted(name.split("/")[1] for name in histories if name.startswith("val/") and name.endswith("/score"))
    panels = {"training loss": {"loss": "all tasks"}}
    panels["validation score"] = {**{f"val/{task}/score": task for task in tasks}, "val/score": "all tasks"}
    panels |= {f"validation {metric}": {f"val/{task}/{metric}": task for task in tasks} for metric in BY_TASK}
    figure = new_figure(figsize=(12, 6.8))
    axes = figure.subplots(2, 3).flat
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for name in [name for name in lines if name in histories]:
            epochs, values = zip(*histories[name], strict=True)
            axis.plot(epochs, values, label=lines[name], marker="." if name.startswith("val/") else None)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    handles = axes[1].lines
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110))
