"""Classical fusion rules: the baselines of the benchmark, and the bars that the adaptive loss measures against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from ..utils.filters import box_kernel, filter_same

__all__ = [
    "AVERAGE",
    "FUSION_RULES",
    "average",
    "guided_filter",
    "halve",
    "laplacian_pyramid",
    "maximum",
    "smooth_along",
    "wavelet",
]

PYRAMID_LEVELS = 4
WAVELET_LEVELS = 3


def maximum(image: torch.Tensor) -> torch.Tensor:
    """Pixel-wise maximum of both sources, (B, 2, H, W) to (B, 1, H, W)."""
    return image.amax(dim=1, keepdim=True)


def average(image: torch.Tensor) -> torch.Tensor:
    """Plain average of both sources, (B, 2, H, W) to (B, 1, H, W)."""
    return image.mean(dim=1, keepdim=True)


def _stronger(details: torch.Tensor) -> torch.Tensor:
    """The coefficient of larger magnitude, source A where they are equal."""
    a, b = details[:, :1], details[:, 1:]
    return torch.where(a.abs() >= b.abs(), a, b)


def halve(image: torch.Tensor) -> torch.Tensor:
    """Blur with the binomial 5x5 kernel and take every second pixel, (B, C, H, W) to half the sides."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=image.dtype, device=image.device) / 16
    weight = torch.outer(taps, taps).expand(image.shape[1], 1, 5, 5)
    mode = "reflect" if min(image.shape[2:]) > 2 else "replicate"
    return F.conv2d(F.pad(image, (2, 2, 2, 2), mode=mode), weight, stride=2, groups=image.shape[1])


def laplacian_pyramid(image: torch.Tensor) -> torch.Tensor:
    """Laplacian pyramid of four levels: the stronger detail of both, and the average of the coarsest level.

    Args:
        image: both sources, (B, 2, H, W) in [0, 1], sides of at least 33.

    Returns:
        (B, 1, H, W) in [0, 1].

    Reference: Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on
    Communications 1983, doi 10.1109/TCOM.1983.1095851. Departure: levels are expanded bilinearly.
    """
    levels = [image]
    for _ in range(PYRAMID_LEVELS):
        levels.append(halve(levels[-1]))
    fused = average(levels[-1])
    for fine, coarse in zip(levels[-2::-1], levels[:0:-1], strict=True):
        size = [fine.shape[2], fine.shape[3]]
        expanded = F.interpolate(torch.cat([coarse, fused], dim=1), size=size, mode="bilinear", align_corners=False)
        fused = expanded[:, 2:] + _stronger(fine - expanded[:, :2])
    return fused.clamp(0.0, 1.0)


def wavelet(image: torch.Tensor) -> torch.Tensor:
    """Discrete wavelet transform (Haar, three levels): the stronger detail of both, and the average of the rest.

    Args:
        image: both sources, (B, 2, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1].

    Reference: Li, Manjunath, Mitra, "Multisensor image fusion using the wavelet transform", 1995,
    doi 10.1006/gmip.1995.1022.
    """
    height, width = image.shape[2:]
    step = 2**WAVELET_LEVELS
    low = F.pad(image, (0, -width % step, 0, -height % step), mode="replicate")
    details = []
    for _ in range(WAVELET_LEVELS):
        p, q, r, s = low[..., ::2, ::2], low[..., ::2, 1::2], low[..., 1::2, ::2], low[..., 1::2, 1::2]
        details.append([_stronger(d) / 4 for d in (p - q + r - s, p + q - r - s, p - q - r + s)])
        low = (p + q + r + s) / 4
    fused = average(low)
    for horizontal, vertical, diagonal in reversed(details):
        quads = [
            fused + horizontal + vertical + diagonal,
            fused - horizontal + vertical - diagonal,
            fused + horizontal - vertical - diagonal,
            fused - horizontal - vertical + diagonal,
        ]
        fused = F.pixel_shuffle(torch.cat(quads, dim=1), 2)
    return fused[..., :height, :width].clamp(0.0, 1.0)


def smooth_along(guide: torch.Tensor, weight: torch.Tensor, radius: int, regularization: float) -> torch.Tensor:
    """Guided filter of ``weight`` along the edges of ``guide``, He, Sun, Tang, TPAMI 2013."""
    box = box_kernel(2 * radius + 1)
    mean_g, mean_w = filter_same(guide, box), filter_same(weight, box)
    covariance = filter_same(guide * weight, box) - mean_g * mean_w
    variance = filter_same(guide.square(), box) - mean_g.square()
    slope = covariance / (variance + regularization)
    return filter_same(slope, box) * guide + filter_same(mean_w - slope * mean_g, box)


def guided_filter(image: torch.Tensor) -> torch.Tensor:
    """Guided-filter fusion: base and detail layers, each weighted by saliency smoothed along the sources' edges.

    Args:
        image: both sources, (B, 2, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1].

    Reference: Li, Kang, Hu, "Image fusion with guided filtering", IEEE TIP 2013, doi 10.1109/TIP.2013.2244222, with its
    radii 45 and 7 and regularizations 0.3 and 1e-6.
    """
    base = filter_same(image, box_kernel(31))
    laplace = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=image.dtype, device=image.device)
    response = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), laplace.expand(2, 1, 3, 3), groups=2)
    saliency = filter_same(response.abs(), box_kernel(11))
    first = (saliency[:, :1] >= saliency[:, 1:]).to(image.dtype)
    chosen = torch.cat([first, 1 - first], dim=1)
    fused = torch.zeros_like(image[:, :1])
    for layer, radius, regularization in ((base, 45, 0.3), (image - base, 7, 1e-6)):
        weights = smooth_along(image, chosen, radius, regularization).clamp(0.0, 1.0)
        total = weights.sum(dim=1, keepdim=True)
        weights = torch.where(total > 1e-6, weights / total.clamp_min(1e-6), torch.full_like(weights, 0.5))
        fused = fused + (weights * layer).sum(dim=1, keepdim=True)
    return fused.clamp(0.0, 1.0)


AVERAGE = "Average"  # the yardstick of the benchmark's warnings

FUSION_RULES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    AVERAGE: average,
    "Max": maximum,
    "LapPyr": laplacian_pyramid,
    "DWT": wavelet,
    "GFF": guided_filter,
}
