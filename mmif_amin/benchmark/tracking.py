"""Logging of the benchmark to MLflow."""

from __future__ import annotations

from pathlib import Path

from monai.utils import optional_import

from .result import BenchmarkResult

mlflow, _ = optional_import("mlflow", descriptor="{}: install it with `pip install mlflow`.")

__all__ = ["log_benchmark"]

EXPERIMENT = "mmif_amin"


def log_benchmark(result: BenchmarkResult, files: list[Path], tracking_uri: str) -> None:
    """Log means, ranks and files as one run; the files go beside an SQLite store.

    Args:
        result: what the benchmark found.
        files: tables and reports.
        tracking_uri: MLflow store.
    """
    client = mlflow.MlflowClient(tracking_uri)  # the fluent API would change the store of the whole process
    found = client.get_experiment_by_name(EXPERIMENT)
    database = tracking_uri.removeprefix("sqlite:///")
    beside = (Path(database).resolve().parent / "mlruns").as_uri() if database != tracking_uri else None
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=beside)
    run = client.create_run(experiment, run_name="benchmark").info.run_id
    for task, figures in result.tasks.items():
        for name, means in figures.means.items():
            prefix = f"{task}/{name.replace(' ', '_')}"
            for metric, value in {**means, "mean_rank": figures.ranks[name]}.items():
                client.log_metric(run, f"{prefix}/{metric}", value)
    for file in files:
        client.log_artifact(run, str(file))
    client.set_terminated(run)
