"""Visual information fidelity in the pixel domain: VIF, VIFmin and VIFlocal."""

from __future__ import annotations

import torch

from ..utils.filters import filter_valid, gaussian_kernel
from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = [
    "LocalVIFMetric",
    "MinVIFMetric",
    "VIFMetric",
    "vif_family",
    "visual_information_fidelity",
    "visual_information_fidelity_local",
    "visual_information_fidelity_min",
]

NOISE_VARIANCE = 2.0  # sigma_n^2 of the visual channel, squared gray levels
EPS = 1e-10
MIN_SIZE = 41  # smallest side that leaves a window at the fourth scale
STRUCTURE_VARIANCE = 20.0  # a window has structure above this local variance, squared gray levels


def _information(
    v: torch.Tensor, fused_variance: torch.Tensor, covariance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Information that reaches the fused image, and that of the source itself, nats for each window."""
    gain = covariance / (v + EPS)
    residual = fused_variance - gain * covariance
    flat_source, flat_fused = v < EPS, fused_variance < EPS
    gain = gain.masked_fill(flat_source | flat_fused, 0.0)
    residual = torch.where(flat_source, fused_variance, residual)
    residual = residual.masked_fill(flat_fused, 0.0)
    inverted = gain < 0
    residual = torch.where(inverted, fused_variance, residual).clamp_min(EPS)
    gain = gain.masked_fill(inverted, 0.0)
    v = v.masked_fill(flat_source, 0.0)
    kept = torch.log1p(gain.square() * v / (residual + NOISE_VARIANCE))
    return kept, torch.log1p(v / NOISE_VARIANCE)


def _vif(images: GrayTriplet) -> dict[str, torch.Tensor]:
    stack = torch.stack(images)
    kept, total = torch.zeros(2, 2, stack.shape[1], dtype=stack.dtype, device=stack.device)
    local_sum, local_scales = torch.zeros(2, stack.shape[1], dtype=stack.dtype, device=stack.device)
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        kernel = gaussian_kernel(size, size / 5.0)
        if scale > 1:
            stack = filter_valid(stack, kernel, stride=2)
        f, sources = stack[0], stack[1:]
        moments = torch.cat([stack, stack.square(), sources * f])
        filtered = filter_valid(moments, kernel)
        means, squares, products = filtered[:3], filtered[3:6], filtered[6:]
        variances = (squares - means.square()).clamp_min(0.0)
        covariances = products - means[1:] * means[0]
        source_variances = variances[1:]
        scale_kept, scale_total = _information(source_variances, variances[:1].expand_as(covariances), covariances)
        kept, total = kept + scale_kept.sum(dim=(-2, -1)), total + scale_total.sum(dim=(-2, -1))
        both = (source_variances > STRUCTURE_VARIANCE).all(dim=0)
        ratio = (scale_kept / scale_total.clamp_min(EPS)).amin(dim=0)
        count = both.sum(dim=(-2, -1))
        local_sum = local_sum + (ratio * both).sum(dim=(-2, -1)) / count.clamp_min(1)
        local_scales = local_scales + (count > 0)
    by_source = torch.where(total > 0, kept / total.clamp_min(EPS), torch.ones_like(total))
    local = torch.where(local_scales > 0, local_sum / local_scales.clamp_min(1), torch.ones_like(local_sum))
    return {
        "VIF": by_source.sum(dim=0),
        "VIFmin": by_source.amin(dim=0),
        "VIFlocal": local,
    }


def vif_family(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> dict[str, torch.Tensor]:
    r"""VIF, VIFmin and VIFlocal in one pass over the four scales.

    At scale j the images are filtered with a Gaussian of :math:`2^{5-j} + 1` pixels (sigma a fifth of it). In each
    window the fused image is modelled as gain times source plus noise of variance :math:`s_v^2`:

    .. math::
        VIF_S = \frac{\sum_j \sum_i \log(1 + g^2 v / (s_v^2 + 2))}{\sum_j \sum_i \log(1 + v / 2)},\quad
        VIF = VIF_A + VIF_B,\quad VIFmin = \min(VIF_A, VIF_B)

    VIFlocal is, at each scale, the mean of the smaller of the two sources' ratios over the windows in which both have a
    variance above 20 gray levels squared; then the mean over the scales that have such windows. Where 0 is divided by 0
    (a constant source; no window with structure in both) the value is 1, as in the field's evaluator.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41.

    Returns:
        Dictionary of ``VIF``, ``VIFmin`` and ``VIFlocal``, each of shape (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.

    Reference: Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006, doi:10.1109/TIP.2005.859378;
    Han et al., "A new image fusion performance metric based on visual information fidelity", Information Fusion 2013,
    doi:10.1016/j.inffus.2011.08.002.
    """
    values = _vif(gray_triplet(fused, source_a, source_b, data_range, MIN_SIZE))
    return {name: unfold(value, fused) for name, value in values.items()}


def visual_information_fidelity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Visual information fidelity of the fused image with both sources (VIF), a sum; see :func:`vif_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.

    Example:
        >>> x = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
        >>> round(visual_information_fidelity(x, x, x).item(), 4)
        2.0
    """
    return vif_family(fused, source_a, source_b, data_range)["VIF"]


def visual_information_fidelity_min(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """VIF of the source that was kept worse (VIFmin); a copy of one source fails it. See :func:`vif_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.
    """
    return vif_family(fused, source_a, source_b, data_range)["VIFmin"]


def visual_information_fidelity_local(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """How well the worse-kept source is kept where both have structure (VIFlocal); a cut-and-paste fails it.

    See :func:`vif_family`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.
    """
    return vif_family(fused, source_a, source_b, data_range)["VIFlocal"]


class VIFMetric(FusionMetric):
    """Accumulating version of :func:`visual_information_fidelity`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(visual_information_fidelity, reduction, data_range)


class MinVIFMetric(FusionMetric):
    """Accumulating version of :func:`visual_information_fidelity_min`; see :class:`FusionMetric`."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(visual_information_fidelity_min, reduction, data_range)


class LocalVIFMetric(FusionMetric):
    """Accumulating version of :func:`visual_information_fidelity_local`; see :class:`FusionMetric`."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(visual_information_fidelity_local, reduction, data_range)
