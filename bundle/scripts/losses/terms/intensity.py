"""How far the fused image is from the weighted sources: the term ``intensity``."""

from __future__ import annotations

import torch

from .base import LossTerm, TermInputs, image_mean

__all__ = ["TERMS"]


def intensity(inputs: TermInputs) -> torch.Tensor:
    """Mean absolute difference from the weighted sources, relative to the mean of these, (B,)."""
    target = (inputs.weights.intensity * inputs.image).sum(dim=1, keepdim=True)
    return image_mean((inputs.fused - target).abs()) / (image_mean(target) + 0.05)


TERMS = (LossTerm("intensity", 2.0, intensity),)
