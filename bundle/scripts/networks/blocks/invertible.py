"""The Invertible Dense Network (IDN): lossless features of one modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..layers.space_to_depth import HaarDownsample
from ..utils import channels_last
from .dense import DenseSubnet
from .reversible import reversible_couplings

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
        scale, shift = self._scale_and_shift(self.subnet_1(x2))
        y1 = x1 * scale + shift
        scale, shift = self._scale_and_shift(self.subnet_2(y1))
        y2 = x2 * scale + shift
        return torch.cat([y1, y2], dim=1)

    @torch.jit.export
    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`forward`."""
        y1, y2 = torch.split(y, [self.first, self.second], dim=1)
        scale, shift = self._scale_and_shift(self.subnet_2(y1))
        x2 = (y2 - shift) / scale
        scale, shift = self._scale_and_shift(self.subnet_1(x2))
        x1 = (y1 - shift) / scale
        return torch.cat([x1, x2], dim=1)

    def backpropagate(
        self, y: torch.Tensor, grad: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor | None]]:
        """Rebuild the input and backpropagate from the output alone.

        Args:
            y: output of :meth:`forward`, (B, in_channels, *spatial).
            grad: gradient with respect to it.

        Returns:
            The input, the gradient with respect to it, and with respect to each of ``parameters()``, in their order;
            None for those that do not require one.
        """
        y1, y2 = torch.split(y, [self.first, self.second], dim=1)
        grad_y1, grad_y2 = torch.split(grad, [self.first, self.second], dim=1)
        x2, grad_x2, through_y1, gradients_2 = self._undo_half(self.subnet_2, y1, y2, grad_y2)
        x1, grad_x1, through_x2, gradients_1 = self._undo_half(self.subnet_1, x2, y1, grad_y1 + through_y1)
        x, grad_x = torch.cat([x1, x2], dim=1), torch.cat([grad_x1, grad_x2 + through_x2], dim=1)
        return x, grad_x, [*gradients_1, *gradients_2]

    def _undo_half(
        self, subnet: nn.Module, given: torch.Tensor, output: torch.Tensor, grad: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor | None]]:
        """Input of ``output = input * scale(given) + shift(given)``, gradients of input, given and parameters."""
        parameters = list(subnet.parameters())
        with torch.enable_grad():
            given = given.detach().requires_grad_()
            scale, shift = self._scale_and_shift(subnet(given))
        x = (output - shift.detach()) / scale.detach()
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        through, *found = torch.autograd.grad([scale, shift], [given, *wanted], [grad * x, grad])
        gradients = [found.pop(0) if parameter.requires_grad else None for parameter in parameters]
        return x, grad * scale.detach(), through, gradients

    def _scale_and_shift(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale = torch.exp(self.clamp * torch.tanh(z))  # of t too: a dense tensor is faster than half of one
        return scale.chunk(2, dim=1)[0], z.chunk(2, dim=1)[1]


class InvertibleLevel(nn.Module):
    """One level of the IDN: a Haar transform, then affine couplings.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels before the Haar transform.
        growth: growth of the dense sub-networks.
        num_blocks: number of couplings.
        reversible: rebuild activations in the backward pass instead of storing them; not in half precision or under
            autocast, which could not rebuild them. Defaults to False.

    Shape:
        (B, in_channels, *spatial), even sides; returns (B, in_channels * 2**spatial_dims, *spatial / 2).
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, growth: int, num_blocks: int, reversible: bool = False
    ) -> None:
        super().__init__()
        self.reversible = reversible
        self.out_channels = in_channels * 2**spatial_dims
        self.haar = HaarDownsample(spatial_dims)
        self.blocks = nn.ModuleList(
            AffineCouplingBlock(spatial_dims, self.out_channels, growth) for _ in range(num_blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform and couple."""
        x = channels_last(self.haar(x))
        if not torch.jit.is_scripting():
            exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type)
            if self.reversible and exact and torch.is_grad_enabled():
                return reversible_couplings(self.blocks, x)
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

    ``inverse(forward(x)) == x``: its features lose nothing of the image.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image. Defaults to 1.
        growth: growth of the dense sub-networks, one number a level. Defaults to ``(8, 16)``.
        num_blocks: coupling blocks, one number a level. Defaults to ``(2, 2)``.
        reversible: train with memory that does not grow with ``num_blocks``, for one more forward pass; see
            :class:`InvertibleLevel`. Defaults to False.

    Shape:
        (B, in_channels, *spatial), each side a multiple of ``2**levels``; returns
        (B, in_channels * 2**(spatial_dims * levels), *spatial / 2**levels).

    Raises:
        ValueError: When ``growth`` and ``num_blocks`` have different lengths or are empty.

    Reference: Luo and Xu, "MMIF-AMIN", arXiv 2508.08679. An independent implementation of the idea, with levels after
    Jacobsen, Smeulders, Oyallon, "i-RevNet: deep invertible networks", ICLR 2018, arXiv 1802.07088.

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
        reversible: bool = False,
    ) -> None:
        super().__init__()
        if len(growth) != len(num_blocks) or not growth:
            raise ValueError(
                f"`growth` and `num_blocks` must name the same levels, got {list(growth)} and {list(num_blocks)}."
            )
        self.levels = nn.ModuleList(
            InvertibleLevel(spatial_dims, in_channels * 2 ** (spatial_dims * level), g, n, reversible)
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
