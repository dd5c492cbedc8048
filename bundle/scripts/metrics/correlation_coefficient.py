"""Correlation of the fused image with both sources (CC)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.correlation import correlation

__all__ = ["DECLARATION", "CorrelationCoefficientMetric", "correlation_coefficient"]


def correlation_coefficient(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Mean of the correlations of the fused image with each source.

    .. math:: CC = (r(F, A) + r(F, B)) / 2

    with Pearson's correlation r. The correlation with a constant image counts 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Ma, Ma, Li, "Infrared and visible image fusion methods and applications: a survey", Information Fusion
    2019, doi:10.1016/j.inffus.2018.02.004.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _correlation_coefficient(images: Triplet) -> torch.Tensor:
    a, b = images.sources
    return (correlation(a, images.fused) + correlation(b, images.fused)) / 2


DECLARATION = MetricDeclaration(
    name="CC",
    order=110,
    function=correlation_coefficient,
    compute=_correlation_coefficient,
    low=-1.0,
    high=1.0,
)


class CorrelationCoefficientMetric(FusionMetric):
    """Accumulates :func:`correlation_coefficient` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
