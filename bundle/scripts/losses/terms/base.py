"""What a loss term is: its declaration, its inputs, and the weights that a loss decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

__all__ = ["GRAY", "LossTerm", "LossWeights", "TermInputs", "image_mean", "kept_part", "negative_log"]

GRAY = 255.0  # gray levels of white
FLOOR = 0.1  # a source of which nothing is kept has this quality: the logarithm stays finite
T = TypeVar("T")


@dataclass
class LossWeights:
    """What a loss decides.

    Args:
        intensity: (B, 2, H, W), shares of the two sources in the target intensity, sum 1 over the sources.
        structure: (B, 2, H, W), shares of the two sources in the structure to be kept, sum 1 over the sources.
        terms: (B, K), weights of the loss's terms, in the order of its ``terms``, sum 1 over the terms.
        departure: how far the weights are from the hand-made ones, Kullback-Leibler divergence in nats. Defaults to 0.
    """

    intensity: torch.Tensor
    structure: torch.Tensor
    terms: torch.Tensor
    departure: torch.Tensor = field(default_factory=lambda: torch.zeros(()))

    def detach(self) -> LossWeights:
        """Return the same weights without their graph."""
        return LossWeights(self.intensity.detach(), self.structure.detach(), self.terms.detach())

    def repeat(self, times: int) -> LossWeights:
        """Return the weights for ``times`` fused images of each pair, pairs repeated as a whole."""
        intensity, structure = (x.repeat(times, 1, 1, 1) for x in (self.intensity, self.structure))
        return LossWeights(intensity, structure, self.terms.repeat(times, 1))


@dataclass
class TermInputs:
    """What a term is computed from, and what the terms of a family have already computed from it.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources.
        weights: what the loss decides.
    """

    fused: torch.Tensor
    image: torch.Tensor
    weights: LossWeights
    _computed: dict[Callable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, compute: Callable[[TermInputs], T]) -> T:
        """Return ``compute(self)``, computed at the first call only.

        Args:
            compute: what several terms of a family need.
        """
        if compute not in self._computed:
            self._computed[compute] = compute(self)
        return self._computed[compute]


@dataclass(frozen=True)
class LossTerm:
    """Declaration of a term.

    Args:
        name: how the log, the weights of the proposal network and the tables call it.
        anchor: where its weight starts, relative to those of the other terms; one value for all modalities.
        function: computes the term from its inputs; returns (B,).
    """

    name: str
    anchor: float
    function: Callable[[TermInputs], torch.Tensor]


def image_mean(x: torch.Tensor) -> torch.Tensor:
    """Mean over everything but the batch, (B, ...) to (B,)."""
    return x.flatten(1).mean(dim=1)


def negative_log(quality: torch.Tensor) -> torch.Tensor:
    """-log of a quality in (0, 1], which counts as 0.001 where it is smaller."""
    return -quality.clamp_min(1e-3).log()


def kept_part(kept: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """-log of the kept part of a total, lifted by :data:`FLOOR`; 0 where there is nothing to keep."""
    return -((kept + FLOOR * total + 1) / ((1 + FLOOR) * total + 1)).log()
