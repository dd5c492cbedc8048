"""Made-up images, and the exact rules that make fused images of two sources."""

from __future__ import annotations

import numpy as np
import torch

from tests.conftest import make_pair

RULES = {
    "max": lambda a, b: np.maximum(a, b),
    "mean": lambda a, b: (a + b) // 2,
    "sum": lambda a, b: np.minimum(a + b, 255),
    "roll": lambda a, b: np.roll(np.maximum(a, b), 1, axis=1),
}


def gray(*images: np.ndarray) -> list[torch.Tensor]:
    """Arrays (H, W) as tensors (1, 1, H, W)."""
    return [torch.from_numpy(np.asarray(image, dtype=np.float64))[None, None] for image in images]


def made_up(size=(96, 80), seed=0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fused, source A, source B in gray levels."""
    pair = (make_pair(size, seed) * 255).round().double()
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, 8, size))
    fused = ((pair.amax(dim=1, keepdim=True) * 0.8 + noise).clamp(0, 255)).round()
    return fused, pair[:, :1], pair[:, 1:]
