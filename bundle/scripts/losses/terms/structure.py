"""What each source's structure has kept: the terms ``structure_a``, ``structure_b`` and ``local``, after VIF."""

from __future__ import annotations

import torch

from ...metrics.shared.visual_information import NOISE_VARIANCE, STRUCTURE_VARIANCE
from ...utils.filters import filter_valid, gaussian_kernel
from .base import GRAY, LossTerm, TermInputs, kept_part, negative_log

__all__ = ["TERMS"]

MARGINS = (8, 12, 16, 20)  # pixels that the windows of each VIF scale lose at a border


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


def _structure_and_local(inputs: TermInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """-log of each source's VIF, windows by the shares, (B, 2); and -log of VIFlocal, soft minimum, (B,)."""
    kept_sum = total_sum = local = torch.zeros((), device=inputs.fused.device)
    for (kept, total, v), margin in zip(_vif_maps(inputs.fused, inputs.image), MARGINS, strict=True):
        share = inputs.weights.structure[..., margin:-margin, margin:-margin]
        share = 2 * torch.nn.functional.adaptive_avg_pool2d(share, (kept.shape[-2], kept.shape[-1]))
        kept_sum = kept_sum + (share * kept).flatten(2).sum(dim=2)
        total_sum = total_sum + (share * total).flatten(2).sum(dim=2)
        both = (v > STRUCTURE_VARIANCE).all(dim=1).to(kept.dtype)
        ratio = kept / total.clamp_min(0.1)
        soft_minimum = 1 / (0.5 * (ratio + 0.02).reciprocal().pow(4).sum(dim=1)).pow(0.25)
        local = local + ((soft_minimum * both).flatten(1).sum(dim=1) + 0.02) / (both.flatten(1).sum(dim=1) + 1) / 4
    return kept_part(kept_sum, total_sum), negative_log(local)


TERMS = (
    LossTerm("structure_a", 4.0, lambda inputs: inputs.once(_structure_and_local)[0][:, 0]),
    LossTerm("structure_b", 4.0, lambda inputs: inputs.once(_structure_and_local)[0][:, 1]),
    LossTerm("local", 10.0, lambda inputs: inputs.once(_structure_and_local)[1]),
)
