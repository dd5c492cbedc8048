"""Attention that is linear in the number of pixels: channel, spatial, and transposed self-attention."""

from __future__ import annotations

import torch
from torch import nn

from .dense import channels_last, conv_type

__all__ = ["ChannelAttention", "ChannelLayerNorm", "SpatialAttention", "TransposedAttention"]


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of each pixel.

    Args:
        channels: number of channels.

    Shape:
        (B, channels, *spatial), kept.

    Reference: Ba, Kiros, Hinton, "Layer normalization", arXiv 1607.06450.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize each pixel."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: weights each channel in (0, 2) by the image's mean and standard deviation in it.

    Departure from the paper: the standard deviation joins the mean, because a fused image lives from contrast.

    Args:
        channels: number of channels.
        reduction: how far the inner layer is narrower. Defaults to 4.

    Shape:
        (B, channels, *spatial), kept.

    Reference: Hu, Shen, Sun, "Squeeze-and-excitation networks", CVPR 2018, arXiv 1709.01507.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.weights = nn.Sequential(nn.Linear(2 * channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the channels."""
        axes = list(range(2, x.dim()))
        mean = x.mean(dim=axes, keepdim=True)
        deviation = ((x - mean).square().mean(dim=axes, keepdim=True) + 1e-6).sqrt()
        weights = 2 * torch.sigmoid(self.weights(torch.cat([mean, deviation], dim=1).flatten(1)))
        return x * weights.reshape(mean.shape)


class SpatialAttention(nn.Module):
    """Weights each pixel in (0, 2) by a 7x7 convolution of the mean and the maximum over its channels.

    Args:
        spatial_dims: 2 or 3.
        kernel_size: odd size of the convolution. Defaults to 7.

    Shape:
        (B, C, *spatial), kept.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Woo et al., "CBAM: convolutional block attention module", ECCV 2018, arXiv 1807.06521.
    """

    def __init__(self, spatial_dims: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = conv_type(spatial_dims)(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the pixels."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * (2 * torch.sigmoid(self.conv(summary)))


class TransposedAttention(nn.Module):
    """Multi-head self-attention across channels instead of pixels: cost linear in the number of pixels.

    Args:
        spatial_dims: 2 or 3.
        channels: number of channels.
        num_heads: heads; must divide ``channels``. Defaults to 4.

    Shape:
        (B, channels, *spatial), kept.

    Raises:
        ValueError: When ``num_heads`` does not divide ``channels``.

    Reference: Zamir et al., "Restormer: efficient Transformer for high-resolution image restoration", CVPR 2022,
    arXiv 2111.09881.
    """

    def __init__(self, spatial_dims: int, channels: int, num_heads: int = 4) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"`num_heads` must divide `channels`, got {num_heads} and {channels}.")
        conv = conv_type(spatial_dims)
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Sequential(
            conv(channels, 3 * channels, 1), conv(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels)
        )
        self.project = conv(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend across channels."""
        q, k, v = self.qkv(x).flatten(2).chunk(3, dim=1)
        b, c, n = q.shape
        heads = [b, self.num_heads, c // self.num_heads, n]
        q = nn.functional.normalize(q.reshape(heads), dim=-1)
        k = nn.functional.normalize(k.reshape(heads), dim=-1)
        attention = torch.softmax(q @ k.transpose(-2, -1) * self.temperature, dim=-1)
        return self.project(channels_last((attention @ v.reshape(heads)).reshape(x.shape)))
