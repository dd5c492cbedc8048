"""The adaptive fusion loss, whose weights a network proposes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..utils.enums import Preference
from .base import FusionLoss
from .terms.base import LossWeights

__all__ = ["AdaptiveFusionLoss"]


def _log(shares: torch.Tensor) -> torch.Tensor:
    """Logarithm of shares, finite where one is 0."""
    return shares.clamp_min(1e-12).log()


def _divergence(shares: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of shares from their anchor over dimension 1, nats, mean over the rest."""
    return (shares * (_log(shares) - _log(anchor))).sum(dim=1).mean()


class AdaptiveFusionLoss(FusionLoss):
    """The adaptive loss: a network proposes, for each pixel, how much of each source must be kept, and what counts.

    The proposal moves the target intensity and the structure shares of each pixel, and the weights of the terms of each
    image, away from the hand-made ones of :class:`~scripts.losses.base.FusionLoss`, to which it is anchored. A plain
    ``backward`` never reaches the proposal, so it cannot make the loss easy; a
    :class:`~scripts.losses.teachers.LossTeacher` trains it.

    The names of the terms, and the order in which their logits are read, are those of ``proposal.terms``, which its
    weights carry with them.

    Args:
        proposal: a :class:`~scripts.networks.nets.loss_proposal.LossProposalNet`, whose ``terms`` are declared terms.
        anchors: as in FusionLoss. Defaults to None: the declared ones.
        preference: as in FusionLoss. Defaults to ``"brighter"``.

    Shape:
        fused: (B, 1, H, W) in [0, 1]; image: (B, 2, H, W), both sources, even sides of at least 48; returns a scalar.

    Raises:
        ValueError: As in FusionLoss.

    Reference: Luo and Xu, "MMIF-AMIN", arXiv 2508.08679 (a loss that adjusts its targets); Bai et al., "ReFusion", IJCV
    2024, arXiv 2312.07943 (a network that proposes the loss). The terms, the bars and the anchor are ours.
    """

    def __init__(
        self,
        proposal: nn.Module,
        anchors: Mapping[str, float] | None = None,
        preference: Preference | str = Preference.BRIGHTER,
    ) -> None:
        super().__init__(proposal.terms, anchors, preference)  # type: ignore[arg-type]
        self.proposal = proposal

    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the proposed weights for ``image``, (B, 2, H, W), differentiable in the proposal's parameters."""
        maps, terms = self.proposal(image)
        odds = torch.cat([maps / 2, -maps / 2], dim=1)
        anchor = self.hand_made_weights(image)
        intensity = torch.softmax(_log(anchor.intensity) + odds[:, 0::2], dim=1)
        structure = torch.softmax(_log(anchor.structure) + odds[:, 1::2], dim=1)
        terms = torch.softmax(self.anchor_logits(image) + terms, dim=1)
        departure = (
            _divergence(intensity, anchor.intensity)
            + _divergence(structure, anchor.structure)
            + _divergence(terms, anchor.terms)
        )
        return LossWeights(intensity, structure, terms, departure)
