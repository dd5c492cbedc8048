"""Validation during training: run the evaluator, keep the best weights, stop when nothing improves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.handlers import ValidationHandler
from torch import nn

from ..utils.files import write_atomically
from ..utils.weights import save_state

__all__ = ["FusionValidationHandler"]

PREFIX = "val/"


class FusionValidationHandler(ValidationHandler):
    """A ``ValidationHandler`` whose result survives a kill.

    After each validation the evaluator's metrics go to the trainer's as ``val/...`` (so one MLflow run holds both), the
    weights are written if the key metric is the best so far, and training ends after ``patience`` validations without a
    better one. Its state belongs into the resume file: MONAI's ``CheckpointSaver`` and ``EarlyStopHandler`` forget
    theirs.

    Args:
        interval: epochs from one validation to the next.
        validator: the evaluator, with a key metric.
        network: whose weights are kept.
        path: the file of the best weights (a plain state dict); its metrics are written beside it as JSON.
        patience: validations without improvement before the training ends. Defaults to 10.
        save: whether this process writes files. Defaults to True.

    Raises:
        ValueError: When ``patience`` is below 1.
    """

    def __init__(
        self,
        interval: int,
        validator: Evaluator,
        network: nn.Module,
        path: str | os.PathLike,
        patience: int = 10,
        save: bool = True,
    ) -> None:
        super().__init__(interval=interval, validator=validator)
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1, got {patience}.")
        self.network = network
        self.path = Path(path)
        self.patience = patience
        self.save = save
        self.best = -1.0
        self.waited = 0
        self._trainer: Engine | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`; a training that had ended for want of better weights ends again."""
        self.best, self.waited = state["best"], state["waited"]
        if self.waited >= self.patience and self._trainer is not None:
            self._trainer.terminate()

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        super().attach(engine)
        self._trainer = engine
        engine.add_event_handler(Events.EPOCH_STARTED, self._forget)

    @staticmethod
    def _forget(engine: Engine) -> None:
        """Drop the last validation's metrics, which would be logged again as those of an epoch without one."""
        for name in [name for name in engine.state.metrics if name.startswith(PREFIX)]:
            del engine.state.metrics[name]

    def __call__(self, engine: Engine) -> None:
        """Validate."""
        if self.validator is None:
            raise RuntimeError("please set validator in __init__() or call `set_validator()` before training.")
        self.validator.state.trainer_epoch = engine.state.epoch
        super().__call__(engine)
        metrics = self.validator.state.metrics
        engine.state.metrics.update({f"{PREFIX}{name}": value for name, value in metrics.items()})
        value = metrics[self.validator.state.key_metric_name]
        if value > self.best:
            self.best, self.waited = value, 0
            if self.save:
                self._keep(engine.state.epoch, metrics)
        else:
            self.waited += 1
            if self.waited >= self.patience:
                engine.logger.info(f"No better weights in {self.patience} validations: training ends.")
                engine.terminate()

    def _keep(self, epoch: int, metrics: dict[str, float]) -> None:
        network = getattr(self.network, "module", self.network)
        save_state(network.state_dict(), self.path)
        report = json.dumps({"epoch": epoch, "metrics": metrics}, indent=4)
        write_atomically(self.path.with_suffix(".json"), lambda path: path.write_text(report, encoding="utf-8"))
