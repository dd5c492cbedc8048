"""The base of the fusion losses: terms by name, weighted as a subclass decides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from monai.utils import look_up_option
from torch.nn.modules.loss import _Loss

from ..utils.checks import InputError
from ..utils.enums import Preference
from .preferences import preferred_shares
from .terms.base import LossWeights
from .terms.table import LOSS_TERMS, chosen_terms, fusion_terms

__all__ = ["MIN_SIZE", "FusionLoss", "training_patch"]

MIN_SIZE = 48  # pixels a side: the coarsest scale of the structure terms still has a window


def training_patch(patch_size: int) -> list[int]:
    """Sides of the square patches that a fusion loss is trained on.

    Args:
        patch_size: side, pixels.

    Returns:
        ``[patch_size, patch_size]``.

    Raises:
        InputError: When the side is not an even whole number of at least :data:`MIN_SIZE` pixels.

    Example:
        >>> training_patch(128)
        [128, 128]
    """
    if not isinstance(patch_size, int) or patch_size < MIN_SIZE or patch_size % 2:
        raise InputError(
            f"patch_size: expected an even number of at least {MIN_SIZE} pixels, got {patch_size!r}. The loss compares "
            "images at four scales and proposes its weights at half the resolution: choose e.g. 128."
        )
    return [patch_size, patch_size]


class FusionLoss(_Loss):
    r"""Weighted sum of the terms of :mod:`.terms`; a subclass decides the weights of each pixel and each image.

    .. math::
        L = \sum_k \lambda_k L_k

    Args:
        terms: names of the terms, in the order of :attr:`LossWeights.terms`. Defaults to None: all declared terms.
        anchors: weights of some terms instead of their declared anchors, relative to those of the others. Defaults to
            None: the declared ones.
        preference: which source is wanted at each place, see :func:`~scripts.losses.preferences.preferred_shares`.
            Defaults to ``"brighter"``.

    Shape:
        fused: (B, 1, H, W) in [0, 1]; image: (B, 2, H, W), both sources, H and W at least 48; returns a scalar.

    Raises:
        ValueError: When ``terms`` holds an unknown name, one twice, or none, ``anchors`` names a term that the loss
            does not have, a weight is not positive, or the preference is not known.
    """

    def __init__(
        self,
        terms: Sequence[str] | None = None,
        anchors: Mapping[str, float] | None = None,
        preference: Preference | str = Preference.BRIGHTER,
    ) -> None:
        super().__init__()
        self.terms = chosen_terms(terms)
        self.preference = Preference(preference)
        given = {look_up_option(name, self.terms): float(weight) for name, weight in (anchors or {}).items()}
        for name, weight in given.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"`anchors` must be positive weights, got {weight} for '{name}'.")
        self.anchors = [given.get(name, LOSS_TERMS[name].anchor) for name in self.terms]
        self._latest: tuple[LossWeights, torch.Tensor] | None = None

    @abstractmethod
    def propose(self, image: torch.Tensor) -> LossWeights:
        """Return the weights for ``image``, (B, 2, H, W)."""

    def anchor_logits(self, like: torch.Tensor) -> torch.Tensor:
        """Logits of the terms' anchor weights, (1, K), of the type and on the device of ``like``."""
        return torch.tensor([self.anchors], dtype=like.dtype, device=like.device).log()

    def hand_made_weights(self, image: torch.Tensor) -> LossWeights:
        """Return the weights that need no learning: the shares that the preference gives, and the terms' anchors.

        Args:
            image: (B, 2, H, W) in [0, 1], both sources.
        """
        terms = torch.softmax(self.anchor_logits(image).expand(image.shape[0], -1), dim=1)
        return LossWeights(*preferred_shares(image, self.preference), terms)

    def evaluate(self, fused: torch.Tensor, image: torch.Tensor, weights: LossWeights) -> torch.Tensor:
        """Compute the loss with given weights, differentiable in them too.

        Raises:
            ValueError: When ``image`` does not hold two sources of the fused image's size, or they are smaller than
                48x48 pixels.
        """
        if image.shape[1] != 2 or fused.shape[1] != 1 or image.shape[2:] != fused.shape[2:]:
            raise ValueError(
                "`fused` must be (B, 1, H, W) and `image` (B, 2, H, W) of the same size, got "
                f"{tuple(fused.shape)} and {tuple(image.shape)}."
            )
        if min(image.shape[2:]) < MIN_SIZE:
            raise ValueError(
                f"`fused` and `image` must have at least {MIN_SIZE}x{MIN_SIZE} pixels, got {tuple(image.shape[2:])}. "
                "Train on larger patches."
            )
        terms = fusion_terms(fused, image, weights, self.terms)
        self._latest = weights.detach(), terms.detach()
        return (weights.terms * terms).sum(dim=1).mean()

    def forward(self, fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Compute the loss; gradients reach ``fused`` only, never the weights.

        Raises:
            ValueError: As in :meth:`evaluate`.
        """
        fused, image = fused.as_subclass(torch.Tensor).float(), image.as_subclass(torch.Tensor).float()
        with torch.no_grad():
            weights = self.propose(image)
        return self.evaluate(fused, image, weights)

    def summary(self, tasks: Sequence[str] = ()) -> dict[str, float]:
        """Batch means of the latest call, for the log: each term and its weight, and the shares of source A.

        Args:
            tasks: the task of each image, e.g. ``"PET-MRI"``; with it the weights are given for each task too, as
                ``"weight_PET-MRI/local"``. Defaults to none.
        """
        if self._latest is None:
            return {}
        weights, terms = self._latest
        values = {
            "share/intensity_a": weights.intensity[:, 0].mean().item(),
            "share/structure_a": weights.structure[:, 0].mean().item(),
        }
        groups = {"": list(range(len(terms)))}
        groups.update({f"_{t}": [i for i, task in enumerate(tasks) if task == t] for t in set(tasks)})
        for name, term in zip(self.terms, terms.mean(dim=0), strict=True):
            values[f"term/{name}"] = term.item()
        for group, rows in sorted(groups.items()):
            for name, weight in zip(self.terms, weights.terms[rows].mean(dim=0), strict=True):
                values[f"weight{group}/{name}"] = weight.item()
        return values
