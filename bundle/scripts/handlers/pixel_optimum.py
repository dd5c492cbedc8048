"""At the end of a training: which part of the way to the optimum of its loss the network goes."""

from __future__ import annotations

import copy
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import Dataset
from torch import nn
from tqdm import tqdm

from ..inferers.optimum import STEPS, way_closed
from ..utils.enums import SourceKeys
from ..utils.files import write_atomically

__all__ = ["PixelOptimumHandler"]


class PixelOptimumHandler:
    """Reports :func:`~scripts.inferers.optimum.way_closed` after the last epoch, for the best weights.

    The figures go to ``engine.state.metrics`` as ``way_closed/TASK`` (put this handler before the MLFlowHandler) and to
    a JSON file. It takes about 8 s of one core for a 256x256 pair.

    Args:
        network: the trained network.
        weights: file of the best weights; where there is none, the network is taken as it is.
        dataset: the validation pairs, with ``image`` and ``task``.
        path: the JSON file.
        interval: of the pairs of each task, the first and every ``interval``-th after it are taken. Defaults to 5.
        steps: of the optimization of the pixels. Defaults to 120.
        save: whether this process does it. Defaults to True.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | os.PathLike,
        dataset: Dataset,
        path: str | os.PathLike,
        interval: int = 5,
        steps: int = STEPS,
        save: bool = True,
    ) -> None:
        self.network = network
        self.weights = Path(weights)
        self.dataset = dataset
        self.path = Path(path)
        self.interval = interval
        self.steps = steps
        self.save = save

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Measure, if this was the last epoch."""
        last = engine.state.epoch == engine.state.max_epochs or engine.should_terminate
        if not (last and self.save):
            return
        network = copy.deepcopy(getattr(self.network, "module", self.network))
        if self.weights.is_file():
            network.load_state_dict(torch.load(self.weights, map_location="cpu", weights_only=True))
        pairs = self._pairs()
        with tqdm(total=len(pairs), desc="pixel optimum", unit="pair") as bar:
            parts = way_closed(network, pairs, self.steps, bar.update)
        engine.state.metrics.update({f"way_closed/{task}": part for task, part in parts.items()})
        write_atomically(self.path, lambda path: path.write_text(json.dumps(parts, indent=4)))
        shown = ", ".join(f"{task} {part:.2f}" for task, part in parts.items())
        engine.logger.info(f"Way closed from the maximum to the pixel optimum: {shown}.")

    def _pairs(self) -> list[Any]:
        """Every ``interval``-th pair of each task."""
        by_task: dict[str, list[Any]] = defaultdict(list)
        for pair in (self.dataset[k] for k in range(len(self.dataset))):
            by_task[str(pair[SourceKeys.TASK])].append(pair)
        return [pair for pairs in by_task.values() for pair in pairs[:: self.interval]]
