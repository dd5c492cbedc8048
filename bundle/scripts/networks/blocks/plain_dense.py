"""A plain dense network of the size of the IDN, which shows in the ablation what invertibility is worth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from .dense import DenseSubnet

__all__ = ["PlainDenseNetwork"]


class PlainDenseNetwork(nn.Module):
    """Dense blocks of as many parameters as the IDN has, not invertible.

    At each level a strided convolution, then three dense blocks where the IDN has two couplings; an odd coupling is one
    block and one of half the growth.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image. Defaults to 1.
        growth: growth of the dense blocks, one number a level. Defaults to ``(8, 16)``.
        num_blocks: coupling blocks of the IDN that it stands for, one number a level. Defaults to ``(2, 2)``.

    Shape:
        as :class:`~scripts.networks.blocks.invertible.InvertibleDenseNetwork`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int = 1,
        growth: Sequence[int] = (8, 16),
        num_blocks: Sequence[int] = (2, 2),
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.out_channels = [in_channels * 2 ** (spatial_dims * (level + 1)) for level in range(len(growth))]
        levels, before = [], in_channels
        for after, g, n in zip(self.out_channels, growth, num_blocks, strict=True):
            growths = [g] * (3 * n // 2) + [g // 2] * (n % 2)
            blocks = [DenseSubnet(spatial_dims, after, after, size) for size in growths]
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
