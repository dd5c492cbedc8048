"""Structural similarity of the fused image with both sources (ssim)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.similarity import WINDOW, structural_similarity_sum

__all__ = ["DECLARATION", "FusionSSIMMetric", "structural_similarity"]


def structural_similarity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Structural similarity of the fused image with each source, a sum, with the right dynamic range of 255.

    .. math:: ssim = SSIM(F, A) + SSIM(F, B)

    with a uniform window of 7x7 pixels and sample covariance, as scikit-image's default. MONAI's ``SSIMMetric`` has
    another window and one reference image.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 7; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 7 pixels or a value is not finite.

    Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
    doi:10.1109/TIP.2003.819861.

    Example:
        >>> x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> round(structural_similarity(x, x, x).item(), 4)
        2.0
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _structural_similarity(images: Triplet) -> torch.Tensor:
    return structural_similarity_sum(images, dynamic_range=255.0)


DECLARATION = MetricDeclaration(
    name="ssim",
    order=90,
    function=structural_similarity,
    compute=_structural_similarity,
    low=-2.0,
    high=2.0,
    min_size=WINDOW,
    ranked=("multi-focus", "multi-exposure"),
    tested=True,
    shown=True,
    scored=(0.0, 2.0),
)


class FusionSSIMMetric(FusionMetric):
    """Accumulates :func:`structural_similarity` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
