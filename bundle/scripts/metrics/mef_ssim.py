"""Structural similarity to what two exposures show together (MEF-SSIM)."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from ..utils.filters import box_kernel, filter_valid
from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "ExposureSSIMMetric", "exposure_ssim"]

WINDOW = 8  # side of a patch, pixels
BOX = box_kernel(WINDOW)
C2 = (0.03 * 255) ** 2
WEIGHTS = (0.0710, 0.4530, 0.4760)  # of the scales, finest first
LARGEST_POWER = 10.0  # of the weights; at this power the stronger patch of two decides almost alone
FLAT = 1e-9  # variance below which a patch has no structure, squared gray levels


def exposure_ssim(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Contrast and structure of the fused image against the best patch that two exposures can give.

    A patch without its mean, :math:`\tilde x_k`, is its contrast times its structure, :math:`c_k s_k` with
    :math:`c_k = \lVert\tilde x_k\rVert`. The wanted patch has the larger contrast and a mean of both structures:

    .. math::
        \hat c = \max_k c_k, \quad
        \hat s = \frac{\sum_k c_k^p s_k}{\lVert\sum_k c_k^p s_k\rVert}, \quad
        p = \tan\frac{\pi R}{2}, \quad
        R = \frac{\lVert\sum_k \tilde x_k\rVert}{\sum_k c_k}

    With its variance v, the variance u of the fused patch and their covariance w, the similarity is
    :math:`(2 w + C_2) / (u + v + C_2)`, :math:`C_2 = 7.65^2`. Its means over all windows of 8 x 8 pixels at three
    scales, each half the one before, are multiplied with the powers .0710, .4530 and .4760. Brightness does not count:
    none of the exposures has the right one.

    Departures: p is at most 10, because it has no bound where both patches have one structure; the mean of a scale
    counts as 0 where it is negative.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 32; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 32 pixels or a value is not finite.

    Reference: Ma, Zeng, Wang, "Perceptual quality assessment for multi-exposure image fusion", IEEE TIP 2015,
    doi:10.1109/TIP.2015.2442920.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _similarity(stack: torch.Tensor) -> torch.Tensor:
    """Mean similarity at one scale, (3, N, H, W) to (N,)."""
    fused, a, b = stack
    moments = filter_valid(torch.cat([stack, stack.square(), torch.stack([a * b, fused * a, fused * b])]), BOX)
    mean_f, mean_a, mean_b = moments[:3]
    variance_f, variance_a, variance_b = (moments[3:6] - moments[:3].square()).clamp_min(0.0)
    of_sources, of_a, of_b = moments[6:] - torch.stack([mean_a * mean_b, mean_f * mean_a, mean_f * mean_b])
    contrast_a, contrast_b = variance_a.sqrt(), variance_b.sqrt()
    wanted = torch.maximum(contrast_a, contrast_b)
    total = contrast_a + contrast_b
    together = (variance_a + variance_b + 2 * of_sources).clamp_min(0.0).sqrt()
    alike = (together / total.clamp_min(FLAT)).clamp(0.0, 1.0)
    power = (alike * (math.pi / 2)).tan().clamp(0.0, LARGEST_POWER)
    # of c^p s = c^(p - 1) x, in units of the larger contrast
    share_a, share_b = (_share(contrast, wanted, power) for contrast in (contrast_a, contrast_b))
    length = (share_a**2 * variance_a + share_b**2 * variance_b + 2 * share_a * share_b * of_sources).clamp_min(0.0)
    covariance = wanted * (share_a * of_a + share_b * of_b) / length.sqrt().clamp_min(FLAT)
    covariance = torch.where(length > FLAT, covariance, torch.zeros_like(covariance))
    similarity = (2 * covariance + C2) / (wanted.square() + variance_f + C2)
    return similarity.mean(dim=(-2, -1))


def _share(contrast: torch.Tensor, wanted: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Weight of a patch by its contrast over the structure's length; 0 of a flat patch, which has no structure."""
    relative = contrast / wanted.clamp_min(FLAT)
    return torch.where(contrast.square() > FLAT, relative**power / contrast.clamp_min(FLAT), torch.zeros_like(contrast))


def _exposure_ssim(images: Triplet) -> torch.Tensor:
    stack = images.stack
    result = torch.ones(stack.shape[1], dtype=stack.dtype, device=stack.device)
    for number, weight in enumerate(WEIGHTS):
        if number:
            stack = F.avg_pool2d(stack, 2)
        result = result * _similarity(stack).clamp_min(0.0) ** weight
    return result


DECLARATION = MetricDeclaration(
    name="MEF-SSIM",
    order=190,
    function=exposure_ssim,
    compute=_exposure_ssim,
    low=0.0,
    high=1.0,
    min_size=WINDOW * 2 ** (len(WEIGHTS) - 1),
    tasks=("multi-exposure",),
    ranked=("multi-exposure",),
    tested=True,
    shown=True,
)


class ExposureSSIMMetric(FusionMetric):
    """Accumulates :func:`exposure_ssim` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
