"""Local moments and structural similarity, for ssim, ssim_legacy and MS-SSIM."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ...utils.filters import box_kernel, filter_valid
from ..base import Triplet

__all__ = ["K1", "K2", "WINDOW", "LocalMoments", "box_moments", "local_moments", "structural_similarity_sum"]

K1, K2 = 0.01, 0.03
WINDOW = 7  # pixels on each side


class LocalMoments(NamedTuple):
    """Weighted moments in a window around each pixel.

    Args:
        fused_mean: (1, N, h, w).
        source_means: (2, N, h, w).
        fused_variance: (1, N, h, w).
        source_variances: (2, N, h, w).
        covariances: of each source with the fused image, (2, N, h, w).
    """

    fused_mean: torch.Tensor
    source_means: torch.Tensor
    fused_variance: torch.Tensor
    source_variances: torch.Tensor
    covariances: torch.Tensor


def local_moments(stack: torch.Tensor, kernel: tuple[float, ...]) -> LocalMoments:
    """Moments of the stack (fused, source A, source B) of shape (3, N, H, W), in full windows only."""
    filtered = filter_valid(torch.cat([stack, stack.square(), stack[1:] * stack[:1]]), kernel)
    means = filtered[:3]
    variances = filtered[3:6] - means.square()
    covariances = filtered[6:] - means[1:] * means[:1]
    return LocalMoments(means[:1], means[1:], variances[:1], variances[1:], covariances)


def box_moments(images: Triplet) -> LocalMoments:
    """Moments in uniform windows of 7x7 pixels."""
    return local_moments(images.stack, box_kernel(WINDOW))


def structural_similarity_sum(images: Triplet, dynamic_range: float) -> torch.Tensor:
    """SSIM(F, A) + SSIM(F, B), (N,): 7x7 uniform window and sample covariance, as scikit-image's default."""
    moments = images.once(box_moments)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    c1, c2 = (K1 * dynamic_range) ** 2, (K2 * dynamic_range) ** 2
    mean_f, means = moments.fused_mean, moments.source_means
    luminance = (2 * mean_f * means + c1) / (mean_f.square() + means.square() + c1)
    structure = (2 * unbiased * moments.covariances + c2) / (
        unbiased * (moments.fused_variance + moments.source_variances) + c2
    )
    return (luminance * structure).mean(dim=(-2, -1)).sum(dim=0)
