"""Average gradient of the fused image (AG)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "AverageGradientMetric", "average_gradient"]


def average_gradient(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Mean strength of the gradient of the fused image.

    .. math:: AG = \overline{\sqrt{((\partial_x F)^2 + (\partial_y F)^2) / 2}}

    in gray levels a pixel, with central differences, one-sided at the border. A constant image has 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Cui et al., "Detail preserved fusion of visible and infrared images", Optics Communications 2015,
    doi:10.1016/j.optcom.2014.12.032.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _average_gradient(images: Triplet) -> torch.Tensor:
    dy, dx = torch.gradient(images.fused, dim=(-2, -1))
    return ((dx.square() + dy.square()) / 2).sqrt().mean(dim=(-2, -1))


DECLARATION = MetricDeclaration(
    name="AG",
    order=40,
    function=average_gradient,
    compute=_average_gradient,
    low=0.0,
    high=255.0,
    unit="gray levels a pixel",
)


class AverageGradientMetric(FusionMetric):
    """Accumulates :func:`average_gradient` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
