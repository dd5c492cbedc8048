"""All declared loss terms, and their values by name: the one place that a new term's file is added to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import look_up_option

from . import contrast, edges, entropy, intensity, sharpness, similarity, structure, transfer
from .base import LossTerm, LossWeights, TermInputs

__all__ = ["LOSS_TERMS", "chosen_terms", "fusion_terms", "term_names"]

FAMILIES = (structure, edges, similarity, transfer, sharpness, contrast, intensity, entropy)
LOSS_TERMS: dict[str, LossTerm] = {term.name: term for family in FAMILIES for term in family.TERMS}


def term_names() -> list[str]:
    """Names of all declared terms, in the order in which a loss that is told nothing else has them."""
    return list(LOSS_TERMS)


def chosen_terms(names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Check the names of a loss's terms.

    Args:
        names: names of declared terms. Defaults to None: all of them.

    Returns:
        The names, in the given order.

    Raises:
        ValueError: When a name is not declared, appears twice, or there is none.

    Example:
        >>> chosen_terms(["edges", "local"])
        ('edges', 'local')
    """
    chosen = tuple(look_up_option(name, LOSS_TERMS.keys()) for name in (term_names() if names is None else names))
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"`terms` must name at least one term and each only once, got {list(chosen)}.")
    return chosen


def fusion_terms(
    fused: torch.Tensor, image: torch.Tensor, weights: LossWeights, names: Sequence[str] | None = None
) -> torch.Tensor:
    """Values of terms, unweighted by ``weights.terms``.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources; H and W at least 48.
        weights: what the loss decides.
        names: which terms. Defaults to None: all of them.

    Returns:
        (B, K), in the order of ``names``.
    """
    inputs = TermInputs(fused, image, weights)
    chosen = term_names() if names is None else names
    return torch.stack([LOSS_TERMS[name].function(inputs) for name in chosen], dim=1)
