"""Densely connected convolutions: the sub-network of an invertible coupling, and a plain network of the same size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["DenseSubnet", "PlainDenseNetwork", "channels_last", "conv_type", "start_at_zero"]


def conv_type(spatial_dims: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """Return ``nn.Conv2d`` or ``nn.Conv3d``.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"`spatial_dims` must be 2 or 3, got {spatial_dims}.")
    return nn.Conv2d if spatial_dims == 2 else nn.Conv3d


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Lay the channels of each pixel side by side in memory: convolutions of few channels run twice as fast on a CPU.

    Shape:
        (B, C, *spatial), kept; only the strides change.
    """
    if not torch.jit.is_scripting():
        if torch.compiler.is_compiling():
            return x  # compilers choose the layout themselves, and cannot follow strides of open sizes
    if x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last_3d)


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
            nn.Sequential(conv(in_channels + i * growth, growth, 3, padding=1), nn.LeakyReLU(0.2, inplace=True))
            for i in range(num_layers)
        )
        self.last = conv(in_channels + num_layers * growth, out_channels, 3, padding=1)
        start_at_zero(self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the dense block."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.last(x)


class PlainDenseNetwork(nn.Module):
    """What the IDN is measured against: dense blocks of as many parameters that are not invertible.

    At each level a strided convolution, then three dense blocks where the IDN has two couplings.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image. Defaults to 1.
        growth: growth of the dense blocks, one number a level. Defaults to ``(8, 16)``.
        num_blocks: coupling blocks of the IDN that it stands for, one number a level. Defaults to ``(2, 2)``.

    Shape:
        as :class:`~scripts.networks.blocks.invertible.InvertibleDenseNetwork`.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int = 1,
        growth: Sequence[int] = (8, 16),
        num_blocks: Sequence[int] = (2, 2),
    ) -> None:
        super().__init__()
        conv = conv_type(spatial_dims)
        self.out_channels = [in_channels * 2 ** (spatial_dims * (level + 1)) for level in range(len(growth))]
        levels, before = [], in_channels
        for after, g, n in zip(self.out_channels, growth, num_blocks, strict=True):
            blocks = [DenseSubnet(spatial_dims, after, after, g) for _ in range((3 * n + 1) // 2)]
            for block in blocks:
                block.last.reset_parameters()
            levels.append(nn.Sequential(conv(before, after, 2, stride=2), *blocks))
            before = after
        self.levels = nn.ModuleList(levels)

    @torch.jit.export
    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every level, finest first."""
        result: list[torch.Tensor] = []
        for level in self.levels:
            x = level(x)
            result.append(x)
        return result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Extract the features of the last level."""
        return self.features(x)[-1]
