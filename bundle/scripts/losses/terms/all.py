"""Differentiable terms of the fusion losses, 2-D: each is -log of a quality in (0, 1], so 0 at its best, free of units.

Their weighted sum is the logarithm of a weighted geometric mean of qualities, and the gradient of each is relative to
what it has reached. :data:`TERM_ANCHORS` is where the weights of the terms start, one set for all modalities; the
adaptive loss moves them. :func:`fusion_regrets` is how far each term is from the best that a classical fusion rule
reaches on the very same pair: the bar that the adaptive loss learns its weights by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from ...classical.rules import average, laplacian_pyramid, maximum
from ...utils.filters import box_kernel, filter_same, filter_valid, gaussian_kernel

__all__ = ["TERM_ANCHORS", "TERM_NAMES", "LossWeights", "fusion_regrets", "fusion_terms", "local_variance"]

TERM_ANCHORS = {
    "structure_a": 1.5,
    "structure_b": 1.5,
    "local": 10.0,
    "edges": 14.0,
    "edges_worse": 0.5,
    "similarity": 1.0,
    "transfer": 1.0,
    "sharpness": 6.0,
    "contrast": 0.5,
    "intensity": 2.0,
    "entropy": 2.0,
}
TERM_NAMES = tuple(TERM_ANCHORS)
GRAY = 255.0
NOISE_VARIANCE = 2.0  # squared gray levels, as in the VIF metric
STRUCTURE_VARIANCE = 20.0
MARGINS = (8, 12, 16, 20)  # pixels that the windows of each VIF scale lose at a border
BINS = 64
REGRET_BOUND = 0.25
FLOOR = 0.1  # a source of which nothing is kept has this quality: the logarithm stays finite
TINY = 1e-6


@dataclass
class LossWeights:
    """What a loss decides.

    Args:
        intensity: (B, 2, H, W), shares of the two sources in the target intensity, sum 1 over the sources.
        structure: (B, 2, H, W), shares of the two sources in the structure to be kept, sum 1 over the sources.
        terms: (B, 11), weights of :data:`TERM_NAMES`, sum 1 over the terms.
        departure: how far the weights are from the hand-made ones, Kullback-Leibler divergence in nats. Defaults to 0.
    """

    intensity: torch.Tensor
    structure: torch.Tensor
    terms: torch.Tensor
    departure: torch.Tensor = field(default_factory=lambda: torch.zeros(()))

    def detach(self) -> LossWeights:
        """Return the same weights without their graph."""
        return LossWeights(self.intensity.detach(), self.structure.detach(), self.terms.detach())

    def repeat(self, times: int) -> LossWeights:
        """Return the weights for ``times`` fused images of each pair, pairs repeated as a whole."""
        intensity, structure = (x.repeat(times, 1, 1, 1) for x in (self.intensity, self.structure))
        return LossWeights(intensity, structure, self.terms.repeat(times, 1))


def _mean(x: torch.Tensor) -> torch.Tensor:
    """Mean over everything but the batch."""
    return x.flatten(1).mean(dim=1)


def _negative_log(quality: torch.Tensor) -> torch.Tensor:
    return -quality.clamp_min(1e-3).log()


def _kept(kept: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """-log of the kept part of a total, lifted by :data:`FLOOR`; 0 where there is nothing to keep."""
    return -((kept + FLOOR * total + 1) / ((1 + FLOOR) * total + 1)).log()


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
    """Structure: -log of each source's VIF, windows by the shares, (B, 2). Local: -log VIFlocal, soft minimum, (B,)."""
    kept_sum = total_sum = local = torch.zeros((), device=fused.device)
    for (kept, total, v), margin in zip(_vif_maps(fused, image), MARGINS, strict=True):
        share = weights.structure[..., margin:-margin, margin:-margin]
        share = 2 * torch.nn.functional.adaptive_avg_pool2d(share, (kept.shape[-2], kept.shape[-1]))
        kept_sum = kept_sum + (share * kept).flatten(2).sum(dim=2)
        total_sum = total_sum + (share * total).flatten(2).sum(dim=2)
        both = (v > STRUCTURE_VARIANCE).all(dim=1).to(kept.dtype)
        ratio = kept / total.clamp_min(0.1)
        soft_minimum = 1 / (0.5 * (ratio + 0.02).reciprocal().pow(4).sum(dim=1)).pow(0.25)
        local = local + ((soft_minimum * both).flatten(1).sum(dim=1) + 0.02) / (both.flatten(1).sum(dim=1) + 1) / 4
    return _kept(kept_sum, total_sum), _negative_log(local)


def _sobel(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal and vertical Sobel responses of gray levels, full windows only."""
    x = image * GRAY
    smooth_y = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    smooth_x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return smooth_y[..., 2:] - smooth_y[..., :-2], smooth_x[..., 2:, :] - smooth_x[..., :-2, :]


def edge_and_sharpness_terms(
    fused: torch.Tensor, image: torch.Tensor, weights: LossWeights
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Edges: -log of a smooth Qabf, pixels by the shares, of both sources together and of the worse one.

    Sharpness: -log of the root-mean-square gradient, relative to that of both sources laid over each other; 0 above it.
    Departure from the Qabf metric: the angle comes from the scalar product, so it wraps around.
    """
    dx, dy = _sobel(torch.cat([fused, image], dim=1))
    g = (dx.square() + dy.square() + 1.0).sqrt()
    g_fused, g_source = g[:, :1], g[:, 1:]
    ratio = torch.minimum(g_source, g_fused) / torch.maximum(g_source, g_fused)
    cosine = ((dx[:, :1] * dx[:, 1:] + dy[:, :1] * dy[:, 1:] + 1.0) / (g_fused * g_source)).abs()
    angle = torch.acos(cosine.clamp(0.0, 0.9995))
    alignment = 1 - angle / (math.pi / 2)
    quality = torch.sigmoid(15 * (ratio - 0.5)) * torch.sigmoid(22 * (alignment - 0.8))
    importance = 2 * weights.structure[..., 1:-1, 1:-1] * (g_source - 1.0)
    total = importance.flatten(2).sum(dim=2)
    reached = (quality * importance).flatten(2).sum(dim=2)
    union = _mean((g_source.square() - 1.0).sum(dim=1))
    sharpness = ((_mean(g_fused.square() - 1.0) + 1.0) / (union + 1.0)).sqrt()
    return (
        _negative_log((reached.sum(dim=1) + 1.0) / (total.sum(dim=1) + 1.0)),
        _kept(reached, total).amax(dim=1),
        _negative_log(sharpness.clamp_max(1.0)),
    )


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


def contrast_term(fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """-log of the standard deviation, relative to that of both sources laid over each other; 0 above it."""
    union = image.flatten(2).var(dim=2).sum(dim=1)
    return _negative_log(((fused.flatten(1).var(dim=1) + 1e-4) / (union + 1e-4)).sqrt().clamp_max(1.0))


def entropy_term(fused: torch.Tensor) -> torch.Tensor:
    """-log of the entropy of the histogram, relative to the largest one: a saturated image loses by it.

    Each pixel is shared by the two nearest of 64 bins, so that the histogram has a gradient.
    """
    position = fused.flatten(1).clamp(0.0, 1.0) * (BINS - 1)
    lower = position.detach().floor().clamp(0, BINS - 2)
    part, index = position - lower, lower.long()
    counts = torch.zeros(len(position), BINS, dtype=fused.dtype, device=fused.device)
    counts = counts.scatter_add(1, index, 1 - part).scatter_add(1, index + 1, part) / position.shape[1]
    entropy = -(counts * (counts + 1e-8).log()).sum(dim=1) / math.log(BINS)
    return -(entropy + 0.02).log()


def fusion_terms(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """All terms of :data:`TERM_NAMES`, unweighted by ``weights.terms``.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources; H and W at least 48.
        weights: what the loss decides.

    Returns:
        (B, 11).
    """
    structure, local = structure_and_local_terms(fused, image, weights)
    edges, edges_worse, sharpness = edge_and_sharpness_terms(fused, image, weights)
    terms = (
        structure[:, 0],
        structure[:, 1],
        local,
        edges,
        edges_worse,
        similarity_term(fused, image, weights),
        transfer_term(fused, image),
        sharpness,
        contrast_term(fused, image),
        intensity_term(fused, image, weights),
        entropy_term(fused),
    )
    return torch.stack(terms, dim=1)


def fusion_regrets(fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
    """How far each term is above the best that pixel maximum, average and Laplacian pyramid reach on the same pair.

    Below 0 where the fused image is better than all three. Within +-:data:`REGRET_BOUND`: single patches with hardly
    any structure in one source have regrets of 2 and more, and would decide for all.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources; H and W at least 48.
        weights: what the loss decides.

    Returns:
        (B, 11).
    """
    candidates = torch.cat([fused, maximum(image), average(image), laplacian_pyramid(image)], dim=0)
    terms = fusion_terms(candidates, image.repeat(4, 1, 1, 1), weights.repeat(4))
    own, *rules = terms.chunk(4)
    return (own - torch.stack(rules).amin(dim=0)).clamp(-REGRET_BOUND, REGRET_BOUND)


def local_variance(image: torch.Tensor, size: int = 7) -> torch.Tensor:
    """Variance of each channel in a box of ``size`` pixels around each pixel."""
    kernel = box_kernel(size)
    mean = filter_same(image, kernel)
    return (filter_same(image.square(), kernel) - mean.square()).clamp_min(0.0)
