"""What handlers need when several processes share one training or evaluation."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import torch.distributed as dist
from ignite.engine import Engine, Events
from torch.utils.data.distributed import DistributedSampler

from ..utils.checks import first_line

__all__ = ["LostProcessHandler", "end_process", "first_of_each", "gather", "is_first_process", "positions_of"]

T = TypeVar("T")
LOST = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|socket|timed out", re.IGNORECASE)


def is_distributed() -> bool:
    """Whether this is one of several processes that share the work."""
    return dist.is_available() and dist.is_initialized()


def is_first_process() -> bool:
    """Whether this process writes what the whole run writes once."""
    return not is_distributed() or dist.get_rank() == 0


def gather(item: T) -> list[T]:
    """Return every process's ``item``, in the order of the processes; all of them must call this.

    Example:
        >>> gather("mine")
        ['mine']
    """
    if not is_distributed():
        return [item]
    items: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(items, item)
    return items


def positions_of(engine: Any) -> list[int]:
    """Return the places in the data set of the images that this process sees in an epoch, in the order it sees them.

    Args:
        engine: a MONAI engine whose epoch begins.

    Returns:
        One place an image; empty where there is one process alone.
    """
    if not is_distributed():
        return []
    sampler, count = engine.data_loader.sampler, len(engine.data_loader.dataset)
    return list(sampler) if isinstance(sampler, DistributedSampler) else list(range(count))


def first_of_each(positions: Sequence[int]) -> list[int]:
    """Return where each place of the data set is first seen, in the order of the places.

    Example:
        >>> first_of_each([0, 2, 1, 0])
        [0, 2, 1]
    """
    first = {position: index for index, position in reversed(list(enumerate(positions)))}
    return [first[position] for position in sorted(first)]


def end_process() -> None:
    """Leave the group of processes; a process that torchrun has started then ends at once, with exit code 0.

    On its way out of the interpreter torch 2.13 sometimes aborts ("terminate called without an active exception"), when
    all work is done, and torchrun takes the whole run for failed.
    """
    dist.destroy_process_group()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class LostProcessHandler:
    """Ends this process with one line when another one has gone, instead of a traceback out of torch.

    Without it every process that is left shows where in its code it waited for the one that was killed. Put it first:
    of the handlers of an exception, only the first one that raises is called.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, error: Exception) -> None:
        """See whether the error came from the connection to another process.

        Raises:
            SystemExit: When it did.
        """
        if is_distributed() and isinstance(error, RuntimeError) and LOST.search(str(error)):
            raise SystemExit(
                f"Process {dist.get_rank()} of {dist.get_world_size()} stops, because another process of this run has "
                f"ended ({first_line(error)[:100]}). Start the same command again: a training goes on from its last "
                "finished epoch."
            ) from None
        raise error
