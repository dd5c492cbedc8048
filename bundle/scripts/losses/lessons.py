"""What a lesson is: an iteration of the training whose images are made from the batch, with a loss of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

__all__ = ["Lesson", "Lessons"]


class Lesson(Protocol):
    """The images of one lesson."""

    @property
    def inputs(self) -> torch.Tensor:
        """What the network fuses, (N, 2, H, W) in [0, 1]; it begins with ``pairs``."""

    @property
    def pairs(self) -> torch.Tensor:
        """The pairs that the fusion loss and the log see, (B, 2, H, W), B at most N."""

    @property
    def condition(self) -> dict[str, torch.Tensor]:
        """Further arguments of the network."""


L = TypeVar("L", bound=Lesson)


class Lessons(ABC, Generic[L]):
    """When a training gives lessons of one kind, and what they count; a subclass says what they are.

    All random numbers come from torch's generator, so a resumed training draws the same.

    Args:
        share: of all iterations, in [0, 1].
        weight: of what is lost in a lesson, beside a fusion loss whose weights have the sum 1.

    Raises:
        ValueError: When the share is not in [0, 1].
    """

    name: str  # of what is lost, in the log

    def __init__(self, share: float, weight: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"`share` must lie in [0, 1], got {share}.")
        self.share = share
        self.weight = weight

    def draw(self, image: torch.Tensor, tasks: Sequence[str]) -> L | None:
        """Make a lesson of a batch, if it is this iteration's turn.

        Args:
            image: (B, 2, H, W) in [0, 1].
            tasks: the task of each image; none: all are of one.

        Returns:
            None where it is not its turn, or nothing can be made of these images.
        """
        if torch.rand(()).item() >= self.share:
            return None
        return self.make(image, tasks, np.random.default_rng(int(torch.randint(2**31, ()))))

    @abstractmethod
    def make(self, image: torch.Tensor, tasks: Sequence[str], rng: np.random.Generator) -> L | None:
        """Make a lesson of a batch; arguments as in :meth:`draw`."""

    @abstractmethod
    def lost(self, fused: torch.Tensor, lesson: L) -> torch.Tensor:
        """Compute what the fused ``inputs`` of a lesson, (N, 1, H, W), have lost; a scalar."""

    @abstractmethod
    def total(self, fusion_loss: torch.Tensor, lost: torch.Tensor, lesson: L) -> torch.Tensor:
        """Compute what the network learns from in a lesson, from the fusion loss of its pairs and what is lost."""
