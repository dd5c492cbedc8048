"""Peak signal-to-noise ratio of the fused image against both sources (PSNR)."""

from __future__ import annotations

import math

import torch

from .base import FusionMetric, MetricDeclaration, Triplet

__all__ = ["DECLARATION", "FusionPSNRMetric", "peak_signal_to_noise_ratio"]

LARGEST = 100.0  # dB, instead of infinity


def peak_signal_to_noise_ratio(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Largest value of the fused image against its mean squared difference from both sources together.

    .. math:: PSNR = 10 \log_{10} \frac{\max(F)^2}{(MSE(F, A) + MSE(F, B)) / 2}

    in dB, at most 100. Oddity of the field's evaluator, kept for comparability: the peak is the largest fused value,
    not 255 (MONAI's ``PSNRMetric`` has a fixed peak and one reference image). An exact copy of two equal sources would
    be infinite and has 100; a black fused image of sources that are not black has 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Ma, Ma, Li, "Infrared and visible image fusion methods and applications: a survey", Information Fusion
    2019, doi:10.1016/j.inffus.2018.02.004.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _peak_signal_to_noise_ratio(images: Triplet) -> torch.Tensor:
    fused, (a, b) = images.fused, images.sources
    mse = ((fused - a).square().mean(dim=(-2, -1)) + (fused - b).square().mean(dim=(-2, -1))) / 2
    peak = fused.amax(dim=(-2, -1)).square()
    decibel = 10 * torch.log10(peak.clamp_min(1e-12) / mse.clamp_min(1e-12))
    decibel = torch.where(peak > 0, decibel.clamp(max=LARGEST), torch.zeros_like(decibel))
    return torch.where(mse > 0, decibel, torch.full_like(decibel, LARGEST))


DECLARATION = MetricDeclaration(
    name="PSNR",
    order=120,
    function=peak_signal_to_noise_ratio,
    compute=_peak_signal_to_noise_ratio,
    low=-20 * math.log10(255),
    high=LARGEST,
    unit="dB",
)


class FusionPSNRMetric(FusionMetric):
    """Accumulates :func:`peak_signal_to_noise_ratio` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
