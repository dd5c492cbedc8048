"""Visual information fidelity of the source that is kept worse (VIFmin)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.visual_information import MIN_VIF_SIZE, visual_information

__all__ = ["DECLARATION", "MinVIFMetric", "visual_information_fidelity_min"]


def visual_information_fidelity_min(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""VIF of the source that is kept worse: a copy of one source fails it.

    .. math:: VIFmin = \min(VIF_A, VIF_B)

    with the VIF of each source as in :func:`~.vif.visual_information_fidelity`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.

    Reference: this project; Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006,
    doi:10.1109/TIP.2005.859378 (VIF).
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _visual_information_fidelity_min(images: Triplet) -> torch.Tensor:
    return images.once(visual_information).by_source.amin(dim=0)


DECLARATION = MetricDeclaration(
    name="VIFmin",
    order=150,
    function=visual_information_fidelity_min,
    compute=_visual_information_fidelity_min,
    low=0.0,
    high=math.inf,
    min_size=MIN_VIF_SIZE,
    tested=True,
    shown=True,
)


class MinVIFMetric(FusionMetric):
    """Accumulates :func:`visual_information_fidelity_min` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
