"""What was lost: where, and how much of, each source's information the fused image does not hold."""

from __future__ import annotations

import numpy as np
import torch

from ..utils.filters import filter_same, gaussian_kernel

__all__ = ["loss_maps"]

WINDOW = gaussian_kernel(15, 2.5)
NOISE = 0.01**2  # variance below which structure does not count, squared fraction of white
RIDGE = NOISE / 10


def loss_maps(fused: np.ndarray, source_a: np.ndarray, source_b: np.ndarray) -> tuple[np.ndarray, list[float]]:
    r"""Map what the fused image does not hold of each source.

    In a Gaussian window (sigma 2.5 pixels) around each pixel, each source S is rebuilt by least squares from the fused
    image F and the other source O. With v the variance of S, :math:`v_{S|O}` what O leaves of it, :math:`v_{S|O,F}`
    what both leave, and c the variance of noise, the map is

    .. math::
        \frac{\log(1 + v_{S|O,F} / c)}{\log(1 + v / c)}\; \frac{v}{v + c},\qquad
        v_{S|O,F} = v_{S|O} - \frac{\max(\mathrm{cov}(S, F | O), 0)^2}{\mathrm{var}(F | O)}

    0: all that is there shows in the fused image, or there is nothing; 1: structure of which nothing shows. The other
    source is given because a fused image alone cannot say which of the two a structure came from; structure that comes
    out inverted counts as lost. The summary is the part of the source's information, nats over all pixels, that is
    lost.

    Args:
        fused: a stack of fused images, (B, H, W) in [0, 1].
        source_a: the structural images, same shape and range.
        source_b: the other images, same shape and range.

    Returns:
        The maps of source A and B, (2, B, H, W) float32 in [0, 1], and the lost part of each source's information.

    Raises:
        ValueError: When the shapes differ.

    Reference: Frisch and Waugh, Econometrica 1933 (partial regression); Sheikh and Bovik, "Image information and visual
    quality", IEEE TIP 2006, doi 10.1109/TIP.2005.859378 (the measure of information). The map is ours.
    """
    if not fused.shape == source_a.shape == source_b.shape:
        raise ValueError(
            f"Fused image and sources must have the same size, got {fused.shape}, {source_a.shape} and "
            f"{source_b.shape}."
        )
    maps = np.empty((2, *fused.shape), dtype=np.float32)
    lost, total = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for number, planes in enumerate(zip(fused, source_a, source_b, strict=True)):
        f, a, b = (torch.from_numpy(np.asarray(plane, dtype=np.float64))[None, None] for plane in planes)
        for which, (source, other) in enumerate(((a, b), (b, a))):
            left, v = _unexplained(source, other, f)
            missing, held = torch.log1p(left / NOISE), torch.log1p(v / NOISE)
            maps[which, number] = (missing / held.clamp_min(1e-9) * v / (v + NOISE))[0, 0].clamp(0.0, 1.0).numpy()
            lost[which] += missing.sum()
            total[which] += held.sum()
    return maps, (lost / total.clamp_min(1e-9)).tolist()


def _unexplained(source: torch.Tensor, other: torch.Tensor, fused: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Variance of the source that other source and fused image leave unexplained in each window, and all of it."""

    def mean(x: torch.Tensor) -> torch.Tensor:
        return filter_same(x, WINDOW)

    s, o, f = (x - x.mean() for x in (source, other, fused))
    mean_s, mean_o, mean_f = mean(s), mean(o), mean(f)
    v = (mean(s * s) - mean_s * mean_s).clamp_min(0.0)
    of_other = mean(o * o) - mean_o * mean_o + RIDGE
    with_other, fused_other = mean(s * o) - mean_s * mean_o, mean(f * o) - mean_f * mean_o
    left = (v - with_other.square() / of_other).clamp_min(0.0)
    of_fused = (mean(f * f) - mean_f * mean_f - fused_other.square() / of_other).clamp_min(0.0) + RIDGE
    with_fused = (mean(s * f) - mean_s * mean_f - with_other * fused_other / of_other).clamp_min(0.0)
    return (left - with_fused.square() / of_fused).clamp_min(0.0), v
