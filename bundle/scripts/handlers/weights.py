"""The network's weights as a file: read before a run, written after it, sealed and never half-written."""

from __future__ import annotations

import os
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..utils.weights import load_weights, save_state

__all__ = ["SealedCheckpointLoader", "WeightsSaver"]


class SealedCheckpointLoader:
    """Reads a state dict into the network when an engine starts. MONAI's ``CheckpointLoader`` sees no damage.

    ``MonaiAlgo`` leaves it out, because it finds ``CheckpointLoader`` in its name: there the server sends the weights.

    Args:
        path: the file.
        network: the network; of a DistributedDataParallel, what it wraps.

    Raises:
        InputError: When the engine starts and the file is missing, damaged or of another architecture.
    """

    def __init__(self, path: str | os.PathLike, network: nn.Module) -> None:
        self.path = Path(path)
        self.network = getattr(network, "module", network)

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Read the weights."""
        load_weights(self.network, self.path)


class WeightsSaver:
    """Writes the network's state dict when a training has come to its end, e.g. as ``final.pt``.

    MONAI's ``CheckpointSaver`` writes in place, so a full disk leaves half a file under its final name, and it also
    writes after an error.

    Args:
        path: the file.
        network: the network; of a DistributedDataParallel, what it wraps.
        save: whether this process writes it. Defaults to True.
    """

    def __init__(self, path: str | os.PathLike, network: nn.Module, save: bool = True) -> None:
        self.path = Path(path)
        self.network = getattr(network, "module", network)
        self.save = save

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the weights."""
        if self.save:
            save_state(self.network.state_dict(), self.path)
