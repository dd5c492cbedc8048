"""The fixed fusion loss: hand-made weights, for the ablation and for the refinement of one pair."""

from __future__ import annotations

import torch

from .base import FusionLoss
from .terms.base import LossWeights

__all__ = ["FixedFusionLoss"]


class FixedFusionLoss(FusionLoss):
    """Fusion loss with the same hand-made weights for all modalities; arguments and shapes as in FusionLoss.

    Example:
        >>> image = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> loss = FixedFusionLoss()
        >>> bool(loss(image.amax(1, keepdim=True), image) < loss(torch.zeros(1, 1, 64, 64), image))
        True
    """

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the hand-made weights for ``image``, (B, 2, H, W)."""
        return self.hand_made_weights(image)
