"""Logging of the benchmark to MLflow."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path

from monai.utils import optional_import

from .detection.result import MEAN, PARTS, TaskDetection
from .result import BenchmarkResult

mlflow, _ = optional_import("mlflow", descriptor="{}: install it with `pip install mlflow`.")

__all__ = ["log_benchmark", "log_detection"]

EXPERIMENT = "mmif_amin"
BATCH = 1000  # metrics that MLflow takes at once


def log_benchmark(result: BenchmarkResult, files: list[Path], tracking_uri: str) -> None:
    """Log means, ranks, detectability and files as one run; the files go beside an SQLite store.

    Args:
        result: what the benchmark found.
        files: tables and reports.
        tracking_uri: MLflow store.
    """
    values = {}
    for task, figures in result.tasks.items():
        for name, means in figures.means.items():
            values.update({_key(task, name, metric): value for metric, value in means.items()})
            values[_key(task, name, "mean_rank")] = figures.ranks[name]
        if figures.detection is not None:
            values.update(_detection_values(task, figures.detection))
        for metric, found in figures.agreement.items():
            values[_key(task, "kendall_tau", metric)] = found["tau"]
    _log("benchmark", values, files, tracking_uri)


def log_detection(results: Mapping[str, TaskDetection], files: list[Path], tracking_uri: str) -> None:
    """Log detectability and its files as one run.

    Args:
        results: task to figures.
        files: tables.
        tracking_uri: MLflow store.
    """
    values = {}
    for task, found in results.items():
        values.update(_detection_values(task, found))
    _log("detect", values, files, tracking_uri)


def _key(task: str, method: str, figure: str) -> str:
    """Name of a figure; MLflow allows letters, digits and few signs, no comma and no percent sign."""
    return f"{task}/{re.sub(r'[^A-Za-z0-9._:-]+', '_', method).strip('_')}/{figure}"


def _detection_values(task: str, found: TaskDetection) -> dict[str, float]:
    return {
        _key(task, name, f"detectability_{shown}_{kind}_{part}"): float(value)
        for shown, methods in (("gray", found.gray), ("color", found.color))
        for name, figures in methods.items()
        for kind, row in zip([*found.kinds, MEAN], figures[..., 0], strict=True)
        for part, value in zip(PARTS, row, strict=True)
        if not math.isnan(value)
    }


def _log(name: str, values: Mapping[str, float], files: list[Path], tracking_uri: str) -> None:
    """Log one run."""
    client = mlflow.MlflowClient(tracking_uri)  # the fluent API would change the store of the whole process
    found = client.get_experiment_by_name(EXPERIMENT)
    database = tracking_uri.removeprefix("sqlite:///")
    beside = (Path(database).resolve().parent / "mlruns").as_uri() if database != tracking_uri else None
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=beside)
    run = client.create_run(experiment, run_name=name).info.run_id
    now = int(time.time() * 1000)
    metrics = [mlflow.entities.Metric(key, value, now, 0) for key, value in values.items()]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics[start : start + BATCH])
    for file in files:
        client.log_artifact(run, str(file))
    client.set_terminated(run)
