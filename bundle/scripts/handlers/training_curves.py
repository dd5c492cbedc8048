"""The curves of a training, loss and validation, from its MLflow store."""

from __future__ import annotations

import os
from pathlib import Path

from ignite.engine import Engine, Events
from monai.utils import optional_import

from ..utils.image_io import write_atomically

matplotlib_figure, _ = optional_import("matplotlib.figure", descriptor="{}: install it with `pip install matplotlib`.")
mlflow, _ = optional_import("mlflow", descriptor="{}: install it with `pip install mlflow`.")

__all__ = ["TrainingCurvesHandler", "training_histories", "write_training_curves"]

BY_TASK = ("VIF", "Qabf", "VIFmin", "VIFlocal")  # as published, then how much of the worse-kept source is there


class TrainingCurvesHandler:
    """Draws the curves of a training when it is over; see :func:`write_training_curves`.

    Args:
        tracking_uri: the MLflow store that the training logs to.
        experiment_name: its experiment.
        path: PNG file.
    """

    def __init__(self, tracking_uri: str, experiment_name: str, path: str | os.PathLike) -> None:
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment_name
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Draw."""
        write_training_curves(self.tracking_uri, self.experiment_name, self.path)


def training_histories(tracking_uri: str, experiment_name: str) -> dict[str, list[tuple[int, float]]]:
    """Read every metric of an experiment as (epoch, value) pairs, in order.

    All its runs are taken for one training that was resumed; where two of them logged the same epoch, the later one
    counts.

    Raises:
        ValueError: When there is no such experiment.
    """
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        raise ValueError(f"Expected the experiment '{experiment_name}' in {tracking_uri}, found none of that name.")
    histories: dict[str, dict[int, float]] = {}
    for run in client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]):
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            histories.setdefault(name, {}).update({point.step: point.value for point in points})
    return {name: sorted(points.items()) for name, points in histories.items()}


def write_training_curves(tracking_uri: str, experiment_name: str, path: str | os.PathLike) -> Path:
    """Draw the training loss, the validation score and the validation metrics of each task over the epochs.

    Args:
        tracking_uri: MLflow store, such as ``sqlite:///runs/train/mlruns.db``.
        experiment_name: experiment in it; see :func:`training_histories`.
        path: PNG file.

    Raises:
        ValueError: When there is no such experiment.
    """
    histories = training_histories(tracking_uri, experiment_name)
    tasks = sorted(name.split("/")[1] for name in histories if name.startswith("val/") and name.endswith("/score"))
    panels = {"training loss": {"loss": "all tasks"}}
    panels["validation score"] = {**{f"val/{task}/score": task for task in tasks}, "val/score": "all tasks"}
    panels |= {f"validation {metric}": {f"val/{task}/{metric}": task for task in tasks} for metric in BY_TASK}
    figure = matplotlib_figure.Figure(figsize=(12, 6.8), layout="constrained")
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
