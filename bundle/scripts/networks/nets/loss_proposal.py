"""The loss-proposal network: how much of each source the fused image must keep, where, and which term counts."""

from __future__ import annotations

import torch
from torch import nn

from ..blocks.dense import conv_type, start_at_zero
from ..layers.space_to_depth import space_to_depth

__all__ = ["LossProposalNet"]


class LossProposalNet(nn.Module):
    r"""Proposes the adaptive loss's weights from both sources.

    Every logit is bounded by a tanh and starts at zero, so the proposal starts at its anchor. A map is the sum of a
    local part, whose mean over the image is zero, and a global one: the proposal can choose places freely, but it
    cannot drift to one source as a whole. With a local bound of 1.5 nearly all structure inside the brain was asked of
    the PET and the edges of the MRI suffered (Qabf on PET-MRI .750 instead of .773).

    Args:
        spatial_dims: 2 or 3.
        num_terms: number of loss terms to weight. Defaults to 11.
        channels: width. Defaults to 24.
        local_bound: largest local logit before the mean is taken off. Defaults to 0.5.
        global_bound: largest global logit of a source. Defaults to 0.3.
        term_bound: largest logit of a term. Defaults to 1.5.

    Shape:
        image: (B, 2, *spatial), even sides. Returns ``maps``, (B, 2, *spatial): log-odds of source A against source B,
            in intensity and in structure; and ``terms``, logits of shape (B, num_terms).

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Bai et al., "ReFusion: learning image fusion from reconstruction with learnable loss via meta-learning",
    IJCV 2024, arXiv 2312.07943 (the idea of a proposed loss; the anchoring is ours).
    """

    def __init__(
        self,
        spatial_dims: int,
        num_terms: int = 11,
        channels: int = 24,
        local_bound: float = 0.5,
        global_bound: float = 0.3,
        term_bound: float = 1.5,
    ) -> None:
        super().__init__()
        conv = conv_type(spatial_dims)
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
        self.local_logits = conv(channels, 2, 3, padding=1)
        self.global_logits = nn.Linear(channels, 2 + num_terms)
        start_at_zero(self.local_logits)
        start_at_zero(self.global_logits)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propose the logits."""
        features = self.body(space_to_depth(image))
        local = self.local_logits(features)
        local = nn.functional.interpolate(local, scale_factor=2.0, mode=self.mode, align_corners=False)
        spatial = list(range(2, local.dim()))
        local = self.local_bound * torch.tanh(local - local.mean(dim=spatial, keepdim=True))
        overall = torch.tanh(self.global_logits(features.flatten(2).mean(dim=2)))
        shares = self.global_bound * overall[:, :2].reshape([-1, 2] + [1] * len(spatial))
        return local - local.mean(dim=spatial, keepdim=True) + shares, self.term_bound * overall[:, 2:]
