"""The loss-proposal network: how much of each source the fused image must keep, where, and which term counts."""

from __future__ import annotations

import torch
from torch import nn

from ..blocks.dense import conv_type
from ..layers.space_to_depth import space_to_depth

__all__ = ["LossProposalNet"]


class LossProposalNet(nn.Module):
    r"""Proposes the adaptive loss's weights from both sources.

    Logits are bounded by ``bound * tanh`` and start at zero: the proposal is anchored to equal shares and can move the
    odds of a source by at most :math:`e^{2 bound}`.

    Args:
        spatial_dims: 2 or 3.
        num_terms: number of loss terms to weight. Defaults to 6.
        channels: width. Defaults to 24.
        bound: largest absolute logit of a map or a term. Defaults to 1.5.

    Shape:
        image: (B, 2, *spatial), even sides. Returns ``maps``, logits of shape (B, 4, *spatial): intensity of source A and
        B, structure of source A and B; and ``terms``, logits of shape (B, num_terms).

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Bai et al., "ReFusion: learning image fusion from reconstruction with learnable loss via meta-learning",
    IJCV 2024, arXiv 2312.07943 (the idea of a proposed loss).
    """

    def __init__(self, spatial_dims: int, num_terms: int = 6, channels: int = 24, bound: float = 1.5) -> None:
        super().__init__()
        conv = conv_type(spatial_dims)
        self.bound = bound
        self.spatial_dims = spatial_dims
        self.body = nn.Sequential(
            conv(2 * 2**spatial_dims, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            conv(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            conv(channels, channels, 3, padding=4, dilation=4),
            nn.LeakyReLU(0.2),
        )
        self.maps = conv(channels, 4, 3, padding=1)
        self.terms = nn.Linear(channels, num_terms)
        for layer in (self.maps, self.terms):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propose map logits and term logits."""
        features = self.body(space_to_depth(image))
        mode = "bilinear" if self.spatial_dims == 2 else "trilinear"
        maps = nn.functional.interpolate(self.maps(features), scale_factor=2.0, mode=mode, align_corners=False)
        terms = self.terms(features.flatten(2).mean(dim=2))
        return self.bound * torch.tanh(maps), self.bound * torch.tanh(terms)
