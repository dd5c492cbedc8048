"""Attention that is linear in the number of pixels: channel, spatial, and transposed self-attention."""

from __future__ import annotations

import torch
from monai.networks.blocks.cablock import CABlock
from monai.networks.layers.factories import Act, Conv, Norm
from torch import nn

from ..utils import channels_last

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
        self.norm = Norm[Norm.LAYER](channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize each pixel."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: weights each channel by a factor in (0, 2), from the channel's mean and deviation.

    It departs from SE-Net, and from MONAI's ``ChannelSELayer``, in that the standard deviation joins the mean, because
    a fused image needs contrast, and in that a channel can also be raised.

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
        self.weights = nn.Sequential(nn.Linear(2 * channels, hidden), Act[Act.GELU](), nn.Linear(hidden, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the channels."""
        axes = list(range(2, x.dim()))
        mean = x.mean(dim=axes, keepdim=True)
        deviation = ((x - mean).square().mean(dim=axes, keepdim=True) + 1e-6).sqrt()
        weights = 2 * torch.sigmoid(self.weights(torch.cat([mean, deviation], dim=1).flatten(1)))
        return x * weights.reshape(mean.shape)


class SpatialAttention(nn.Module):
    """Weights each pixel by a factor in (0, 2), from a 7x7 convolution of the mean and the maximum over its channels.

    MONAI has no such block: its ``SpatialAttentionBlock`` compares all pairs of pixels.

    Args:
        spatial_dims: 2 or 3.
        kernel_size: odd size of the convolution. Defaults to 7.

    Shape:
        (B, C, *spatial), kept.

    Reference: Woo et al., "CBAM: convolutional block attention module", ECCV 2018, arXiv 1807.06521.
    """

    def __init__(self, spatial_dims: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = Conv[Conv.CONV, spatial_dims](2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the pixels."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * (2 * torch.sigmoid(self.conv(summary)))


class TransposedAttention(CABlock):
    """Multi-head self-attention across channels instead of pixels: its cost is linear in the number of pixels.

    MONAI's ``CABlock`` with its own ``forward``, which has the same result: that of MONAI calls einops with keyword
    arguments, which TorchScript cannot compile.

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
        if channels % num_heads:
            raise ValueError(f"`num_heads` must divide `channels`, got {num_heads} and {channels}.")
        super().__init__(spatial_dims, channels, num_heads, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend across channels."""
        q, k, v = self.qkv_dwconv(self.qkv(x)).flatten(2).chunk(3, dim=1)
        b, c, n = q.shape
        heads = [b, self.num_heads, c // self.num_heads, n]
        q = nn.functional.normalize(q.reshape(heads), dim=-1)
        k = nn.functional.normalize(k.reshape(heads), dim=-1)
        attended = self._normal_attention(q, k, v.reshape(heads))
        return self.project_out(channels_last(attended.reshape(x.shape)))
