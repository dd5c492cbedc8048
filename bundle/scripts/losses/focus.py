"""Lessons of focus: pairs that are out of focus at different places, made of one sharp image, which is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..utils.filters import filter_same, gaussian_kernel
from .lessons import Lessons

__all__ = ["DefocusedPairs", "FocusLessons", "defocus", "draw_mask"]

RADII = (0.7, 5.0)  # pixels: standard deviation of a Gaussian, half the radius of a disk
SOFT_MASKS = 0.3  # share of masks with a soft border
BLOBS = (6.0, 16.0)  # pixels, standard deviation of what makes a mask of blobs


@dataclass
class DefocusedPairs:
    """Pairs that were made of sharp images.

    Args:
        inputs: (B, 2, H, W) in [0, 1], each source out of focus where the other one is sharp.
        sharp: (B, 1, H, W), what they were made of.
    """

    inputs: torch.Tensor
    sharp: torch.Tensor
    condition: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def pairs(self) -> torch.Tensor:
        """All of them."""
        return self.inputs


def defocus(image: torch.Tensor, radius: float, disk: bool) -> torch.Tensor:
    """Blur images as a lens does that is focused elsewhere.

    Args:
        image: (B, C, H, W).
        radius: standard deviation of a Gaussian, or half the radius of a disk, pixels.
        disk: whether the blur is a disk, the image of a point through a round aperture, rather than a Gaussian.
    """
    half = math.ceil(2 * radius if disk else 3 * radius)
    if not disk:
        return filter_same(image, gaussian_kernel(2 * half + 1, radius))
    places = torch.arange(-half, half + 1, dtype=image.dtype, device=image.device)
    inside = (2 * radius + 0.5 - torch.hypot(places[:, None], places)).clamp(0.0, 1.0)
    kernel = (inside / inside.sum())[None, None].repeat(image.shape[1], 1, 1, 1)
    padded = torch.nn.functional.pad(image, [half] * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel, groups=image.shape[1])


def draw_mask(size: Sequence[int], rng: np.random.Generator) -> torch.Tensor:
    """Draw where the first source is in focus: a half plane, a disk, or blobs; (1, 1, H, W) in [0, 1].

    Args:
        size: H and W, pixels.
        rng: draws the kind of the mask and its shape.
    """
    rows, columns = (torch.linspace(-0.5, 0.5, side) for side in size)
    kind = rng.integers(3)
    if kind == 2:
        noise = torch.from_numpy(rng.standard_normal((1, 1, *size), dtype=np.float32))
        smooth = defocus(noise, rng.uniform(*BLOBS), disk=False)
        mask = (smooth > smooth.median()).float()
    else:
        down, right = rows[:, None] - rng.uniform(-0.25, 0.25), columns - rng.uniform(-0.25, 0.25)
        angle, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0.15, 0.4)
        inside = down * math.sin(angle) + right * math.cos(angle) if kind else radius - down.hypot(right)
        mask = (inside > 0).float()[None, None]
    return defocus(mask, rng.uniform(0.5, 1.5), disk=False) if rng.random() < SOFT_MASKS else mask


class FocusLessons(Lessons[DefocusedPairs]):
    """When a training makes pairs of one sharp image each, and how much the difference from that image counts.

    Each pair is made of one of the sources of a pair of the batch, blurred by a Gaussian or a disk inside and outside
    of a mask. Where that source is itself out of focus, it is still the sharper of the two. A lesson takes the place of
    the fusion loss.

    Args:
        share: of all iterations, in [0, 1]. Defaults to 0.5.
        weight: of the mean absolute difference, relative to white. Defaults to 10.

    Raises:
        ValueError: When the share is not in [0, 1].
    """

    name = "focus"

    def __init__(self, share: float = 0.5, weight: float = 10.0) -> None:
        super().__init__(share, weight)

    def make(self, image: torch.Tensor, tasks: Sequence[str], rng: np.random.Generator) -> DefocusedPairs:
        """Make a pair of one source of each pair of a batch."""
        sources = rng.integers(2, size=len(image))
        sharp = torch.stack([pair[source : source + 1] for pair, source in zip(image, sources, strict=True)])
        pairs = []
        for whole in sharp.split(1):
            radius = math.exp(rng.uniform(math.log(RADII[0]), math.log(RADII[1])))
            blurred = defocus(whole, radius, disk=bool(rng.random() < 0.5))
            mask = draw_mask(whole.shape[2:], rng).to(whole)
            pairs.append(torch.cat([blurred + mask * (whole - blurred), whole + mask * (blurred - whole)], dim=1))
        return DefocusedPairs(torch.cat(pairs), sharp)

    def lost(self, fused: torch.Tensor, lesson: DefocusedPairs) -> torch.Tensor:
        """Compute the mean absolute difference from the sharp images."""
        return (fused.float() - lesson.sharp).abs().mean()

    def total(self, fusion_loss: torch.Tensor, lost: torch.Tensor, lesson: DefocusedPairs) -> torch.Tensor:
        """Take the difference alone."""
        return self.weight * lost
