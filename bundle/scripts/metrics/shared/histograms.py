"""Histograms of gray levels and the information in them, for EN, MI and FMI."""

from __future__ import annotations

import torch

__all__ = ["LEVELS", "entropy_nats", "mutual_information_and_entropies"]

LEVELS = 256


def entropy_nats(probabilities: torch.Tensor) -> torch.Tensor:
    """Shannon entropy of each distribution, nats.

    Shape:
        probabilities: (N, ...), summing to 1 over all axes but the first; returns (N,).
    """
    return -torch.special.xlogy(probabilities, probabilities).flatten(1).sum(dim=1)


def _joint_histogram(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Joint probabilities (N, 256, 256) of two stacks (N, H, W) of gray levels."""
    count = x.shape[0]
    image = torch.arange(count, device=x.device).reshape(-1, 1, 1) * (LEVELS * LEVELS)
    code = image + x.long() * LEVELS + y.long()
    histogram = torch.bincount(code.flatten(), minlength=count * LEVELS * LEVELS)
    return histogram.reshape(count, LEVELS, LEVELS).to(torch.float64) / x[0].numel()


def mutual_information_and_entropies(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mutual information of each pair of images, and the sum of the entropies of both, nats.

    Shape:
        x, y: (N, H, W), gray levels 0..255; returns (N,) twice.
    """
    joint = _joint_histogram(x, y)
    entropies = entropy_nats(joint.sum(dim=2)) + entropy_nats(joint.sum(dim=1))
    return (entropies - entropy_nats(joint)).clamp_min(0.0), entropies
