"""The blocks by name, and those of them that can extract the features of :class:`MMIFAMIN`.

    >>> sorted(FeatureExtractors.names)
    ['invertible_dense', 'plain_dense']

A new extractor takes ``spatial_dims``, ``in_channels``, ``growth`` and ``num_blocks``; it has ``out_channels``, one
number a level, and the method ``features``, which returns the features of every level, finest first.
"""

from __future__ import annotations

from ..stores import NetworkStore
from .attention import ChannelAttention, ChannelLayerNorm, SpatialAttention, TransposedAttention
from .dense import DenseSubnet
from .invertible import AffineCouplingBlock, InvertibleDenseNetwork, InvertibleLevel
from .mcfem import MCFEM, ComplementaryBlock, MultiScaleConvolution
from .plain_dense import PlainDenseNetwork

__all__ = ["Blocks", "FeatureExtractors"]

Blocks = NetworkStore("Blocks", "Blocks of the fusion network")
Blocks.add("channel_layer_norm", "layer norm over the channels of each pixel", ChannelLayerNorm)
Blocks.add("channel_attention", "weights channels by their mean and standard deviation", ChannelAttention)
Blocks.add("spatial_attention", "weights pixels by the mean and the maximum of their channels", SpatialAttention)
Blocks.add("transposed_attention", "self-attention across channels, linear in the pixels", TransposedAttention)
Blocks.add("multi_scale_convolution", "depthwise convolutions of several sizes, summed", MultiScaleConvolution)
Blocks.add("complementary_block", "hybrid attention, then a Transformer", ComplementaryBlock)
Blocks.add("mcfem", "complementary features of both modalities", MCFEM)
Blocks.add("dense_subnet", "densely connected convolutions that start at zero", DenseSubnet)
Blocks.add("affine_coupling", "invertible coupling of two halves of the channels", AffineCouplingBlock)
Blocks.add("invertible_level", "one level of the IDN: Haar transform and couplings", InvertibleLevel)

FeatureExtractors = NetworkStore("FeatureExtractors", "What extracts the features of one modality")
FeatureExtractors.add("invertible_dense", "the Invertible Dense Network (IDN): lossless", InvertibleDenseNetwork)
FeatureExtractors.add("plain_dense", "dense blocks of as many parameters, not invertible", PlainDenseNetwork)
