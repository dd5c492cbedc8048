"""Visual information that is kept from each source, for VIF, VIFmin and VIFlocal."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ...utils.filters import filter_valid, gaussian_kernel
from ..base import Triplet

__all__ = ["MIN_VIF_SIZE", "VisualInformation", "visual_information"]

NOISE_VARIANCE = 2.0  # sigma_n^2 of the visual channel, squared gray levels
EPS = 1e-10
MIN_VIF_SIZE = 41  # smallest side that leaves a window at the fourth scale, pixels
STRUCTURE_VARIANCE = 20.0  # a window has structure above this local variance, squared gray levels


class VisualInformation(NamedTuple):
    """What the fused image keeps of the sources' information.

    Args:
        by_source: VIF of each source, (2, N).
        local: VIFlocal, (N,).
    """

    by_source: torch.Tensor
    local: torch.Tensor


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


def visual_information(images: Triplet) -> VisualInformation:
    r"""Compare the fused image with its sources at four scales.

    At scale j the images are filtered with a Gaussian of :math:`2^{5-j} + 1` pixels, whose sigma is a fifth of that. In
    each window i the fused image is modeled as gain g times the source, whose variance is v, plus noise of variance
    :math:`s_v^2`. The information that is kept is :math:`\log(1 + g^2 v / (s_v^2 + 2))`, that of the source
    :math:`\log(1 + v / 2)`. Where 0 is divided by 0 (a constant source; no window with structure in both) the value
    is 1, as in the field's evaluator.
    """
    stack = images.stack
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
    return VisualInformation(by_source, local)
