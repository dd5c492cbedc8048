"""Agreement of the fused image with its sources, pixel by pixel: CC, PSNR, SCD, and the blackness of the background."""

from __future__ import annotations

import torch

from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = [
    "BackgroundMetric",
    "CorrelationCoefficientMetric",
    "PSNRMetric",
    "SCDMetric",
    "background",
    "correlation_coefficient",
    "peak_signal_to_noise_ratio",
    "sum_of_correlations_of_differences",
]


def _correlation(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Pearson correlation of each pair of images; 0 where one of them is constant."""
    x = x - x.mean(dim=(-2, -1), keepdim=True)
    y = y - y.mean(dim=(-2, -1), keepdim=True)
    norm = (x.square().sum(dim=(-2, -1)) * y.square().sum(dim=(-2, -1))).sqrt()
    product = (x * y).sum(dim=(-2, -1))
    return torch.where(norm > 0, product / norm.clamp_min(1e-12), torch.zeros_like(norm))


def _correlation_coefficient(images: GrayTriplet) -> torch.Tensor:
    f, a, b = images
    return (_correlation(a, f) + _correlation(b, f)) / 2


def correlation_coefficient(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Mean of the correlations of the fused image with each source (CC), in [-1, 1]; a constant image counts 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Ma, Ma, Li, "Infrared and visible image fusion methods and applications: a survey", Information Fusion
    2019, doi:10.1016/j.inffus.2018.02.004.
    """
    return unfold(_correlation_coefficient(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _peak_signal_to_noise_ratio(images: GrayTriplet) -> torch.Tensor:
    f, a, b = images
    mse = ((f - a).square().mean(dim=(-2, -1)) + (f - b).square().mean(dim=(-2, -1))) / 2
    peak = f.amax(dim=(-2, -1)).square()
    decibel = 10 * torch.log10(peak.clamp_min(1e-12) / mse.clamp_min(1e-12))
    decibel = torch.where(peak > 0, decibel.clamp(max=100.0), torch.zeros_like(decibel))
    return torch.where(mse > 0, decibel, torch.full_like(decibel, 100.0))


def peak_signal_to_noise_ratio(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Peak signal-to-noise ratio against both sources together (PSNR), dB, at most 100.

    .. math:: PSNR = 10 \log_{10} \frac{\max(F)^2}{(MSE(F, A) + MSE(F, B)) / 2}

    The field's evaluator takes the largest fused value as the peak, not 255; kept for comparability. An exact copy of
    two equal sources would be infinite and gives 100; a black fused image of non-black sources gives 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.
    """
    return unfold(_peak_signal_to_noise_ratio(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _sum_of_correlations_of_differences(images: GrayTriplet) -> torch.Tensor:
    f, a, b = images
    return _correlation(a, f - b) + _correlation(b, f - a)


def sum_of_correlations_of_differences(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Sum of the correlations of differences (SCD), in [-2, 2].

    .. math:: SCD = r(F - B, A) + r(F - A, B)

    For a copy of one source the field's evaluator divides 0 by 0; here that correlation is 0: nothing was transferred.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Aslantas and Bendes, "A new image quality metric for image fusion: the sum of the correlations of
    differences", AEU 2015, doi:10.1016/j.aeue.2015.09.004.
    """
    return unfold(_sum_of_correlations_of_differences(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _background(images: GrayTriplet) -> torch.Tensor:
    f, a, b = images
    black = (a == 0) & (b == 0)
    greyed = (black & (f > 0)).sum(dim=(-2, -1)).to(torch.float64)
    return greyed / black.sum(dim=(-2, -1)).clamp_min(1)


def background(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Fraction of the pixels that are black in both sources and not black in the fused image, in [0, 1].

    Where no pixel is black in both sources it is 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Example:
        >>> black, gray = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)
        >>> background(gray, black, black).item()
        1.0
    """
    return unfold(_background(gray_triplet(fused, source_a, source_b, data_range)), fused)


class CorrelationCoefficientMetric(FusionMetric):
    """Accumulating version of :func:`correlation_coefficient`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(correlation_coefficient, reduction, data_range)


class PSNRMetric(FusionMetric):
    """Accumulating version of :func:`peak_signal_to_noise_ratio`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(peak_signal_to_noise_ratio, reduction, data_range)


class SCDMetric(FusionMetric):
    """Accumulating version of :func:`sum_of_correlations_of_differences`; see :class:`FusionMetric`."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(sum_of_correlations_of_differences, reduction, data_range)


class BackgroundMetric(FusionMetric):
    """Accumulating version of :func:`background`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(background, reduction, data_range)
