"""Visual information fidelity of the fused image with both sources (VIF)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.visual_information import MIN_VIF_SIZE, visual_information

__all__ = ["DECLARATION", "VIFMetric", "visual_information_fidelity"]


def visual_information_fidelity(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Part of the visual information of each source that the fused image keeps, a sum over both sources.

    .. math::
        VIF_S = \frac{\sum_j \sum_i \log(1 + g^2 v / (s_v^2 + 2))}{\sum_j \sum_i \log(1 + v / 2)},\quad
        VIF = VIF_A + VIF_B

    over four scales j and their windows i; :func:`~.shared.visual_information.visual_information` explains the symbols.
    Two equal sources and their copy have 2; a fused image of higher contrast than its sources may have more. Oddity of
    the field's evaluator, kept for comparability: a constant source, 0 divided by 0, counts 1.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.

    Reference: Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006, doi:10.1109/TIP.2005.859378;
    Han et al., "A new image fusion performance metric based on visual information fidelity", Information Fusion 2013,
    doi:10.1016/j.inffus.2011.08.002.

    Example:
        >>> x = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
        >>> round(visual_information_fidelity(x, x, x).item(), 4)
        2.0
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _visual_information_fidelity(images: Triplet) -> torch.Tensor:
    return images.once(visual_information).by_source.sum(dim=0)


DECLARATION = MetricDeclaration(
    name="VIF",
    order=70,
    function=visual_information_fidelity,
    compute=_visual_information_fidelity,
    low=0.0,
    high=math.inf,
    min_size=MIN_VIF_SIZE,
    ranked=("medical", "infrared-visible", "multi-focus", "multi-exposure"),
    tested=True,
    shown=True,
    scored=(0.0, 2.0),
)


class VIFMetric(FusionMetric):
    """Accumulates :func:`visual_information_fidelity` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
