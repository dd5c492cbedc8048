"""A progress bar over the whole training."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers.tqdm_logger import ProgressBar

__all__ = ["EpochProgressBar"]


class EpochProgressBar(ProgressBar):
    """Ignite's progress bar counting epochs, so that it shows the time left of the training; arguments as there."""

    def attach(self, engine: Engine, *_: Any, **__: Any) -> None:  # type: ignore[override]
        """Attach to a trainer."""
        super().attach(engine, event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED)
