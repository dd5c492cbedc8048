"""Structural similarity at several scales with both sources (MS-SSIM)."""

from __future__ import annotations

import torch

from ..utils.filters import gaussian_kernel
from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.similarity import K1, K2, local_moments

__all__ = ["DECLARATION", "FusionMultiScaleSSIMMetric", "multi_scale_structural_similarity"]

WINDOW = 11  # pixels on each side
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def multi_scale_structural_similarity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Structural similarity of the fused image with each source at up to five scales, a sum.

    .. math:: MS\text{-}SSIM = \sum_{S \in \{A, B\}} l_5(F, S)^{w_5} \prod_j cs_j(F, S)^{w_j}

    with l the comparison of means and cs that of contrasts and structures, an 11x11 Gaussian window of sigma 1.5 and
    the dynamic range 255. Full windows only at every scale, as in the authors' code; torchmetrics reflects the border
    at the last scale, which moves the value by several percent on small images. Images too small for five scales use as
    many as fit, with the weights w scaled to sum to 1. MONAI's ``MultiScaleSSIMMetric`` has one reference image.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 11; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 11 pixels or a value is not finite.

    Reference: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003,
    doi:10.1109/ACSSC.2003.1292216.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _multi_scale_structural_similarity(images: Triplet) -> torch.Tensor:
    stack = images.stack.to(torch.float32)
    scales = sum(min(stack.shape[-2:]) // 2**k >= WINDOW for k in range(len(WEIGHTS)))
    weights = torch.tensor(WEIGHTS[:scales], dtype=torch.float32, device=stack.device)
    weights = weights / weights.sum()
    c1, c2 = (K1 * 255.0) ** 2, (K2 * 255.0) ** 2
    result = torch.ones(2, stack.shape[1], device=stack.device)
    for scale in range(scales):
        mean_f, means, variance_f, variances, covariances = local_moments(stack, gaussian_kernel(WINDOW, 1.5))
        similarity = (2 * covariances + c2) / (variance_f + variances + c2)
        if scale == scales - 1:
            similarity = similarity * (2 * mean_f * means + c1) / (mean_f.square() + means.square() + c1)
        result = result * similarity.mean(dim=(-2, -1)).clamp_min(0.0) ** weights[scale]
        stack = torch.nn.functional.avg_pool2d(stack, 2)
    return result.sum(dim=0).to(torch.float64)


DECLARATION = MetricDeclaration(
    name="MS-SSIM",
    order=130,
    function=multi_scale_structural_similarity,
    compute=_multi_scale_structural_similarity,
    low=0.0,
    high=2.0,
    min_size=WINDOW,
)


class FusionMultiScaleSSIMMetric(FusionMetric):
    """Accumulates :func:`multi_scale_structural_similarity` over batches; see :class:`FusionMetric`."""

    declaration = DECLARATION
