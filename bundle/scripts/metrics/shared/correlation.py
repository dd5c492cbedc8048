"""Pearson correlation of images, for CC and SCD."""

from __future__ import annotations

import torch

__all__ = ["correlation"]


def correlation(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Pearson correlation of each pair of images; 0 where one of them is constant.

    Shape:
        x, y: (N, H, W); returns (N,).
    """
    x = x - x.mean(dim=(-2, -1), keepdim=True)
    y = y - y.mean(dim=(-2, -1), keepdim=True)
    norm = (x.square().sum(dim=(-2, -1)) * y.square().sum(dim=(-2, -1))).sqrt()
    product = (x * y).sum(dim=(-2, -1))
    return torch.where(norm > 0, product / norm.clamp_min(1e-12), torch.zeros_like(norm))
