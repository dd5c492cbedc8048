"""Bringing the runs of one MLflow store to another: after a training that had to go on without its server."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from tqdm import tqdm

from .tracking import SERVER_RUN
from .tracking_store import artifact_folder, tracking_client

__all__ = ["upload_runs"]

BATCH = 1000  # metrics that MLflow takes at once
PARAMETERS = 100  # the same for parameters


def upload_runs(local_uri: str, server_uri: str) -> list[str]:
    """Copy all runs of a store to a server: parameters, metrics with their times, files and how the run ended.

    A run that was begun on the server is continued there. What is there already does not come twice, so an upload that
    was interrupted is simply started again.

    Args:
        local_uri: the store to read, such as ``sqlite:///runs/train/mlruns.db``.
        server_uri: the store to write.

    Returns:
        The names of the runs.

    Raises:
        TimeoutError: When the server does not answer within 8 seconds.
        Exception: Of many types from MLflow, when one of the stores cannot be used.
    """
    local, server = tracking_client(local_uri), tracking_client(server_uri)
    experiments = {experiment.experiment_id: experiment.name for experiment in local.search_experiments()}
    runs = [run for experiment in experiments for run in local.search_runs([experiment])]
    for run in tqdm(runs, desc="uploading", unit="run"):
        target = _known_run(run, server)
        if target is None:
            target = _new_run(run, server, experiments[run.info.experiment_id], artifact_folder(server_uri))
            local.set_tag(run.info.run_id, SERVER_RUN, target.info.run_id)
        _upload(run, local, server, target)
    return [run.info.run_name for run in runs]


def _known_run(run: Run, server: mlflow.MlflowClient) -> Run | None:
    """The run of the server that a local run goes on from, or that an upload before this one made."""
    try:
        return server.get_run(run.data.tags[SERVER_RUN])
    except (KeyError, MlflowException):  # it has none, or one of another server
        return None


def _new_run(run: Run, server: mlflow.MlflowClient, experiment: str, files: str | None) -> Run:
    found = server.get_experiment_by_name(experiment)
    number = found.experiment_id if found else server.create_experiment(experiment, artifact_location=files)
    return server.create_run(number, start_time=run.info.start_time, run_name=run.info.run_name)


def _upload(run: Run, local: mlflow.MlflowClient, server: mlflow.MlflowClient, target: Run) -> None:
    """Copy what a run holds."""
    number = target.info.run_id
    new = [Param(name, value) for name, value in run.data.params.items() if name not in target.data.params]
    for start in range(0, len(new), PARAMETERS):
        server.log_batch(number, params=new[start : start + PARAMETERS])
    for name in run.data.metrics:
        there = {_point(metric) for metric in server.get_metric_history(number, name)}
        missing = [m for m in local.get_metric_history(run.info.run_id, name) if _point(m) not in there]
        for start in range(0, len(missing), BATCH):
            server.log_batch(number, metrics=missing[start : start + BATCH])
    if local.list_artifacts(run.info.run_id):
        server.log_artifacts(number, str(Path(local.download_artifacts(run.info.run_id, ""))))
    if run.info.status != RunStatus.to_string(RunStatus.RUNNING):
        server.set_terminated(number, run.info.status, run.info.end_time)


def _point(metric: Metric) -> tuple[int, int]:
    return metric.timestamp, metric.step
