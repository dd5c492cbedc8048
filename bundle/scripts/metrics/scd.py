"""Sum of the correlations of differences (SCD)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.correlation import correlation

__all__ = ["DECLARATION", "SCDMetric", "sum_of_correlations_of_differences"]


def sum_of_correlations_of_differences(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """How well what the fused image adds to one source correlates with the other source, a sum.

    .. math:: SCD = r(F - B, A) + r(F - A, B)

    with Pearson's correlation r. For a copy of one source the field's evaluator divides 0 by 0; here that correlation
    is 0, because nothing was transferred.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Aslantas and Bendes, "A new image quality metric for image fusion: the sum of the correlations of
    differences", AEU 2015, doi:10.1016/j.aeue.2015.09.004.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _sum_of_correlations_of_differences(images: Triplet) -> torch.Tensor:
    a, b = images.sources
    return correlation(a, images.fused - b) + correlation(b, images.fused - a)


DECLARATION = MetricDeclaration(
    name="SCD",
    order=60,
    function=sum_of_correlations_of_differences,
    compute=_sum_of_correlations_of_differences,
    low=-2.0,
    high=2.0,
    ranked=("medical", "infrared-visible"),
    tested=True,
    shown=True,
    scored=(-2.0, 2.0),
)


class SCDMetric(FusionMetric):
    """Accumulates :func:`sum_of_correlations_of_differences` over batches; see :class:`FusionMetric`."""

    declaration = DECLARATION
