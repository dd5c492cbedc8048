"""Batches on which a training cannot learn: named, saved, left out, and too many of them end it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from ..utils.checks import InputError
from ..utils.enums import SourceKeys
from ..utils.weights import save_state

__all__ = ["BadBatchError", "BadBatches"]


class BadBatchError(ArithmeticError):
    """The loss or a gradient of a batch is not a finite number, so no step may be taken on it."""


class BadBatches:
    """Keeps account of the batches that a trainer leaves out because a loss or a gradient was not finite.

    One step on such a batch would make every weight NaN. Each is named in a warning and saved as
    ``bad_batches/epoch_0003_iteration_000217.pt``, so that it can be looked at: ``image`` (B, 2, *spatial), ``name``,
    ``task``, ``epoch``, ``iteration`` and ``reason``.

    Args:
        output_dir: the folder of the run. Defaults to None: batches are not saved.
        limit: how many batches of an epoch may be left out. With the next one the training ends. Defaults to 3.
        save: whether this process saves and warns. Defaults to True.

    Raises:
        ValueError: When ``limit`` is negative.
    """

    def __init__(self, output_dir: str | os.PathLike | None = None, limit: int = 3, save: bool = True) -> None:
        if limit < 0:
            raise ValueError(f"`limit` must be 0 or more batches, got {limit}.")
        self.folder = None if output_dir is None else Path(output_dir) / "bad_batches"
        self.limit = limit
        self.save = save
        self.count = 0

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)

    def reset(self, engine: Engine) -> None:
        """Begin to count anew; a resumed epoch is counted from its start, as an undisturbed one is."""
        self.count = 0

    def add(self, engine: Engine, batch: Mapping[str, Any], reason: BadBatchError) -> None:
        """Name and save a batch that is left out.

        Args:
            engine: the trainer, in the iteration of the batch.
            batch: as the data loader gave it.
            reason: what was not finite.

        Raises:
            InputError: When it is one too many in this epoch.
        """
        self.count += 1
        epoch, iteration = engine.state.epoch, engine.state.iteration
        pairs = zip(batch.get(SourceKeys.TASK, []), batch.get(SourceKeys.NAME, []), strict=False)
        named = ", ".join(f"{task} {name}" for task, name in pairs) or "unnamed images"
        text = f"epoch {epoch}, iteration {iteration}: {reason} on {named}."
        if self.save and self.folder is not None:
            path = self.folder / f"epoch_{epoch:04d}_iteration_{iteration:06d}.pt"
            save_state({**_plain(batch), "epoch": epoch, "iteration": iteration, "reason": str(reason)}, path)
            text += f" The batch is in {path}."
        if self.count > self.limit:
            raise InputError(
                f"{text} No more than {self.limit} batches of an epoch may be left out, so the training ends. Look at "
                "these images, or choose a lower learning rate; then it can go on from its last finished epoch."
            )
        if self.save:
            text += f" It is left out: {self.count} of at most {self.limit} in this epoch."
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def _plain(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a batch that can be read without running code: tensors without metadata, and text."""
    plain: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, torch.Tensor):
            plain[str(key)] = value.detach().as_subclass(torch.Tensor).cpu().clone()
        elif isinstance(value, list | tuple):
            plain[str(key)] = [str(item) for item in value]
    return plain
