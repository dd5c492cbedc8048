"""Classical rules for photographs alone: a focus measure, and the fusion of exposures."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from ..utils.filters import box_kernel, filter_same
from .rules import FUSION_RULES, halve, smooth_along

__all__ = ["ALL_RULES", "exposure_fusion", "focus_measure", "rules_of"]

ACTIVITY = 9  # window of the focus measure, pixels
MAJORITY = 21  # window in which the majority decides, pixels
EDGE_RADIUS, EDGE_REGULARIZATION = 4, 1e-3  # of the guided filter of the decision
WELL_EXPOSED, SIGMA = 0.5, 0.2  # gray level that is exposed best, and how far around it


def focus_measure(image: torch.Tensor) -> torch.Tensor:
    """Choose the sharper source at each place by the sum of the modified Laplacian.

    The decision is made consistent: twice each place takes the majority around it, and a guided filter brings its
    border to the edges of the average of both sources.

    Args:
        image: both sources, (B, 2, H, W) in [0, 1], sides of at least 2.

    Returns:
        (B, 1, H, W) in [0, 1].

    Reference: Nayar and Nakagawa, "Shape from focus", TPAMI 1994, doi 10.1109/34.308479 (measure); Liu, Liu, Wang,
    "Multi-focus image fusion with dense SIFT", Information Fusion 2015, doi 10.1016/j.inffus.2014.05.004 (decision,
    consistency, refinement; the measure is not SIFT).
    """
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (2 * image - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]).abs()
    down = (2 * image - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]).abs()
    activity = filter_same(across + down, box_kernel(ACTIVITY))
    first, second = activity[:, :1], activity[:, 1:]
    chosen = (first > second).to(image.dtype) + 0.5 * (first == second).to(image.dtype)
    for _ in range(2):
        share = filter_same(chosen, box_kernel(MAJORITY))
        chosen = (share > 0.5).to(image.dtype) + 0.5 * ((share - 0.5).abs() < 1e-6).to(image.dtype)
    mean = image.mean(dim=1, keepdim=True)
    weight = smooth_along(mean, chosen, EDGE_RADIUS, EDGE_REGULARIZATION).clamp(0.0, 1.0)
    return weight * image[:, :1] + (1 - weight) * image[:, 1:]


def _expand(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Bring a level of a pyramid to the size of the next finer one: its pixels are every second one there."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=image.dtype, device=image.device)
    spread = torch.zeros(len(image), image.shape[1] + 1, *like.shape[2:], dtype=image.dtype, device=image.device)
    spread[:, :-1, ::2, ::2] = image
    spread[:, -1:, ::2, ::2] = 1
    weight = torch.outer(taps, taps).expand(spread.shape[1], 1, 5, 5)
    blurred = F.conv2d(spread, weight, padding=2, groups=spread.shape[1])
    return blurred[:, :-1] / blurred[:, -1:]


def exposure_fusion(image: torch.Tensor) -> torch.Tensor:
    """Blend two exposures by their contrast and their nearness to mid-gray, level by level of a Laplacian pyramid.

    Args:
        image: both sources, (B, 2, H, W) in [0, 1], sides of at least 2.

    Returns:
        (B, 1, H, W) in [0, 1].

    Reference: Mertens, Kautz, Van Reeth, "Exposure fusion", Pacific Graphics 2007, doi 10.1109/PG.2007.17. Departures:
    gray images have no saturation, so contrast and exposedness alone decide.
    """
    laplace = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=image.dtype, device=image.device)
    contrast = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), laplace.expand(2, 1, 3, 3), groups=2).abs()
    weights = contrast * (-((image - WELL_EXPOSED) ** 2) / (2 * SIGMA**2)).exp() + 1e-12
    weights = weights / weights.sum(dim=1, keepdim=True)
    levels = [(image, weights)]
    for _ in range(int(math.log2(min(image.shape[2:])))):
        levels.append((halve(levels[-1][0]), halve(levels[-1][1])))
    fused = (levels[-1][0] * levels[-1][1]).sum(dim=1, keepdim=True)
    for (fine, weight), (coarse, _) in zip(levels[-2::-1], levels[:0:-1], strict=True):
        detail = fine - _expand(coarse, fine)
        fused = _expand(fused, fine) + (detail * weight).sum(dim=1, keepdim=True)
    return fused.clamp(0.0, 1.0)


Rule = Callable[[torch.Tensor], torch.Tensor]

TASK_RULES: dict[str, dict[str, Rule]] = {
    "multi-focus": {"SML": focus_measure},
    "multi-exposure": {"Mertens": exposure_fusion},
}
ALL_RULES: dict[str, Rule] = {
    **FUSION_RULES,
    **{name: rule for own in TASK_RULES.values() for name, rule in own.items()},
}


def rules_of(task: str) -> dict[str, Rule]:
    """Name to classical rule: those for all tasks, and those that are for this task only.

    Example:
        >>> sorted(set(rules_of("multi-focus")) - set(rules_of("PET-MRI")))
        ['SML']
    """
    return {**FUSION_RULES, **TASK_RULES.get(task, {})}
