"""What the edges have kept: the terms ``edges`` and ``edges_worse``, after Qabf; and what ``sharpness`` shares."""

from __future__ import annotations

import math

import torch

from .base import GRAY, LossTerm, TermInputs, image_mean, kept_part, negative_log

__all__ = ["TERMS", "edges_and_sharpness"]


def _sobel(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal and vertical Sobel responses of gray levels, full windows only."""
    x = image * GRAY
    smooth_y = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    smooth_x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return smooth_y[..., 2:] - smooth_y[..., :-2], smooth_x[..., 2:, :] - smooth_x[..., :-2, :]


def edges_and_sharpness(inputs: TermInputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute -log of Qabf, pixels by the shares, of both sources together and of the worse one; -log of sharpness.

    Args:
        inputs: what the terms are computed from.

    Returns:
        Three tensors (B,): edges, edges_worse, sharpness. Sharpness is the root-mean-square gradient relative to that
        of both sources laid over each other; above it the term is 0.
    """
    dx, dy = _sobel(torch.cat([inputs.fused, inputs.image], dim=1))
    g = (dx.square() + dy.square() + 1.0).sqrt()
    g_fused, g_source = g[:, :1], g[:, 1:]
    ratio = torch.minimum(g_source, g_fused) / torch.maximum(g_source, g_fused)
    cosine = ((dx[:, :1] * dx[:, 1:] + dy[:, :1] * dy[:, 1:] + 1.0) / (g_fused * g_source)).abs()
    angle = torch.acos(cosine.clamp(0.0, 0.9995))
    alignment = 1 - angle / (math.pi / 2)
    quality = torch.sigmoid(15 * (ratio - 0.5)) * torch.sigmoid(22 * (alignment - 0.8))
    importance = 2 * inputs.weights.structure[..., 1:-1, 1:-1] * (g_source - 1.0)
    total = importance.flatten(2).sum(dim=2)
    reached = (quality * importance).flatten(2).sum(dim=2)
    union = image_mean((g_source.square() - 1.0).sum(dim=1))
    sharpness = ((image_mean(g_fused.square() - 1.0) + 1.0) / (union + 1.0)).sqrt()
    return (
        negative_log((reached.sum(dim=1) + 1.0) / (total.sum(dim=1) + 1.0)),
        kept_part(reached, total).amax(dim=1),
        negative_log(sharpness.clamp_max(1.0)),
    )


TERMS = (
    LossTerm("edges", 9.0, lambda inputs: inputs.once(edges_and_sharpness)[0]),
    LossTerm("edges_worse", 0.5, lambda inputs: inputs.once(edges_and_sharpness)[1]),
)
