"""How similar the fused image is to its sources: the term ``similarity``, after SSIM."""

from __future__ import annotations

import torch

from ...utils.filters import box_kernel, filter_valid
from .base import LossTerm, TermInputs, image_mean, negative_log

__all__ = ["TERMS"]


def similarity(inputs: TermInputs) -> torch.Tensor:
    """-log of the SSIM (7x7 box, range 1) moved to (0, 1], pixels by the shares, (B,)."""
    kernel = box_kernel(7)
    images = torch.cat([inputs.fused, inputs.image], dim=1)
    moments = filter_valid(torch.cat([images, images.square(), inputs.image * inputs.fused], dim=1), kernel)
    means = moments[:, :3]
    variances = (moments[:, 3:6] - means.square()).clamp_min(0.0)
    covariance = moments[:, 6:] - means[:, 1:] * means[:, :1]
    luminance = (2 * means[:, :1] * means[:, 1:] + 1e-4) / (means[:, :1].square() + means[:, 1:].square() + 1e-4)
    structure = (2 * covariance + 9e-4) / (variances[:, :1] + variances[:, 1:] + 9e-4)
    w = inputs.weights.structure[..., 3:-3, 3:-3]
    return negative_log((image_mean((w * luminance * structure).sum(dim=1)) + 1) / 2)


TERMS = (LossTerm("similarity", 1.0, similarity),)
