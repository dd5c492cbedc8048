"""The fixed fusion loss: hand-made weights, for the ablation and for the refinement of one pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from monai.utils import look_up_option

from .base import FusionLoss
from .terms.base import LossWeights
from .terms.table import LOSS_TERMS

__all__ = ["FixedFusionLoss"]


class FixedFusionLoss(FusionLoss):
    """Fusion loss with the same hand-made weights for all modalities; shapes as in FusionLoss.

    Args:
        terms: as in FusionLoss. Defaults to None: all declared terms.
        anchors: weights of some terms instead of their declared anchors, relative to those of the others. Defaults to
            None: the declared ones.

    Raises:
        ValueError: When ``anchors`` names a term that the loss does not have, or a weight is not positive.

    Example:
        >>> image = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> loss = FixedFusionLoss()
        >>> bool(loss(image.amax(1, keepdim=True), image) < loss(torch.zeros(1, 1, 64, 64), image))
        True
    """

    def __init__(self, terms: Sequence[str] | None = None, anchors: Mapping[str, float] | None = None) -> None:
        super().__init__(terms)
        given = {look_up_option(name, self.terms): float(weight) for name, weight in (anchors or {}).items()}
        for name, weight in given.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"`anchors` must be positive weights, got {weight} for '{name}'.")
        self.anchors = [given.get(name, LOSS_TERMS[name].anchor) for name in self.terms]

    def anchor_logits(self, like: torch.Tensor) -> torch.Tensor:
        """Logits of the weights of the terms, (1, K), of the type and on the device of ``like``."""
        return torch.tensor([self.anchors], dtype=like.dtype, device=like.device).log()

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the hand-made weights for ``image``, (B, 2, H, W)."""
        return self.hand_made_weights(image)
