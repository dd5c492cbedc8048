"""Differentiable terms of the fusion losses, 2-D: each is 0 at its best and free of units.

:data:`TERM_ANCHORS` is where the weights of the terms start, one set for all modalities; the adaptive loss moves them.
A quality q in (0, 1] enters as -log q: the sum of the terms is the logarithm of a weighted geometric mean of
qualities, and the gradient of each is relative to what it has reached. Where the shares of the sources enter, the term
is the relative regret (1 - q) / (q + 0.1) with a constant denominator: nearly the same gradient at equal shares, but a
share is then the importance of a source at a place, and raising it at one place does not lower it at another. Without
the 0.1, single patches of an almost empty source had regrets of 100 and more, and training diverged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from ..utils.filters import box_kernel, filter_same, filter_valid, gaussian_kernel

__all__ = ["TERM_ANCHORS", "TERM_NAMES", "LossWeights", "fusion_terms", "local_variance"]

TERM_ANCHORS = {"intensity": 0.5, "structure": 5.0, "local": 3.0, "edges": 17.0, "similarity": 1.0, "transfer": 0.2}
TERM_NAMES = tuple(TERM_ANCHORS)
GRAY = 255.0
NOISE_VARIANCE = 2.0  # squared gray levels, as in the VIF metric
STRUCTURE_VARIANCE = 20.0
MARGINS = (8, 12, 16, 20)  # pixels that the windows of each VIF scale lose at a border
REGRET_FLOOR = 0.1
TINY = 1e-6


@dataclass
class LossWeights:
    """What a loss decides.

    Args:
        intensity: (B, 2, H, W), shares of the two sources in the target intensity, sum 1 over the sources.
        structure: (B, 2, H, W), shares of the two sources in the structure to be kept, sum 1 over the sources.
        terms: (B, 6), weights of :data:`TERM_NAMES`, sum 1 over the terms.
        departure: how far the weights are from the hand-made ones, mean squared logits. Defaults to 0.
    """

    intensity: torch.Tensor
    structure: torch.Tensor
    terms: torch.Tensor
    departure: torch.Tensor = field(default_factory=lambda: torch.zeros(()))

    def detach(self) -> LossWeights:
        """Return the same weights without their graph."""
        return LossWeights(self.intensity.detach(), self.structure.detach(), self.terms.detach())


def _mean(x: torch.Tensor) -> torch.Tensor:
    """Mean over everything but the batch."""
    return x.flatten(1).mean(dim=1)


def _negative_log(quality: torch.Tensor) -> torch.Tensor:
    return -quality.clamp_min(1e-3).log()


def intensity_term(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """Mean absolute difference from the weighted sources, relative to the mean target."""
    target = (weights.intensity * image).sum(dim=1, keepdim=True)
    return _mean((fused - target).abs()) / (_mean(target) + 0.05)


def _vif_maps(fused: torch.Tensor, image: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """For each VIF scale: information kept and total, nats, and the sources' variances, each (B, 2, h, w)."""
    images = torch.cat([fused, image], dim=1) * GRAY - GRAY / 2
    result = []
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        kernel = gaussian_kernel(size, size / 5.0)
        if scale > 1:
            images = filter_valid(images, kernel, stride=2)
        f, sources = images[:, :1], images[:, 1:]
        moments = filter_valid(torch.cat([images, images.square(), sources * f], dim=1), kernel)
        means = moments[:, :3]
        variances = (moments[:, 3:6] - means.square()).clamp_min(0.0)
        covariance = (moments[:, 6:] - means[:, 1:] * means[:, :1]).clamp_min(0.0)
        v = variances[:, 1:]
        gain = covariance / (v + 0.1)
        residual = (variances[:, :1] - gain * covariance).clamp_min(0.0)
        kept = torch.log1p(gain.square() * v / (residual + NOISE_VARIANCE))
        result.append((kept, torch.log1p(v / NOISE_VARIANCE), v))
    return result


def structure_and_local_terms(
    fused: torch.Tensor, image: torch.Tensor, weights: LossWeights
) -> tuple[torch.Tensor, torch.Tensor]:
    """Structure: relative regret of each source's VIF, by the shares. Local: -log VIFlocal with a soft minimum."""
    kept_sum = total_sum = lost_sum = local = torch.zeros((), device=fused.device)
    for (kept, total, v), margin in zip(_vif_maps(fused, image), MARGINS, strict=True):
        share = weights.structure[..., margin:-margin, margin:-margin]
        share = torch.nn.functional.adaptive_avg_pool2d(share, (kept.shape[-2], kept.shape[-1]))
        kept_sum = kept_sum + kept.detach().flatten(2).sum(dim=2)
        total_sum = total_sum + total.flatten(2).sum(dim=2)
        lost_sum = lost_sum + (share * (total - kept)).flatten(2).sum(dim=2)
        both = (v > STRUCTURE_VARIANCE).all(dim=1).to(kept.dtype)
        ratio = kept / total.clamp_min(0.1)
        soft_minimum = 1 / (0.5 * (ratio + 0.02).reciprocal().pow(4).sum(dim=1)).pow(0.25)
        local = local + ((soft_minimum * both).flatten(1).sum(dim=1) + 0.02) / (both.flatten(1).sum(dim=1) + 1) / 4
    reached = kept_sum / (total_sum + 1)
    return (lost_sum / (total_sum + 1) / (reached + REGRET_FLOOR)).sum(dim=1), _negative_log(local)


def _sobel(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal and vertical Sobel responses of gray levels, full windows only."""
    x = image * GRAY
    smooth_y = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    smooth_x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return smooth_y[..., 2:] - smooth_y[..., :-2], smooth_x[..., 2:, :] - smooth_x[..., :-2, :]


def edge_term(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """Relative regret of a smooth Qabf, by the shares: strength and alignment of gradients in the metric's sigmoids.

    Departure from the metric: the angle comes from the scalar product, so it wraps around.
    """
    dx, dy = _sobel(torch.cat([fused, image], dim=1))
    g = (dx.square() + dy.square() + 1.0).sqrt()
    g_fused, g_source = g[:, :1], g[:, 1:]
    ratio = torch.minimum(g_source, g_fused) / torch.maximum(g_source, g_fused)
    cosine = ((dx[:, :1] * dx[:, 1:] + dy[:, :1] * dy[:, 1:] + 1.0) / (g_fused * g_source)).abs()
    angle = torch.acos(cosine.clamp(0.0, 0.9995))
    alignment = 1 - angle / (math.pi / 2)
    quality = torch.sigmoid(15 * (ratio - 0.5)) * torch.sigmoid(22 * (alignment - 0.8))
    importance = g_source - 1.0
    total = importance.flatten(1).sum(dim=1) + 1.0
    lost = (2 * weights.structure[..., 1:-1, 1:-1] * importance * (1 - quality)).flatten(1).sum(dim=1)
    reached = (quality.detach() * importance).flatten(1).sum(dim=1) / total
    return lost / total / (reached + REGRET_FLOOR)


def similarity_term(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """-log of the SSIM (7x7 box, range 1) moved to (0, 1], by the shares."""
    kernel = box_kernel(7)
    images = torch.cat([fused, image], dim=1)
    moments = filter_valid(torch.cat([images, images.square(), image * fused], dim=1), kernel)
    means = moments[:, :3]
    variances = (moments[:, 3:6] - means.square()).clamp_min(0.0)
    covariance = moments[:, 6:] - means[:, 1:] * means[:, :1]
    luminance = (2 * means[:, :1] * means[:, 1:] + 1e-4) / (means[:, :1].square() + means[:, 1:].square() + 1e-4)
    structure = (2 * covariance + 9e-4) / (variances[:, :1] + variances[:, 1:] + 9e-4)
    w = weights.structure[..., 3:-3, 3:-3]
    return _negative_log((_mean((w * luminance * structure).sum(dim=1)) + 1) / 2)


def transfer_term(fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """-log of the SCD moved to (0, 1]: each source must show in what the fused image adds to the other one."""
    difference = (fused - image.flip(1)).flatten(2)
    source = image.flatten(2)
    difference = difference - difference.mean(dim=2, keepdim=True)
    source = source - source.mean(dim=2, keepdim=True)
    energy = difference.square().sum(dim=2) * source.square().sum(dim=2)
    correlation = (difference * source).sum(dim=2) / (energy + TINY).sqrt()
    return _negative_log((correlation.mean(dim=1) + 1) / 2)


def fusion_terms(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """All terms of :data:`TERM_NAMES`, unweighted by ``weights.terms``.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources; H and W at least 48.
        weights: what the loss decides.

    Returns:
        (B, 6).
    """
    structure, local = structure_and_local_terms(fused, image, weights)
    terms = (
        intensity_term(fused, image, weights),
        structure,
        local,
        edge_term(fused, image, weights),
        similarity_term(fused, image, weights),
        transfer_term(fused, image),
    )
    return torch.stack(terms, dim=1)


def local_variance(image: torch.Tensor, size: int = 7) -> torch.Tensor:
    """Variance of each channel in a box of ``size`` pixels around each pixel."""
    kernel = box_kernel(size)
    mean = filter_same(image, kernel)
    return (filter_same(image.square(), kernel) - mean.square()).clamp_min(0.0)
