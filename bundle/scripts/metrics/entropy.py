"""Entropy of the fused image (EN)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.histograms import LEVELS, entropy_nats

__all__ = ["DECLARATION", "EntropyMetric", "entropy"]


def entropy(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Shannon entropy of the gray levels of the fused image.

    .. math:: EN = -\sum_i p_i \log_2 p_i

    over the 256 bins of its histogram, bits. A constant image has 0; noise has much, and so has an unevenly gray
    background.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Roberts et al., "Assessment of image fusion procedures using entropy, image quality, and multispectral
    classification", Journal of Applied Remote Sensing 2008, doi:10.1117/1.2945910.

    Example:
        >>> x = torch.tensor([0.0, 1.0]).repeat(2, 1).reshape(1, 1, 2, 2)
        >>> entropy(x, x, x).item()
        1.0
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _entropy(images: Triplet) -> torch.Tensor:
    fused = images.fused
    image = torch.arange(fused.shape[0], device=fused.device).reshape(-1, 1, 1) * LEVELS
    histogram = torch.bincount((image + fused.long()).flatten(), minlength=fused.shape[0] * LEVELS)
    probabilities = histogram.reshape(-1, LEVELS).to(torch.float64) / fused[0].numel()
    return entropy_nats(probabilities) / math.log(2)


DECLARATION = MetricDeclaration(
    name="EN",
    order=10,
    function=entropy,
    compute=_entropy,
    low=0.0,
    high=8.0,
    unit="bits",
    ranked=("medical", "infrared-visible"),
    tested=True,
    shown=True,
)


class EntropyMetric(FusionMetric):
    """Accumulates :func:`entropy` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
