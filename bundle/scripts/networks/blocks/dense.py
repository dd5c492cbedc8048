"""Densely connected convolutions: the sub-network of an invertible coupling."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["DenseSubnet", "conv_type", "start_at_zero"]


def conv_type(spatial_dims: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """Return ``nn.Conv2d`` or ``nn.Conv3d``.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"`spatial_dims` must be 2 or 3, got {spatial_dims}.")
    return nn.Conv2d if spatial_dims == 2 else nn.Conv3d


def start_at_zero(layer: nn.Module) -> None:
    """Set weights and bias of a layer to zero, so that what it feeds starts without it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


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

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Huang et al., "Densely connected convolutional networks", CVPR 2017, arXiv 1608.06993.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, growth: int, num_layers: int = 2
    ) -> None:
        super().__init__()
        conv = conv_type(spatial_dims)
        self.layers = nn.ModuleList(
            nn.Sequential(conv(in_channels + i * growth, growth, 3, padding=1), nn.LeakyReLU(0.2))
            for i in range(num_layers)
        )
        self.last = conv(in_channels + num_layers * growth, out_channels, 3, padding=1)
        start_at_zero(self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the dense block."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.last(x)
