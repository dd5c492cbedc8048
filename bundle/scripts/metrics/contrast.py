"""Contrast of the fused image alone: SD, SF, AG."""

from __future__ import annotations

import torch

from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = [
    "AverageGradientMetric",
    "SpatialFrequencyMetric",
    "StandardDeviationMetric",
    "average_gradient",
    "spatial_frequency",
    "standard_deviation",
]


def _standard_deviation(images: GrayTriplet) -> torch.Tensor:
    f, _, _ = images
    return f.std(dim=(-2, -1), correction=0)


def standard_deviation(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Population standard deviation of the fused image (SD), gray levels. A constant image gives 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Example:
        >>> x = torch.tensor([0.0, 1.0]).repeat(2, 1).reshape(1, 1, 2, 2)
        >>> standard_deviation(x, x, x).item()
        127.5
    """
    return unfold(_standard_deviation(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _spatial_frequency(images: GrayTriplet) -> torch.Tensor:
    f, _, _ = images
    rows = (f[:, :, 1:] - f[:, :, :-1]).square().mean(dim=(-2, -1))
    columns = (f[:, 1:, :] - f[:, :-1, :]).square().mean(dim=(-2, -1))
    return (rows + columns).sqrt()


def spatial_frequency(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Spatial frequency (SF), gray levels a pixel. A constant image gives 0.

    .. math:: SF = \sqrt{\overline{(\partial_x F)^2} + \overline{(\partial_y F)^2}}

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Eskicioglu and Fisher, "Image quality measures and their performance", IEEE Trans. Communications 1995,
    doi:10.1109/26.477498.
    """
    return unfold(_spatial_frequency(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _average_gradient(images: GrayTriplet) -> torch.Tensor:
    f, _, _ = images
    dy, dx = torch.gradient(f, dim=(-2, -1))
    return ((dx.square() + dy.square()) / 2).sqrt().mean(dim=(-2, -1))


def average_gradient(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Average gradient (AG), gray levels a pixel: central differences, one-sided at the border.

    .. math:: AG = \overline{\sqrt{((\partial_x F)^2 + (\partial_y F)^2) / 2}}

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Cui et al., "Detail preserved fusion of visible and infrared images", Optics Communications 2015,
    doi:10.1016/j.optcom.2014.12.032.
    """
    return unfold(_average_gradient(gray_triplet(fused, source_a, source_b, data_range)), fused)


class StandardDeviationMetric(FusionMetric):
    """Accumulating version of :func:`standard_deviation`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(standard_deviation, reduction, data_range)


class SpatialFrequencyMetric(FusionMetric):
    """Accumulating version of :func:`spatial_frequency`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(spatial_frequency, reduction, data_range)


class AverageGradientMetric(FusionMetric):
    """Accumulating version of :func:`average_gradient`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(average_gradient, reduction, data_range)
