"""Mutual information of the fused image with both sources (MI)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.histograms import LEVELS, mutual_information_and_entropies

__all__ = ["DECLARATION", "MutualInformationMetric", "mutual_information"]


def mutual_information(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Information that the gray levels of the fused image share with those of each source, a sum.

    .. math:: MI = I(F; A) + I(F; B)

    on joint histograms of 256 x 256 bins. Oddity of the field's evaluator, kept for comparability: MI is in nats, EN in
    bits. A constant image shares nothing: 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Qu, Zhang, Yan, "Information measure for performance of image fusion", Electronics Letters 2002,
    doi:10.1049/el:20020212.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _mutual_information(images: Triplet) -> torch.Tensor:
    a, b = images.sources
    return mutual_information_and_entropies(images.fused, a)[0] + mutual_information_and_entropies(images.fused, b)[0]


DECLARATION = MetricDeclaration(
    name="MI",
    order=50,
    function=mutual_information,
    compute=_mutual_information,
    low=0.0,
    high=2 * math.log(LEVELS),
    unit="nats",
    ranked=("medical", "infrared-visible", "multi-focus", "multi-exposure"),
    tested=True,
    shown=True,
)


class MutualInformationMetric(FusionMetric):
    """Accumulates :func:`mutual_information` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
