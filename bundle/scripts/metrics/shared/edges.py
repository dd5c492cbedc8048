"""Edges that are kept from each source, for Qabf and Qabf_min."""

from __future__ import annotations

import math

import torch

from ..base import Triplet

__all__ = ["edge_information"]


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
    """Q of each pixel: how well the fused image keeps the strength and the orientation of a source's edge."""
    larger = torch.maximum(g, fused_g)
    ratio = torch.where(g == fused_g, fused_g, torch.minimum(g, fused_g) / larger.clamp_min(1e-12))
    alignment = 1 - (orientation - fused_orientation).abs() / (math.pi / 2)
    strength = 0.9994 / (1 + torch.exp(-15 * (ratio - 0.5)))
    direction = 0.9879 / (1 + torch.exp(-22 * (alignment - 0.8)))
    return strength * direction


def edge_information(images: Triplet) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Sums over the pixels of each source: :math:`\sum Q_{SF}\, g_S` and :math:`\sum g_S`, (2, N) each.

    g is the Sobel strength; Q the product of a sigmoid of the ratio of edge strengths (0.9994, -15, 0.5) and one of the
    alignment of edge orientations (0.9879, -22, 0.8). Oddities of the field's evaluator, kept for comparability: equal
    strengths give the ratio g instead of 1, the orientation does not wrap around, and the border is padded with zeros.
    """
    (fused_g, fused_o), *sources = [_sobel(x.to(torch.float32)) for x in images.stack]
    kept = torch.stack(
        [(_preservation(g, o, fused_g, fused_o) * g).sum(dim=(-2, -1), dtype=torch.float64) for g, o in sources]
    )
    total = torch.stack([g.sum(dim=(-2, -1), dtype=torch.float64) for g, _ in sources])
    return kept, total
