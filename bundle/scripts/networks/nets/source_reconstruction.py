"""The source-reconstruction network: rebuilds both sources from the fused image alone."""

from __future__ import annotations

import torch
from monai.networks.layers.factories import Act, Conv
from monai.networks.utils import pixelshuffle
from torch import nn

from ..layers.space_to_depth import space_to_depth
from ..utils import check_spatial_dims, start_at_zero

__all__ = ["SourceReconstructionNet"]


class SourceReconstructionNet(nn.Module):
    """Rebuilds both sources from the fused image; the fusion has lost what the net cannot rebuild.

    Args:
        spatial_dims: 2 or 3.
        channels: width. Defaults to 32.
        num_layers: residual layers, with dilations 1, 2, 4, 1, 2, ... Defaults to 4.

    Shape:
        fused: (B, 1, *spatial), even sides; returns (B, 2, *spatial): source A, source B.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Bai et al., "ReFusion: learning image fusion from reconstruction with learnable loss via meta-learning",
    IJCV 2024, arXiv 2312.07943.
    """

    def __init__(self, spatial_dims: int, channels: int = 32, num_layers: int = 4) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        conv = Conv[Conv.CONV, spatial_dims]
        self.spatial_dims, bands = spatial_dims, 2**spatial_dims
        self.embed = conv(bands, channels, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(Act[Act.GELU](), conv(channels, channels, 3, padding=2 ** (i % 3), dilation=2 ** (i % 3)))
            for i in range(num_layers)
        )
        self.last = conv(channels, 2 * bands, 3, padding=1)
        start_at_zero(self.last)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """Rebuild both sources as the fused image plus a correction each."""
        x = self.embed(space_to_depth(fused))
        for layer in self.layers:
            x = x + layer(x)
        return fused + pixelshuffle(self.last(x), self.spatial_dims, 2)
