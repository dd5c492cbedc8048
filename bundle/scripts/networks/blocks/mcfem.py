"""The Multi-scale Complementary Feature Extraction Module (MCFEM): what the two modalities complement in each other."""

from __future__ import annotations

import torch
from monai.networks.layers.factories import Act, Conv
from torch import nn

from .attention import ChannelAttention, ChannelLayerNorm, SpatialAttention, TransposedAttention

__all__ = ["MCFEM", "ComplementaryBlock", "MultiScaleConvolution"]


class MultiScaleConvolution(nn.Module):
    """Depthwise convolutions of several sizes, summed, then mixed across channels.

    The sum of convolutions is one convolution with the sum of their kernels, the smaller ones centered in zeros: it is
    computed so.

    Args:
        spatial_dims: 2 or 3.
        channels: number of channels.
        kernel_sizes: odd sizes of the depthwise convolutions. Defaults to ``(3, 5, 7)``.

    Shape:
        (B, channels, *spatial), kept.

    Raises:
        ValueError: When ``kernel_sizes`` is empty or holds an even size.

    Reference: Szegedy et al., "Going deeper with convolutions", CVPR 2015, arXiv 1409.4842 (several sizes side by
    side).
    """

    def __init__(self, spatial_dims: int, channels: int, kernel_sizes: tuple[int, ...] = (3, 5, 7)) -> None:
        super().__init__()
        if not kernel_sizes or any(size % 2 == 0 for size in kernel_sizes):
            raise ValueError(f"`kernel_sizes` must be odd numbers, got {list(kernel_sizes)}.")
        conv = Conv[Conv.CONV, spatial_dims]
        self.sizes = nn.ModuleList(
            conv(channels, channels, size, padding=size // 2, groups=channels) for size in kernel_sizes
        )
        self.largest = max(kernel_sizes)
        self.mix = nn.Sequential(Act[Act.GELU](), conv(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter at every size, sum and mix."""
        kernels: list[torch.Tensor] = []
        biases: list[torch.Tensor] = []
        for conv in self.sizes:
            weight: torch.Tensor = conv.weight  # type: ignore[assignment]
            bias: torch.Tensor | None = conv.bias  # type: ignore[assignment]
            margin = (self.largest - weight.shape[-1]) // 2
            kernels.append(nn.functional.pad(weight, [margin] * (2 * (x.dim() - 2))))
            if bias is not None:
                biases.append(bias)
        kernel, offset = kernels[0], biases[0]
        for more, further in zip(kernels[1:], biases[1:]):  # noqa: B905, TorchScript has no strict
            kernel, offset = kernel + more, offset + further  # gradients of a stack's sum would share their memory
        if x.dim() == 4:
            total = nn.functional.conv2d(x, kernel, offset, padding=self.largest // 2, groups=x.shape[1])
        else:
            total = nn.functional.conv3d(x, kernel, offset, padding=self.largest // 2, groups=x.shape[1])
        return self.mix(total)


class ComplementaryBlock(nn.Module):
    """One block of the MCFEM: multi-size convolutions with hybrid attention, then a Transformer layer, both residual.

    Each part can be left out, for the ablation.

    Args:
        spatial_dims: 2 or 3.
        channels: number of channels.
        kernel_sizes: sizes of the depthwise convolutions. Defaults to ``(3, 5, 7)``.
        channel_attention: weight the channels. Defaults to False.
        spatial_attention: weight the pixels. Defaults to True.
        transformer: add the Transformer layer (transposed attention and feed-forward). Defaults to True.
        num_heads: heads of the attention. Defaults to 4.

    Shape:
        (B, channels, *spatial), kept.

    Raises:
        ValueError: When ``num_heads`` does not divide ``channels`` or ``kernel_sizes`` is not odd.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        kernel_sizes: tuple[int, ...] = (3, 5, 7),
        channel_attention: bool = False,
        spatial_attention: bool = True,
        transformer: bool = True,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.local = nn.Sequential(
            ChannelLayerNorm(channels),
            MultiScaleConvolution(spatial_dims, channels, kernel_sizes),
            ChannelAttention(channels) if channel_attention else nn.Identity(),
            SpatialAttention(spatial_dims) if spatial_attention else nn.Identity(),
        )
        self.attention = (
            nn.Sequential(ChannelLayerNorm(channels), TransposedAttention(spatial_dims, channels, num_heads))
            if transformer
            else None
        )
        self.feed_forward = (
            nn.Sequential(
                ChannelLayerNorm(channels),
                conv(channels, 2 * channels, 1),
                conv(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels),
                Act[Act.GELU](),
                conv(2 * channels, channels, 1),
            )
            if transformer
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply both residual parts."""
        x = x + self.local(x)
        if self.attention is not None and self.feed_forward is not None:
            x = x + self.attention(x)
            x = x + self.feed_forward(x)
        return x


class MCFEM(nn.Module):
    """Multi-scale Complementary Feature Extraction Module on the features of both modalities together.

    Sees both feature sets and the size of their difference, and passes them through complementary blocks.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of one modality's features.
        channels: width of the module. Defaults to 48.
        num_blocks: complementary blocks. Defaults to 2.
        kernel_sizes: sizes of the depthwise convolutions. Defaults to ``(3, 5, 7)``.
        channel_attention: weight the channels. Defaults to False.
        spatial_attention: weight the pixels. Defaults to True.
        transformer: add Transformer layers. Defaults to True.

    Shape:
        features_a, features_b: (B, in_channels, *spatial); returns (B, channels, *spatial).

    Raises:
        ValueError: When an option of :class:`ComplementaryBlock` is wrong.

    Reference: Luo and Xu, "MMIF-AMIN", arXiv 2508.08679. An independent implementation of the idea: the parts are named
    in the abstract, the layout is our own.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: int = 48,
        num_blocks: int = 2,
        kernel_sizes: tuple[int, ...] = (3, 5, 7),
        channel_attention: bool = False,
        spatial_attention: bool = True,
        transformer: bool = True,
    ) -> None:
        super().__init__()
        self.embed = Conv[Conv.CONV, spatial_dims](3 * in_channels, channels, 1)
        self.blocks = nn.Sequential(
            *(
                ComplementaryBlock(
                    spatial_dims, channels, tuple(kernel_sizes), channel_attention, spatial_attention, transformer
                )
                for _ in range(num_blocks)
            )
        )

    def forward(self, features_a: torch.Tensor, features_b: torch.Tensor) -> torch.Tensor:
        """Extract the complementary features."""
        joint = torch.cat([features_a, features_b, (features_a - features_b).abs()], dim=1)
        return self.blocks(self.embed(joint))
