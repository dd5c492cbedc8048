"""Structural similarity of the fused image with both sources: SSIM, ssim_legacy, MS-SSIM."""

from __future__ import annotations

import torch

from ..utils.filters import box_kernel, filter_valid, gaussian_kernel
from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = [
    "LegacySSIMMetric",
    "MultiScaleSSIMMetric",
    "SSIMMetric",
    "multi_scale_structural_similarity",
    "ssim_family",
    "structural_similarity",
    "structural_similarity_legacy",
]

K1, K2 = 0.01, 0.03
LEGACY_RANGE = 2.0  # scikit-image's old default for float images
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def _moments(
    images: torch.Tensor, kernel: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means and (co)variances of the stack (fused, A, B): fused mean, source means, and the three second moments."""
    filtered = filter_valid(torch.cat([images, images.square(), images[1:] * images[:1]]), kernel)
    means = filtered[:3]
    variances = filtered[3:6] - means.square()
    covariances = filtered[6:] - means[1:] * means[:1]
    return means[:1], means[1:], variances[:1], variances[1:], covariances


def _ssim(images: GrayTriplet) -> dict[str, torch.Tensor]:
    mean_f, means, variance_f, variances, covariances = _moments(torch.stack(images), box_kernel(7))
    unbiased = 49 / 48
    result = {}
    for name, dynamic_range in (("ssim", 255.0), ("ssim_legacy", LEGACY_RANGE)):
        c1, c2 = (K1 * dynamic_range) ** 2, (K2 * dynamic_range) ** 2
        luminance = (2 * mean_f * means + c1) / (mean_f.square() + means.square() + c1)
        structure = (2 * unbiased * covariances + c2) / (unbiased * (variance_f + variances) + c2)
        result[name] = (luminance * structure).mean(dim=(-2, -1)).sum(dim=0)
    return result


def ssim_family(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> dict[str, torch.Tensor]:
    r"""SSIM(F, A) + SSIM(F, B) with a 7x7 uniform window and sample covariance, as scikit-image's default.

    ``ssim`` uses the right dynamic range, 255. ``ssim_legacy`` uses 2 on 0..255 images: a defect of the field's
    evaluator (scikit-image's old default for floats), reported because the published tables were made with it.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 7.

    Returns:
        Dictionary of ``ssim`` and ``ssim_legacy``, each of shape (B, C), in [-2, 2].

    Raises:
        ValueError: When shapes differ, a side is below 7 pixels or a value is not finite.

    Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004,
    doi:10.1109/TIP.2003.819861.
    """
    values = _ssim(gray_triplet(fused, source_a, source_b, data_range, 7))
    return {name: unfold(value, fused) for name, value in values.items()}


def structural_similarity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """SSIM with both sources, a sum in [-2, 2], with the right dynamic range; see :func:`ssim_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 7; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 7 pixels or a value is not finite.

    Example:
        >>> x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> round(structural_similarity(x, x, x).item(), 4)
        2.0
    """
    return ssim_family(fused, source_a, source_b, data_range)["ssim"]


def structural_similarity_legacy(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """SSIM with both sources as the published tables have it, with dynamic range 2; see :func:`ssim_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 7; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 7 pixels or a value is not finite.
    """
    return ssim_family(fused, source_a, source_b, data_range)["ssim_legacy"]


def _multi_scale_ssim(images: GrayTriplet) -> torch.Tensor:
    stack = torch.stack(images).to(torch.float32)
    scales = sum(min(stack.shape[-2:]) // 2**k >= 11 for k in range(len(MS_WEIGHTS)))
    weights = torch.tensor(MS_WEIGHTS[:scales], dtype=torch.float32, device=stack.device)
    weights = weights / weights.sum()
    c1, c2 = (K1 * 255.0) ** 2, (K2 * 255.0) ** 2
    result = torch.ones(2, stack.shape[1], device=stack.device)
    for scale in range(scales):
        mean_f, means, variance_f, variances, covariances = _moments(stack, gaussian_kernel(11, 1.5))
        similarity = (2 * covariances + c2) / (variance_f + variances + c2)
        if scale == scales - 1:
            similarity = similarity * (2 * mean_f * means + c1) / (mean_f.square() + means.square() + c1)
        result = result * similarity.mean(dim=(-2, -1)).clamp_min(0.0) ** weights[scale]
        stack = torch.nn.functional.avg_pool2d(stack, 2)
    return result.sum(dim=0).to(torch.float64)


def multi_scale_structural_similarity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """MS-SSIM(F, A) + MS-SSIM(F, B) over five scales (11x11 Gaussian, sigma 1.5, range 255), a sum in [0, 2].

    Full windows only at every scale, as in the authors' code; torchmetrics reflects the border at the last scale, which
    moves the value by several percent on small images. Images too small for five scales use as many as fit, with the
    weights scaled to sum to 1.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 11; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 11 pixels or a value is not finite.

    Reference: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003,
    doi:10.1109/ACSSC.2003.1292216.
    """
    return unfold(_multi_scale_ssim(gray_triplet(fused, source_a, source_b, data_range, 11)), fused)


class SSIMMetric(FusionMetric):
    """Accumulating version of :func:`structural_similarity`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(structural_similarity, reduction, data_range)


class LegacySSIMMetric(FusionMetric):
    """Accumulating version of :func:`structural_similarity_legacy`; see :class:`FusionMetric`."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(structural_similarity_legacy, reduction, data_range)


class MultiScaleSSIMMetric(FusionMetric):
    """Accumulating version of :func:`multi_scale_structural_similarity`; see :class:`FusionMetric`."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(multi_scale_structural_similarity, reduction, data_range)
