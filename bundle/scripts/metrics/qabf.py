"""Edges that are carried from both sources into the fused image (Qabf)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.edges import edge_information

__all__ = ["DECLARATION", "QabfMetric", "edge_preservation"]


def edge_preservation(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Part of the edges of both sources, strength and orientation, that the fused image keeps.

    .. math:: Qabf = \frac{\sum Q_{AF}\, g_A + Q_{BF}\, g_B}{\sum g_A + g_B}

    over the pixels, with Q and g of :func:`~.shared.edges.edge_information`, which also names the oddities of the
    field's evaluator. Where no source has an edge the value is 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Xydeas and Petrovic, "Objective image fusion performance measure", Electronics Letters 2000,
    doi:10.1049/el:20000267.

    Example:
        >>> x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> round(edge_preservation(x, x, x).item(), 3)
        0.975
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _edge_preservation(images: Triplet) -> torch.Tensor:
    kept, total = images.once(edge_information)
    return kept.sum(dim=0) / total.sum(dim=0).clamp_min(1e-12)


DECLARATION = MetricDeclaration(
    name="Qabf",
    order=80,
    function=edge_preservation,
    compute=_edge_preservation,
    low=0.0,
    high=1.0,
    ranked=("medical", "infrared-visible", "multi-focus", "multi-exposure"),
    tested=True,
    shown=True,
    scored=(0.0, 1.0),
)


class QabfMetric(FusionMetric):
    """Accumulates :func:`edge_preservation` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
