"""Densely connected convolutions: the sub-network of an invertible coupling."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.blocks.denseblock import DenseBlock
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_act_layer
from torch import nn

from ..utils import rename_parameters, start_at_zero

__all__ = ["DenseSubnet"]


class DenseSubnet(nn.Module):
    """Dense block: each 3x3 convolution sees the input and all features before it; the last one starts at zero.

    State dicts of version 0.4.0 can be loaded.

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
        self.register_load_state_dict_pre_hook(_rename_old_layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the dense block."""
        return self.last(self.layers(x))


def _rename_old_layers(module: DenseSubnet, state_dict: dict[str, Any], prefix: str, *args: object) -> None:
    """Give parameters of version 0.4.0 (``layers.0.``) the names that MONAI's DenseBlock has (``layers.layers0.``)."""
    rename_parameters(state_dict, prefix, {f"layers.{k}.": f"layers.layers{k}." for k in range(len(module.layers))})
