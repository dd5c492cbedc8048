"""The Invertible Dense Network (IDN): lossless features of one modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..layers.space_to_depth import HaarDownsample
from .dense import DenseSubnet

__all__ = ["AffineCouplingBlock", "InvertibleDenseNetwork", "InvertibleLevel"]


class AffineCouplingBlock(nn.Module):
    r"""Affine coupling of two halves of the channels, each updated from the other by a dense sub-network.

    .. math::
        y_1 = x_1 e^{s(x_2)} + t(x_2),\quad y_2 = x_2 e^{s'(y_1)} + t'(y_1),\quad
        s = c \tanh(\cdot)

    Inverted exactly by solving for :math:`x_2`, then :math:`x_1`. Starts as the identity.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels, at least 2; an odd one goes to the second half.
        growth: growth of the dense sub-networks.
        num_layers: inner layers of the dense sub-networks. Defaults to 2.
        clamp: largest log-scale c. Defaults to 0.5.

    Shape:
        (B, in_channels, *spatial), kept.

    Raises:
        ValueError: When ``in_channels`` is below 2.

    Reference: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", ICLR 2017, arXiv 1605.08803.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, growth: int, num_layers: int = 2, clamp: float = 0.5
    ) -> None:
        super().__init__()
        if in_channels < 2:
            raise ValueError(f"`in_channels` must be at least 2 to be split, got {in_channels}.")
        self.first = in_channels // 2
        self.second = in_channels - self.first
        self.clamp = clamp
        self.subnet_1 = DenseSubnet(spatial_dims, self.second, 2 * self.first, growth, num_layers)
        self.subnet_2 = DenseSubnet(spatial_dims, self.first, 2 * self.second, growth, num_layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Couple the halves."""
        x1, x2 = torch.split(x, [self.first, self.second], dim=1)
        s, t = self.subnet_1(x2).chunk(2, dim=1)
        y1 = x1 * torch.exp(self.clamp * torch.tanh(s)) + t
        s, t = self.subnet_2(y1).chunk(2, dim=1)
        y2 = x2 * torch.exp(self.clamp * torch.tanh(s)) + t
        return torch.cat([y1, y2], dim=1)

    @torch.jit.export
    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`forward`."""
        y1, y2 = torch.split(y, [self.first, self.second], dim=1)
        s, t = self.subnet_2(y1).chunk(2, dim=1)
        x2 = (y2 - t) * torch.exp(-self.clamp * torch.tanh(s))
        s, t = self.subnet_1(x2).chunk(2, dim=1)
        x1 = (y1 - t) * torch.exp(-self.clamp * torch.tanh(s))
        return torch.cat([x1, x2], dim=1)


class InvertibleLevel(nn.Module):
    """One level of the IDN: a Haar transform, then affine couplings.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels before the Haar transform.
        growth: growth of the dense sub-networks.
        num_blocks: number of couplings.

    Shape:
        (B, in_channels, *spatial), even sides; returns (B, in_channels * 2**spatial_dims, *spatial / 2).
    """

    def __init__(self, spatial_dims: int, in_channels: int, growth: int, num_blocks: int) -> None:
        super().__init__()
        self.out_channels = in_channels * 2**spatial_dims
        self.haar = HaarDownsample(spatial_dims)
        self.blocks = nn.ModuleList(
            AffineCouplingBlock(spatial_dims, self.out_channels, growth) for _ in range(num_blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform and couple."""
        x = self.haar(x)
        for block in self.blocks:
            x = block(x)
        return x

    @torch.jit.export
    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`forward`."""
        for block in self.blocks[::-1]:
            z = block.inverse(z)  # type: ignore[operator]
        return self.haar.inverse(z)


class InvertibleDenseNetwork(nn.Module):
    """Invertible Dense Network: at each level a Haar transform, then affine couplings with dense sub-networks.

    ``inverse(forward(x)) == x``: what it extracts loses nothing (claim 1 of the paper).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image. Defaults to 1.
        growth: growth of the dense sub-networks, one number a level. Defaults to ``(8, 16)``.
        num_blocks: coupling blocks, one number a level. Defaults to ``(2, 2)``.

    Shape:
        (B, in_channels, *spatial), each side a multiple of ``2**levels``; returns
        (B, in_channels * 2**(spatial_dims * levels), *spatial / 2**levels).

    Raises:
        ValueError: When ``growth`` and ``num_blocks`` have different lengths or are empty.

    Reference: Luo and Xu, "MMIF-AMIN", arXiv 2508.08679 (the idea; its layout is not public). Levels after Jacobsen,
    Smeulders, Oyallon, "i-RevNet: deep invertible networks", ICLR 2018, arXiv 1802.07088.

    Example:
        >>> idn = InvertibleDenseNetwork(2).double()
        >>> x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
        >>> bool((idn.inverse(idn(x)) - x).abs().max() < 1e-10)
        True
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int = 1,
        growth: Sequence[int] = (8, 16),
        num_blocks: Sequence[int] = (2, 2),
    ) -> None:
        super().__init__()
        if len(growth) != len(num_blocks) or not growth:
            raise ValueError(
                f"`growth` and `num_blocks` must name the same levels, got {list(growth)} and {list(num_blocks)}."
            )
        self.levels = nn.ModuleList(
            InvertibleLevel(spatial_dims, in_channels * 2 ** (spatial_dims * level), g, n)
            for level, (g, n) in enumerate(zip(growth, num_blocks, strict=True))
        )
        self.out_channels = [in_channels * 2 ** (spatial_dims * (level + 1)) for level in range(len(growth))]

    @torch.jit.export
    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every level, finest first; the last one is :meth:`forward`'s."""
        result: list[torch.Tensor] = []
        for level in self.levels:
            x = level(x)
            result.append(x)
        return result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Extract the features of the last level."""
        return self.features(x)[-1]

    @torch.jit.export
    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """Rebuild the image from the features of the last level."""
        for level in self.levels[::-1]:
            z = level.inverse(z)  # type: ignore[operator]
        return z
