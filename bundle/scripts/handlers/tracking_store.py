"""The MLflow store that a run is logged to: reached within seconds or not at all, and never half-made."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import mlflow
from monai.handlers import MLFlowHandler

from ..utils.checks import InputError
from ..utils.files import UNFINISHED

__all__ = ["StoreRun", "artifact_folder", "open_run", "sqlite_uri", "tracking_client"]

T = TypeVar("T")
SQLITE = "sqlite:///"
FIRST_ANSWER = 8.0  # seconds
# MLflow tries eight times, up to two minutes each. With these values a server that has gone is noticed within 9 s, and
# one that answers late has a second chance. A value that is set in the environment stays.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}


class StoreRun(MLFlowHandler):
    """An ``MLFlowHandler`` for the very store that is named, whatever the environment's ``MLFLOW_TRACKING_URI`` says.

    It can be started again with other parameters; those of the first start stay.

    Args:
        uri: of the store.
        options: further arguments of ``MLFlowHandler``.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        environments = os.environ.pop("MLFLOW_TRACKING_URI", None)
        self.cur_run: Any = None
        try:
            super().__init__(tracking_uri=uri, **options)
        finally:
            if environments is not None:
                os.environ["MLFLOW_TRACKING_URI"] = environments

    def log_file(self, path: str | os.PathLike, folder: str | None) -> None:
        """Log a file to a folder of the run's artifacts, or to their root."""
        self.client.log_artifact(self.cur_run.info.run_id, str(path), folder)

    def tag(self, name: str, value: str) -> None:
        """Put a tag on the run."""
        self.client.set_tag(self.cur_run.info.run_id, name, value)

    def _log_params(self, params: dict[str, Any]) -> None:
        new = dict(params)
        self._delete_exist_param_in_dict(new)
        if new:
            super()._log_params(new)


def sqlite_uri(path: str | os.PathLike) -> str:
    """Name an SQLite store as MLflow and SQLAlchemy both understand it: without escapes, which only the latter reads.

    Args:
        path: the file; it need not exist.

    Raises:
        InputError: When the path holds what would be understood otherwise.

    Example:
        >>> sqlite_uri("/my runs/mlruns.db")
        'sqlite:////my runs/mlruns.db'
    """
    absolute = Path(path).absolute().as_posix()
    if "?" in absolute or unquote(absolute) != absolute:
        raise InputError(
            f"{path}: MLflow's store cannot be made there: a store's address holds no ? and no % before two digits. "
            "Choose another output."
        )
    return SQLITE + absolute


def artifact_folder(uri: str) -> str | None:
    """Where the files of an SQLite store go: beside it, as ``MLFlowHandler`` has it. None for a server, which knows.

    Example:
        >>> artifact_folder("sqlite:////runs/mlruns.db"), artifact_folder("http://localhost:5000")
        ('file:///runs/mlruns', None)
    """
    return (Path(uri.removeprefix(SQLITE)).parent / "mlruns").as_uri() if uri.startswith(SQLITE) else None


def tracking_client(uri: str, seconds: float = FIRST_ANSWER) -> mlflow.MlflowClient:
    """Connect to a store, which must answer soon; an SQLite file is made where there is none.

    Args:
        uri: of the store.
        seconds: how long to wait for the first answer of a server. Defaults to 8.

    Raises:
        TimeoutError: When the server does not answer in time.
        Exception: Of many types from MLflow, when the store cannot be used.
    """
    return _reach(uri, lambda: mlflow.MlflowClient(tracking_uri=uri), lambda client: client, seconds)


def open_run(uri: str, seconds: float, options: dict[str, Any]) -> StoreRun:
    """Make the handler of a run, after its store has answered.

    Args:
        uri: of the store.
        seconds: how long to wait for the first answer of a server.
        options: further arguments of ``MLFlowHandler``.

    Raises:
        TimeoutError: When the server does not answer in time.
        Exception: Of many types from MLflow, when the store cannot be used.
    """
    return _reach(uri, lambda: StoreRun(uri, **options), lambda run: run.client, seconds)


def _reach(uri: str, make: Callable[[], T], client_of: Callable[[T], mlflow.MlflowClient], seconds: float) -> T:
    """Make something that talks to a store, and let the store answer a question."""

    def ask() -> T:
        made = make()
        client_of(made).search_experiments(max_results=1)
        return made

    if uri.startswith(SQLITE):
        _make_sqlite_store(Path(uri.removeprefix(SQLITE)))
        return ask()
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    return _within(seconds, ask)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or give up: names may be looked up for minutes, and no setting limits that.

    Raises:
        TimeoutError: When it takes longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)  # one that hangs keeps no process from ending
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return results[0]


def _make_sqlite_store(path: Path) -> None:
    """Make an SQLite store under another name, and give it its own when it is complete.

    MLflow makes its tables in dozens of steps that it cannot repeat, so a kill between them would leave a file that no
    later run can use.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
        coming = Path(folder, path.name)
        store = StoreRun(f"{SQLITE}{coming}")
        store.client.search_experiments(max_results=1)
        store.close()
        coming.replace(path)
