"""What the fused image adds to each source: the term ``transfer``, after SCD."""

from __future__ import annotations

import torch

from .base import LossTerm, TermInputs, negative_log

__all__ = ["TERMS"]

TINY = 1e-6


def transfer(inputs: TermInputs) -> torch.Tensor:
    """-log of the SCD moved to (0, 1], (B,): each source must show in what the fused image adds to the other one."""
    difference = (inputs.fused - inputs.image.flip(1)).flatten(2)
    source = inputs.image.flatten(2)
    difference = difference - difference.mean(dim=2, keepdim=True)
    source = source - source.mean(dim=2, keepdim=True)
    energy = difference.square().sum(dim=2) * source.square().sum(dim=2)
    correlation = (difference * source).sum(dim=2) / (energy + TINY).sqrt()
    return negative_log((correlation.mean(dim=1) + 1) / 2)


TERMS = (LossTerm("transfer", 1.0, transfer),)
