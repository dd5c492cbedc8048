"""Edges carried from the sources into the fused image: Qabf and Qabf_min."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = ["MinQabfMetric", "QabfMetric", "edge_preservation", "edge_preservation_min", "qabf_family"]


def _sobel(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel strength and orientation in [-pi/2, pi/2], zero-padded; exact in float32 on gray levels."""
    x = torch.nn.functional.pad(image, (1, 1, 1, 1))
    smooth_y = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    smooth_x = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
    dx = smooth_y[:, :, :-2] - smooth_y[:, :, 2:]
    dy = smooth_x[:, 2:] - smooth_x[:, :-2]
    orientation = torch.where(dx == 0, torch.full_like(dx, math.pi / 2), torch.atan(dy / dx.masked_fill(dx == 0, 1.0)))
    return (dx.square() + dy.square()).sqrt(), orientation


def _preservation(
    g: torch.Tensor, orientation: torch.Tensor, fused_g: torch.Tensor, fused_orientation: torch.Tensor
) -> torch.Tensor:
    larger = torch.maximum(g, fused_g)
    ratio = torch.where(g == fused_g, fused_g, torch.minimum(g, fused_g) / larger.clamp_min(1e-12))
    alignment = 1 - (orientation - fused_orientation).abs() / (math.pi / 2)
    strength = 0.9994 / (1 + torch.exp(-15 * (ratio - 0.5)))
    direction = 0.9879 / (1 + torch.exp(-22 * (alignment - 0.8)))
    return strength * direction


def _qabf(images: GrayTriplet) -> dict[str, torch.Tensor]:
    (fused_g, fused_o), *sources = [_sobel(x.to(torch.float32)) for x in images]
    kept = torch.stack(
        [(_preservation(g, o, fused_g, fused_o) * g).sum(dim=(-2, -1), dtype=torch.float64) for g, o in sources]
    )
    total = torch.stack([g.sum(dim=(-2, -1), dtype=torch.float64) for g, _ in sources])
    by_source = kept / total.clamp_min(1e-12)
    both = kept.sum(dim=0) / total.sum(dim=0).clamp_min(1e-12)
    return {"Qabf": both, "Qabf_min": by_source.amin(dim=0)}


def qabf_family(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> dict[str, torch.Tensor]:
    r"""Qabf and Qabf_min in one pass.

    .. math::
        Qabf = \frac{\sum Q_{AF} g_A + Q_{BF} g_B}{\sum g_A + g_B},\quad
        Qabf_{min} = \min_S \frac{\sum Q_{SF} g_S}{\sum g_S}

    with Q the product of the sigmoids of edge strength (0.9994, -15, 0.5) and orientation (0.9879, -22, 0.8).
    Oddities of the field's evaluator, kept for comparability: equal gradients give the ratio g instead of 1, the
    orientation does not wrap around, the border is padded with zeros. Where no source has an edge the value is 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]).

    Returns:
        Dictionary of ``Qabf`` and ``Qabf_min``, each of shape (B, C), in [0, 1].

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Xydeas and Petrovic, "Objective image fusion performance measure", Electronics Letters 2000,
    doi:10.1049/el:20000267.
    """
    values = _qabf(gray_triplet(fused, source_a, source_b, data_range))
    return {name: unfold(value, fused) for name, value in values.items()}


def edge_preservation(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Edge information kept from both sources (Qabf), in [0, 1]; see :func:`qabf_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Example:
        >>> x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> round(edge_preservation(x, x, x).item(), 3)
        0.975
    """
    return qabf_family(fused, source_a, source_b, data_range)["Qabf"]


def edge_preservation_min(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Edge information of the source that was kept worse (Qabf_min), in [0, 1]; see :func:`qabf_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.
    """
    return qabf_family(fused, source_a, source_b, data_range)["Qabf_min"]


class QabfMetric(FusionMetric):
    """Accumulating version of :func:`edge_preservation`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(edge_preservation, reduction, data_range)


class MinQabfMetric(FusionMetric):
    """Accumulating version of :func:`edge_preservation_min`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(edge_preservation_min, reduction, data_range)
