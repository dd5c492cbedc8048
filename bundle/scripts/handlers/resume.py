"""Exact resume: a training that was killed continues from its last epoch and reaches the same result."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import Dataset
from monai.transforms import Randomizable
from torch.utils.data.distributed import DistributedSampler

from ..utils.checks import InputError, first_line
from ..utils.weights import load_state, save_state

__all__ = ["ResumeHandler"]

COUNTERS = ("epoch", "iteration")  # of the engine's state
RANK_STRIDE = 1_000_003  # from the seed of one process to that of the next: no epoch of another seed has it


class ResumeHandler:
    """Saves all that a training needs after each epoch, in one file, and loads it when the training starts again.

    All random numbers of an epoch come from ``1000 * seed + epoch`` and the number of the process, so they do not
    depend on where the run was interrupted, and no two processes change their images alike. The file is sealed, written
    under another name and renamed: a kill in the middle of writing leaves the last epoch's file. The file of the epoch
    before stays too, as e.g. ``last_before.pt``; a training whose last file is damaged goes on from that one and says
    so. MONAI's ``CheckpointSaver`` neither writes so nor seeds epochs.

    Args:
        path: the file, e.g. ``last.pt``.
        objects: name to object with ``state_dict`` and ``load_state_dict``: networks (of a DistributedDataParallel,
            what it wraps), loss, optimizers, schedulers. What is None, such as a disabled teacher, is left out.
        dataset: the training set, whose random transforms are seeded. Defaults to None.
        seed: seed of the run. Defaults to 0.
        rank: which of the training's processes this is. Defaults to 0.
        save: whether this process writes the file. Defaults to True.

    Raises:
        InputError: When the training starts and both files are damaged, or are of another configuration.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        objects: Mapping[str, Any],
        dataset: Dataset | None = None,
        seed: int = 0,
        rank: int = 0,
        save: bool = True,
    ) -> None:
        self.path = Path(path)
        self.before = self.path.with_stem(f"{self.path.stem}_before")
        self.coming = self.path.with_stem(f".{self.path.stem}_coming")
        self.objects = {name: getattr(item, "module", item) for name, item in objects.items() if item is not None}
        self.dataset = dataset
        self.seed = seed
        self.rank = rank
        self.save = save
        self._last_is_whole = False

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_STARTED, self.set_seed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.store)

    def load(self, engine: Engine) -> None:
        """Load the file where there is one, unless the training has begun: federated learning starts it again."""
        if engine.state.epoch > 0:
            return
        state = self._read()
        if state is None:
            return
        try:
            self._load_objects(state)
            for name in COUNTERS:
                setattr(engine.state, name, state[name])
        except Exception as error:  # torch raises many types for states that do not fit
            raise InputError(
                f"{self.path}: cannot resume from it: {first_line(error)} "
                "Use the config it was made with, or remove it to start anew."
            ) from error

    def _read(self) -> Mapping[str, Any] | None:
        """The state of the last epoch, or of the one before where the last file is damaged; None where there is none.

        Raises:
            InputError: When neither file can be read.
        """
        damages = []
        last = self.path if self.path.is_file() else self.coming  # after a kill between the two renames of `store`
        for path in (last, self.before):
            if not path.is_file():
                break
            try:
                state = load_state(path)
            except Exception as error:  # torch raises many types for damaged files
                words = first_line(error).removeprefix(f"{path}: ")
                damages.append(f"{path}: cannot resume from it: {words}")
                continue
            self._last_is_whole = path == self.path
            if damages and self.save:
                warnings.warn(f"{damages[0]} The training goes on from the epoch before, {path}.", stacklevel=2)
            return state
        if damages:
            raise InputError(f"{' '.join(damages)} Restore it from a copy, or remove it to start anew.")
        return None

    def _load_objects(self, state: Mapping[str, Any]) -> None:
        """Load each object's part of the file.

        Raises:
            ValueError: When the file holds other parts.
        """
        held = set(state) - set(COUNTERS)
        if held != set(self.objects):
            raise ValueError(f"It must hold {', '.join(sorted(self.objects))}, got {', '.join(sorted(held))}.")
        for name, item in self.objects.items():
            item.load_state_dict(state[name])

    def set_seed(self, engine: Engine) -> None:
        """Seed the epoch."""
        seed = 1000 * self.seed + engine.state.epoch + RANK_STRIDE * self.rank
        torch.manual_seed(seed)
        transform = getattr(self.dataset, "transform", None)
        if isinstance(transform, Randomizable):
            transform.set_random_state(seed)
        sampler = getattr(getattr(engine, "data_loader", None), "sampler", None)
        if isinstance(sampler, DistributedSampler):
            sampler.set_epoch(engine.state.epoch)

    def store(self, engine: Engine) -> None:
        """Write the file, and keep the one that it replaces."""
        if not self.save:
            return
        state = {name: item.state_dict() for name, item in self.objects.items()}
        state.update({name: getattr(engine.state, name) for name in COUNTERS})
        try:
            save_state(state, self.coming)
            if self._last_is_whole:
                self.path.replace(self.before)
            self.coming.replace(self.path)
        except InputError as error:
            raise InputError(str(error).replace(str(self.coming), str(self.path))) from error
        except OSError as error:
            raise InputError(f"{self.path}: could not be written: {error.strerror or error}.") from error
        self._last_is_whole = True
