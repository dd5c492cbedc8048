"""What blocks and nets share: the check of their dimensions, the start at zero, the layout in memory."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["channels_last", "check_spatial_dims", "start_at_zero"]


def check_spatial_dims(spatial_dims: int) -> None:
    """Check that a net is asked for images or for volumes.

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"`spatial_dims` must be 2 or 3, got {spatial_dims}.")


def start_at_zero(layer: nn.Module) -> None:
    """Set weights and bias of a layer to zero, so that a network starts as if the layer were not there."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


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
