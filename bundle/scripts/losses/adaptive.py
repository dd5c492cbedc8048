"""The adaptive fusion loss, whose weights a network proposes, and the fixed one for the ablation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.loss import _Loss

from .terms.all import TERM_ANCHORS, TERM_NAMES, LossWeights, fusion_regrets, fusion_terms

__all__ = ["AdaptiveFusionLoss", "FixedFusionLoss"]

SALIENCY = 8.0  # log-odds for the brighter source in the target intensity, for each unit of brightness


def _anchor_logits(like: torch.Tensor) -> torch.Tensor:
    """Logits of the terms' anchor weights, (1, 11)."""
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

    def summary(self, tasks: Sequence[str] = ()) -> dict[str, float]:
        """Batch means of the latest call, for the log: each term and its weight, and the shares of source A.

        Args:
            tasks: the task of each image, e.g. ``"PET-MRI"``; with it the weights are given for each task too, as
                ``"weight_PET-MRI/local"``. Defaults to none.
        """
        if self._latest is None:
            return {}
        weights, terms = self._latest
        values = {
            "share/intensity_a": weights.intensity[:, 0].mean().item(),
            "share/structure_a": weights.structure[:, 0].mean().item(),
        }
        groups = {"": list(range(len(terms)))}
        groups.update({f"_{t}": [i for i, task in enumerate(tasks) if task == t] for t in set(tasks)})
        for name, term in zip(TERM_NAMES, terms.mean(dim=0), strict=True):
            values[f"term/{name}"] = term.item()
        for group, rows in sorted(groups.items()):
            for name, weight in zip(TERM_NAMES, weights.terms[rows].mean(dim=0), strict=True):
                values[f"weight{group}/{name}"] = weight.item()
        return values


def _divergence(shares: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of shares from their anchor over dimension 1, nats, mean over the rest."""
    return (shares * (shares.clamp_min(1e-12) / anchor.clamp_min(1e-12)).log()).sum(dim=1).mean()


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
    2024, arXiv 2312.07943 (a network that proposes the loss). The terms, the bars and the anchor are ours.
    """

    def __init__(self, proposal: nn.Module) -> None:
        super().__init__()
        self.proposal = proposal

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the proposed weights for ``image``, (B, 2, H, W), differentiable in the proposal's parameters."""
        maps, terms = self.proposal(image)
        odds = torch.cat([maps / 2, -maps / 2], dim=1)
        anchor = super().propose(image)
        intensity = torch.softmax(SALIENCY * image + odds[:, 0::2], dim=1)
        structure = torch.softmax(odds[:, 1::2], dim=1)
        terms = torch.softmax(_anchor_logits(image) + terms, dim=1)
        departure = (
            _divergence(intensity, anchor.intensity)
            + _divergence(structure, anchor.structure)
            + _divergence(terms, anchor.terms)
        )
        return LossWeights(intensity, structure, terms, departure)

    def regret(self, fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
        """Compute the weighted regret against the classical rules, a scalar, differentiable in the weights."""
        return (weights.terms * fusion_regrets(fused, image, weights)).sum(dim=1).mean()
