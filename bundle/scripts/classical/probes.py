"""Degenerate probes: no fusions; each shows how some of the field's figures can be had cheaply."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .rules import maximum

__all__ = ["CLIPPED_SUM", "COPIES", "PROBES", "clipped_sum", "copy_of_a", "copy_of_b", "gray_background"]

BACKGROUND = 20 / 255  # gray level of the gray background, as a fraction of white


def clipped_sum(image: torch.Tensor) -> torch.Tensor:
    """Sum of both sources, clipped at white, (B, 2, H, W) to (B, 1, H, W): it lifts SD and SCD."""
    return image.sum(dim=1, keepdim=True).clamp_max(1.0)


def copy_of_a(image: torch.Tensor) -> torch.Tensor:
    """Source A alone, (B, 2, H, W) to (B, 1, H, W): a copy of the source with more texture lifts VIF and MI."""
    return image[:, :1]


def copy_of_b(image: torch.Tensor) -> torch.Tensor:
    """Source B alone, (B, 2, H, W) to (B, 1, H, W); see :func:`copy_of_a`."""
    return image[:, 1:]


def gray_background(image: torch.Tensor) -> torch.Tensor:
    """Pixel maximum whose black is gray, (B, 2, H, W) to (B, 1, H, W): the metric ``background`` is for this."""
    return maximum(image).clamp_min(BACKGROUND)


CLIPPED_SUM = "Clipped sum"
COPIES = ("Copy of A", "Copy of B")

PROBES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    CLIPPED_SUM: clipped_sum,
    COPIES[0]: copy_of_a,
    COPIES[1]: copy_of_b,
    "Gray background": gray_background,
}
