"""Tracking of a training or an evaluation in MLflow, which says soon when its store fails."""

from __future__ import annotations

import os
import warnings
from typing import Any

from ignite.engine import Engine, Events

from ..utils.checks import InputError, first_line
from .tracking_store import FIRST_ANSWER, StoreRun, open_run

__all__ = ["SERVER_RUN", "FusionTrackingHandler"]

SERVER_RUN = "mmif_amin.run_on_server"  # tag of a local run: which run of the server it goes on from


class FusionTrackingHandler:
    """Logs to MLflow, and takes files of other handlers while the run goes on.

    The store is opened when the engine starts. When it does not answer then, or fails later, the run ends with one
    sentence, or goes on and is logged to a local store.

    Args:
        tracking_uri: the store. The environment's ``MLFLOW_TRACKING_URI`` goes before it, as in ``MLFlowHandler``.
        required: whether the run ends when the store fails. Defaults to True.
        local_uri: the local store where ``required`` is False. Defaults to None: nothing more is logged.
        seconds: how long to wait for the first answer of a server. Defaults to 8.
        iteration_log: whether, or in which iterations, to log them; a filter of events. Defaults to True.
        kwargs: further arguments of ``MLFlowHandler``.

    Raises:
        InputError: When the store fails while the engine runs, and it is required.
    """

    def __init__(
        self,
        tracking_uri: str,
        required: bool = True,
        local_uri: str | None = None,
        seconds: float = FIRST_ANSWER,
        iteration_log: Any = True,
        **kwargs: Any,
    ) -> None:
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
        self.required = required
        self.local_uri = local_uri
        self.seconds = seconds
        self.iteration_log = iteration_log
        self.options = kwargs
        self.run: StoreRun | None = None
        self._engine: Engine | None = None
        self._failed = False

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        engine.add_event_handler(Events.STARTED, self.start)
        if self.iteration_log:
            event: Any = Events.ITERATION_COMPLETED
            event = event(event_filter=self.iteration_log) if callable(self.iteration_log) else event
            engine.add_event_handler(event, lambda: self._log("iteration_completed", engine))
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: self._log("epoch_completed", engine))
        engine.add_event_handler(Events.COMPLETED, self.close)

    def start(self, engine: Engine) -> None:
        """Open the store, and begin a run or go on with one that has not ended.

        Raises:
            InputError: When the store fails and is required.
        """
        self._engine = engine
        self._log("start", engine)

    def log_artifact(self, path: str | os.PathLike, folder: str | None = None) -> None:
        """Log a file to the current run.

        Args:
            path: the file.
            folder: folder of the run's artifacts that it goes to. Defaults to None: their root.

        Raises:
            ValueError: When no run has been started, or it has ended.
            InputError: When the store fails and is required.
        """
        if self._engine is None:
            raise ValueError(f"{path}: there must be a running MLflow run to log to. Attach this handler to an engine.")
        self._log("log_file", path, folder)

    def close(self, engine: Engine) -> None:
        """Log the files of the whole run and end it.

        Raises:
            InputError: When the store fails and is required.
        """
        self._log("complete")
        self._log("close")
        self.run, self._engine = None, None

    def _log(self, step: str, *args: Any) -> None:
        """Take one step of the handler of the run, opening the store where that is still to be done."""
        if self._failed:
            return
        try:
            self._take(step, *args)
        except Exception as error:  # MLflow, SQLAlchemy and requests have no common class
            self._fail(error)
            if not self._failed:
                self._log(step, *args)

    def _take(self, step: str, *args: Any) -> None:
        if self.run is None:
            self.run = open_run(self.uri, self.seconds, self.options)
            if step != "start" and self._engine is not None:
                self.run.start(self._engine)
        getattr(self.run, step)(*args)

    def _fail(self, error: Exception) -> None:
        """End the run, or turn to the local store, or, where that fails too, log nothing more.

        Raises:
            InputError: When the store is required.
        """
        what = f"tracking_uri: expected an MLflow store that works, got {self.uri}: {_shortened(first_line(error))}."
        if self.required:
            raise InputError(
                f"{what} Mend it and start the same command again: a training goes on from its last finished epoch. "
                "Or add --tracking-required False: then it goes on without this store."
            ) from error
        server_run = None if self.run is None or self.run.cur_run is None else self.run.cur_run.info.run_id
        if self.local_uri in (None, self.uri):
            self._failed = True
            warnings.warn(f"{what} Nothing more is logged.", RuntimeWarning, stacklevel=2)
            return
        warnings.warn(
            f"{what} The run is logged to {self.local_uri} instead. When the server is back, `mmif-amin upload` brings "
            "it there.",
            RuntimeWarning,
            stacklevel=2,
        )
        self.uri, self.run = str(self.local_uri), None
        if server_run is not None:
            self._log("tag", SERVER_RUN, server_run)


def _shortened(text: str) -> str:
    """The beginning of a message and its end, which in MLflow's says what really happened."""
    return text if len(text) <= 200 else f"{text[:70]} ... {text[-130:]}"
