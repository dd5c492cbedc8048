"""Feature-wise modulation: how one number changes what a network does with its features."""

import torch
from torch import nn

__all__ = ["FeatureModulation"]


class FeatureModulation(nn.Module):
    r"""Scales and shifts each channel in proportion to a condition k.

    .. math:: y_c = x_c (1 + k \alpha_c) + k \beta_c

    At k = 0 the features stay exactly as they are, whatever has been learned. Starts with alpha = beta = 0.

    Args:
        channels: number of channels.

    Shape:
        x: (B, channels, *spatial), kept; condition: (B,) or (1,).

    Reference: Perez et al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018, arXiv 1709.07871;
    Dosovitskiy and Djolonga, "You only train once: loss-conditional training of deep networks", ICLR 2020. Linear in
    the condition is our choice: the unconditioned network is one of its cases.

    Example:
        >>> x = torch.rand(2, 3, 5, 5)
        >>> bool((FeatureModulation(3)(x, torch.ones(2)) == x).all())
        True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Modulate the features."""
        ones = [1] * (x.dim() - 2)
        k = condition.to(x.dtype).reshape([-1, 1] + ones)
        channels = [1, -1] + ones
        return x * (1 + k * self.scale.reshape(channels)) + k * self.shift.reshape(channels)
