"""Spatial frequency of the fused image (SF)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "SpatialFrequencyMetric", "spatial_frequency"]


def spatial_frequency(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Root mean square of the differences between neighboring pixels of the fused image.

    .. math:: SF = \sqrt{\overline{(\partial_x F)^2} + \overline{(\partial_y F)^2}}

    in gray levels a pixel. A constant image has 0; noise has much.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Eskicioglu and Fisher, "Image quality measures and their performance", IEEE Trans. Communications 1995,
    doi:10.1109/26.477498.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _spatial_frequency(images: Triplet) -> torch.Tensor:
    fused = images.fused
    rows = (fused[:, :, 1:] - fused[:, :, :-1]).square().mean(dim=(-2, -1))
    columns = (fused[:, 1:, :] - fused[:, :-1, :]).square().mean(dim=(-2, -1))
    return (rows + columns).sqrt()


DECLARATION = MetricDeclaration(
    name="SF",
    order=30,
    function=spatial_frequency,
    compute=_spatial_frequency,
    low=0.0,
    high=255 * math.sqrt(2),
    unit="gray levels a pixel",
    ranked=("medical", "infrared-visible"),
    tested=True,
    shown=True,
)


class SpatialFrequencyMetric(FusionMetric):
    """Accumulates :func:`spatial_frequency` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
