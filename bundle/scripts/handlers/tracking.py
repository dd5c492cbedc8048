"""Tracking of a training or an evaluation in MLflow, with files logged as soon as they are written."""

from __future__ import annotations

import os

from monai.handlers import MLFlowHandler

__all__ = ["FusionTrackingHandler"]


class FusionTrackingHandler(MLFlowHandler):
    """An ``MLFlowHandler`` to which other handlers give their files while it runs; arguments as there."""

    def log_artifact(self, path: str | os.PathLike, folder: str | None = None) -> None:
        """Log a file to the current run.

        Args:
            path: the file.
            folder: folder of the run's artifacts that it goes to. Defaults to None: their root.

        Raises:
            ValueError: When no run has been started, or it has ended.
        """
        if self.cur_run is None:
            raise ValueError(f"{path}: there must be a running MLflow run to log to. Attach this handler to an engine.")
        self.client.log_artifact(self.cur_run.info.run_id, str(path), folder)
