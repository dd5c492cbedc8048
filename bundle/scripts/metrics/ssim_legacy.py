"""Structural similarity as the published tables have it (ssim_legacy)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.similarity import WINDOW, structural_similarity_sum

__all__ = ["DECLARATION", "LegacySSIMMetric", "structural_similarity_legacy"]


def structural_similarity_legacy(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Structural similarity as published tables have it: with a dynamic range of 2 on gray levels 0..255, a sum.

    Defect of the field's evaluator: it left the dynamic range to scikit-image, whose old default for floating-point
    images is 2. The metric is reported because the published tables were made with it; see
    :func:`~.ssim.structural_similarity` for the right one.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 7; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 7 pixels or a value is not finite.

    Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
    doi:10.1109/TIP.2003.819861.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _structural_similarity_legacy(images: Triplet) -> torch.Tensor:
    return structural_similarity_sum(images, dynamic_range=2.0)


DECLARATION = MetricDeclaration(
    name="ssim_legacy",
    order=100,
    function=structural_similarity_legacy,
    compute=_structural_similarity_legacy,
    low=-2.0,
    high=2.0,
    min_size=WINDOW,
    ranked=("medical", "infrared-visible"),
    tested=True,
    shown=True,
)


class LegacySSIMMetric(FusionMetric):
    """Accumulates :func:`structural_similarity_legacy` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
