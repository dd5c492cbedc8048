"""Densely connected convolutions: the sub-network of an invertible coupling."""

from __future__ import annotations

import torch
from monai.networks.blocks.denseblock import DenseBlock
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_act_layer
from torch import nn

from ..utils import start_at_zero

__all__ = ["DenseSubnet"]


class DenseSubnet(nn.Module):
    """Dense block: each 3x3 convolution sees the input and all features before it; the last one starts at zero.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        growth: channels that each inner layer adds.
        num_layers: inner layers before the last convolution. Defaults to 2.

    Shape:
        (B, in_channels, *spatial); returns (B, out_channels, *spatial).

    Reference: Huang et al., "Densely connected convolutional networks", CVPR 2017, arXiv 1608.06993.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, growth: int, num_layers: int = 2
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        act = ("leakyrelu", {"negative_slope": 0.2, "inplace": True})
        self.layers = DenseBlock(
            [
                nn.Sequential(conv(in_channels + i * growth, growth, 3, padding=1), get_act_layer(act))
                for i in range(num_layers)
            ]
        )
        self.last = conv(in_channels + num_layers * growth, out_channels, 3, padding=1)
        start_at_zero(self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the dense block."""
        return self.last(self.layers(x))
