"""How much contrast the fused image has: the term ``contrast``, after SD."""

from __future__ import annotations

import torch

from .base import LossTerm, TermInputs, negative_log

__all__ = ["TERMS"]


def contrast(inputs: TermInputs) -> torch.Tensor:
    """-log of the standard deviation, relative to that of both sources laid over each other, (B,); 0 above it."""
    union = inputs.image.flatten(2).var(dim=2).sum(dim=1)
    return negative_log(((inputs.fused.flatten(1).var(dim=1) + 1e-4) / (union + 1e-4)).sqrt().clamp_max(1.0))


TERMS = (LossTerm("contrast", 0.5, contrast),)
