"""Standard deviation of the fused image (SD)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "StandardDeviationMetric", "standard_deviation"]


def standard_deviation(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Population standard deviation of the fused image, its contrast.

    .. math:: SD = \sqrt{\overline{(F - \overline{F})^2}}

    in gray levels. A constant image has 0; a sum of both sources that is clipped at white has much.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Ma, Ma, Li, "Infrared and visible image fusion methods and applications: a survey", Information Fusion
    2019, doi:10.1016/j.inffus.2018.02.004.

    Example:
        >>> x = torch.tensor([0.0, 1.0]).repeat(2, 1).reshape(1, 1, 2, 2)
        >>> standard_deviation(x, x, x).item()
        127.5
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _standard_deviation(images: Triplet) -> torch.Tensor:
    return images.fused.std(dim=(-2, -1), correction=0)


DECLARATION = MetricDeclaration(
    name="SD",
    order=20,
    function=standard_deviation,
    compute=_standard_deviation,
    low=0.0,
    high=127.5,
    unit="gray levels",
    ranked=("medical", "infrared-visible"),
    tested=True,
    shown=True,
)


class StandardDeviationMetric(FusionMetric):
    """Accumulates :func:`standard_deviation` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
