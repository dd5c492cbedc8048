"""How evenly the fused image uses its gray levels: the term ``entropy``, after EN."""

from __future__ import annotations

import math

import torch

from .base import LossTerm, TermInputs

__all__ = ["TERMS"]

BINS = 64


def entropy(inputs: TermInputs) -> torch.Tensor:
    """-log of the entropy of the histogram, relative to the largest one, (B,): a saturated image loses by it.

    Each pixel is shared by the two nearest of 64 bins, so that the histogram has a gradient.
    """
    fused = inputs.fused
    position = fused.flatten(1).clamp(0.0, 1.0) * (BINS - 1)
    lower = position.detach().floor().clamp(0, BINS - 2)
    part, index = position - lower, lower.long()
    counts = torch.zeros(len(position), BINS, dtype=fused.dtype, device=fused.device)
    counts = counts.scatter_add(1, index, 1 - part).scatter_add(1, index + 1, part) / position.shape[1]
    nats = -(counts * (counts + 1e-8).log()).sum(dim=1) / math.log(BINS)
    return -(nats + 0.02).log()


TERMS = (LossTerm("entropy", 3.0, entropy),)
