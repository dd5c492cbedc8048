"""Visual information of both sources at the same place (VIFlocal)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.visual_information import MIN_VIF_SIZE, visual_information

__all__ = ["DECLARATION", "LocalVIFMetric", "visual_information_fidelity_local"]


def visual_information_fidelity_local(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""How well the worse-kept source is kept where both have structure: a cut-and-paste of regions fails it.

    .. math:: VIFlocal = \overline{\min_S \frac{\log(1 + g^2 v / (s_v^2 + 2))}{\log(1 + v / 2)}}

    the mean, at each of the four scales of :func:`~.shared.visual_information.visual_information`, over the windows in
    which both sources have a variance above 20 gray levels squared; then the mean over the scales that have such
    windows. Where no scale has one the value is 1.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]), H and W at least 41; returns (B, C).

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.

    Reference: this project; Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006,
    doi:10.1109/TIP.2005.859378 (VIF).
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _visual_information_fidelity_local(images: Triplet) -> torch.Tensor:
    return images.once(visual_information).local


DECLARATION = MetricDeclaration(
    name="VIFlocal",
    order=170,
    function=visual_information_fidelity_local,
    compute=_visual_information_fidelity_local,
    low=0.0,
    high=math.inf,
    min_size=MIN_VIF_SIZE,
    tested=True,
    shown=True,
)


class LocalVIFMetric(FusionMetric):
    """Accumulates :func:`visual_information_fidelity_local` over batches; see :class:`FusionMetric`."""

    declaration = DECLARATION
