"""Blackness of the background of the fused image (background)."""

from __future__ import annotations

import torch

from ..utils.enums import Better
from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "BackgroundMetric", "background"]


def background(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Fraction of the pixels that are black in both sources and not black in the fused image.

    Where no pixel is black in both sources it is 0. A background that is unevenly gray lifts EN.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: this project.

    Example:
        >>> black, gray = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)
        >>> background(gray, black, black).item()
        1.0
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _background(images: Triplet) -> torch.Tensor:
    black = (images.sources == 0).all(dim=0)
    grayed = (black & (images.fused > 0)).sum(dim=(-2, -1)).to(torch.float64)
    return grayed / black.sum(dim=(-2, -1)).clamp_min(1)


DECLARATION = MetricDeclaration(
    name="background",
    order=180,
    function=background,
    compute=_background,
    low=0.0,
    high=1.0,
    better=Better.LOWER,
    shown=True,
)


class BackgroundMetric(FusionMetric):
    """Accumulates :func:`background` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
