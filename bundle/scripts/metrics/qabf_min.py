"""Edges of the source that is kept worse (Qabf_min)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.edges import edge_information

__all__ = ["DECLARATION", "MinQabfMetric", "edge_preservation_min"]


def edge_preservation_min(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Qabf of the source that is kept worse: a copy of one source fails it.

    .. math:: Qabf_{min} = \min_S \frac{\sum Q_{SF}\, g_S}{\sum g_S}

    over the pixels, with Q and g of :func:`~.shared.edges.edge_information`.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: this project; Xydeas and Petrovic, "Objective image fusion performance measure", Electronics Letters
    2000, doi:10.1049/el:20000267 (Qabf).
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _edge_preservation_min(images: Triplet) -> torch.Tensor:
    kept, total = images.once(edge_information)
    return (kept / total.clamp_min(1e-12)).amin(dim=0)


DECLARATION = MetricDeclaration(
    name="Qabf_min",
    order=160,
    function=edge_preservation_min,
    compute=_edge_preservation_min,
    low=0.0,
    high=1.0,
    tested=True,
    shown=True,
)


class MinQabfMetric(FusionMetric):
    """Accumulates :func:`edge_preservation_min` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
