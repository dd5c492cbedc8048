"""The loss-proposal network: how much of each source the fused image must keep, where, and which term counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from ..layers.space_to_depth import space_to_depth
from ..utils import check_spatial_dims, start_at_zero

__all__ = ["LossProposalNet"]

SHARES = 2  # log-odds of the sources: in intensity, in structure
NAMES = "_extra_state"  # torch's key for what get_extra_state returns


class LossProposalNet(nn.Module):
    r"""Proposes the adaptive loss's weights from both sources.

    Every logit is bounded by a tanh and starts at zero, so the proposal starts at its anchor. A map is the sum of a
    local part, whose mean over the image is zero, and a global one: the proposal can choose places freely, but it
    cannot drift to one source as a whole.

    The names of the terms are part of the state dict: weights that were trained for other terms, or for the same in
    another order, are refused.

    Args:
        spatial_dims: 2 or 3.
        terms: names of the loss terms to weight, in the order of the logits.
        channels: width. Defaults to 24.
        local_bound: largest local logit before the mean is taken off. Defaults to 0.5.
        global_bound: largest global logit of a source. Defaults to 0.3.
        term_bound: largest logit of a term. Defaults to 1.5.

    Shape:
        image: (B, 2, *spatial), even sides. Returns ``maps``, (B, 2, *spatial): log-odds of source A against source B,
            in intensity and in structure; and ``terms``, logits of shape (B, len(terms)).

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3, or weights of other terms are loaded.

    Reference: Bai et al., "ReFusion: learning image fusion from reconstruction with learnable loss via meta-learning",
    IJCV 2024, arXiv 2312.07943 (the idea of a proposed loss; the anchoring is ours).
    """

    def __init__(
        self,
        spatial_dims: int,
        terms: Sequence[str],
        channels: int = 24,
        local_bound: float = 0.5,
        global_bound: float = 0.3,
        term_bound: float = 1.5,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        conv = Conv[Conv.CONV, spatial_dims]
        self.terms = tuple(terms)
        self.local_bound = local_bound
        self.global_bound = global_bound
        self.term_bound = term_bound
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"
        self.body = nn.Sequential(
            conv(2 * 2**spatial_dims, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            conv(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            conv(channels, channels, 3, padding=4, dilation=4),
            nn.LeakyReLU(0.2),
        )
        self.local_logits = conv(channels, SHARES, 3, padding=1)
        self.global_logits = nn.Linear(channels, SHARES + len(self.terms))
        start_at_zero(self.local_logits)
        start_at_zero(self.global_logits)

    def get_extra_state(self) -> dict[str, list[str]]:
        """Return what the state dict holds beside the parameters: the names of the terms."""
        return {"terms": list(self.terms)}

    def set_extra_state(self, state: dict[str, list[str]]) -> None:
        """Do nothing: the names have been compared before the first parameter was loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load the parameters, if they are for the same terms in the same order."""
        names = state_dict.get(prefix + NAMES, {}).get("terms")
        if names != list(self.terms):
            held = "no names of terms, as those of version 0.4.0 and older" if names is None else ", ".join(names)
            raise ValueError(
                f"The weights of the loss proposal must be for the terms {', '.join(self.terms)}, in this order, got "
                f"{held}. Train the proposal anew, or build the network with the terms of its weights."
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propose the logits."""
        features = self.body(space_to_depth(image))
        local = self.local_logits(features)
        local = nn.functional.interpolate(local, scale_factor=2.0, mode=self.mode, align_corners=False)
        spatial = list(range(2, local.dim()))
        local = self.local_bound * torch.tanh(local - local.mean(dim=spatial, keepdim=True))
        overall = torch.tanh(self.global_logits(features.flatten(2).mean(dim=2)))
        shares = self.global_bound * overall[:, :SHARES].reshape([-1, SHARES] + [1] * len(spatial))
        return local - local.mean(dim=spatial, keepdim=True) + shares, self.term_bound * overall[:, SHARES:]
