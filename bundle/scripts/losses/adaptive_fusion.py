"""The adaptive fusion loss, whose weights a network proposes, and the fixed one for the ablation."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.loss import _Loss

from .fusion_terms import TERM_ANCHORS, TERM_NAMES, LossWeights, fusion_terms

__all__ = ["AdaptiveFusionLoss", "FixedFusionLoss"]

SALIENCY = 8.0  # log-odds for the brighter source in the target intensity, for each unit of brightness


def _anchor_logits(like: torch.Tensor) -> torch.Tensor:
    """Logits of the terms' anchor weights, (1, 6)."""
    return torch.tensor([list(TERM_ANCHORS.values())], dtype=like.dtype, device=like.device).log()


class FixedFusionLoss(_Loss):
    r"""The terms of :mod:`.fusion_terms` with hand-made weights: equal shares in structure, terms by their anchors.

    .. math::
        T = \sum_S \mathrm{softmax}_S(8 S)\, S \quad \text{(target intensity)},\qquad
        L = \sum_k \lambda_k L_k

    Shape:
        fused: (B, 1, H, W) in [0, 1]; image: (B, 2, H, W), both sources, H and W at least 48; returns a scalar.

    Example:
        >>> image = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> loss = FixedFusionLoss()
        >>> bool(loss(image.amax(1, keepdim=True), image) < loss(torch.zeros(1, 1, 64, 64), image))
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self._latest: tuple[LossWeights, torch.Tensor] | None = None

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the weights for ``image``, (B, 2, H, W)."""
        terms = torch.softmax(_anchor_logits(image).expand(image.shape[0], -1), dim=1)
        return LossWeights(torch.softmax(SALIENCY * image, dim=1), torch.full_like(image, 0.5), terms)

    def evaluate(self, fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
        """Compute the loss with given weights, differentiable in them too.

        Raises:
            ValueError: When ``image`` does not hold two sources of the fused image's size.
        """
        if image.shape[1] != 2 or fused.shape[1] != 1 or image.shape[2:] != fused.shape[2:]:
            raise ValueError(
                "`fused` must be (B, 1, H, W) and `image` (B, 2, H, W) of the same size, got "
                f"{tuple(fused.shape)} and {tuple(image.shape)}."
            )
        terms = fusion_terms(fused, image, weights)
        self._latest = weights.detach(), terms.detach()
        return (weights.terms * terms).sum(dim=1).mean()

    def forward(self, fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Compute the loss; gradients reach ``fused`` only, never the weights.

        Raises:
            ValueError: When ``image`` does not hold two sources of the fused image's size.
        """
        fused, image = fused.as_subclass(torch.Tensor).float(), image.as_subclass(torch.Tensor).float()
        with torch.no_grad():
            weights = self.propose(image)
        return self.evaluate(fused, image, weights)

    def summary(self) -> dict[str, float]:
        """Batch means of the latest call: each term and its weight, and the shares of source A, for the log."""
        if self._latest is None:
            return {}
        weights, terms = self._latest
        values = {
            "share/intensity_a": weights.intensity[:, 0].mean().item(),
            "share/structure_a": weights.structure[:, 0].mean().item(),
        }
        for name, term, weight in zip(TERM_NAMES, terms.mean(dim=0), weights.terms.mean(dim=0), strict=True):
            values[f"term/{name}"] = term.item()
            values[f"weight/{name}"] = weight.item()
        return values


class AdaptiveFusionLoss(FixedFusionLoss):
    """The adaptive loss: a network proposes, for each pixel, how much of each source must be kept, and what counts.

    The proposal moves the target intensity and the structure shares of each pixel, and the weights of the terms of each
    image, away from those of :class:`FixedFusionLoss`, to which it is anchored. A plain ``backward`` never reaches the
    proposal, so it cannot make the loss easy; the outer level of
    :class:`~scripts.engines.fusion_trainer.FusionTrainer` trains it.

    Args:
        proposal: a :class:`LossProposalNet` with as many terms as :data:`TERM_NAMES`.

    Shape:
        fused: (B, 1, H, W) in [0, 1]; image: (B, 2, H, W), both sources, even sides of at least 48; returns a scalar.

    Reference: Luo and Xu, "MMIF-AMIN", arXiv 2508.08679 (a loss that adjusts its targets); Bai et al., "ReFusion", IJCV
    2024, arXiv 2312.07943 (a meta-learned proposal). The terms and the anchor are ours.
    """

    def __init__(self, proposal: nn.Module) -> None:
        super().__init__()
        self.proposal = proposal

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the proposed weights for ``image``, (B, 2, H, W), differentiable in the proposal's parameters."""
        maps, terms = self.proposal(image)
        odds = torch.cat([maps / 2, -maps / 2], dim=1)
        return LossWeights(
            torch.softmax(SALIENCY * image + odds[:, 0::2], dim=1),
            torch.softmax(odds[:, 1::2], dim=1),
            torch.softmax(_anchor_logits(image) + terms, dim=1),
            maps.square().mean() + terms.square().mean(),
        )
