"""The model observer: a channelized Hotelling observer that looks for lesions at known places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...utils.enums import LesionShape
from ...utils.lab import srgb_to_lab
from .lesions import RING_RADIUS, Lesion, LesionKind, stretched_radius

__all__ = ["CHANNELS", "NOISE", "Outputs", "channels", "detectability", "internal_noise", "look"]

CHANNELS = 5  # Laguerre-Gauss functions on each plane
NOISE = 2.0  # internal noise of the observer: standard deviation in each pixel of a plane, units of CIELAB
FEWEST = 20  # lesions in each half, below which there is no figure
REACH = 5.5  # half of the observer's window, in sigmas of the Gaussian of the channels


@lru_cache(maxsize=64)
def channels(kind: LesionKind, angle: int = 0) -> np.ndarray:
    r"""Laguerre-Gauss channels that suit a kind of lesion.

    .. math:: u_p(r) = \frac{\sqrt 2}{a} \exp\Bigl(-\frac{\pi r^2}{a^2}\Bigr) L_p\Bigl(\frac{2 \pi r^2}{a^2}\Bigr),
        \qquad p = 0 \dots 4

    The Gaussian has the width of the lesion's, :math:`a = \sqrt{2 \pi} \sigma`, so the first channel is a Gaussian
    lesion itself; of a ring the sigma is three quarters of its radius. For a streak r is measured along its direction
    in four times longer units: the observer knows where to look, how large the lesion is, and which way it lies.

    Args:
        kind: of the lesion.
        angle: direction of a streak, steps of 45 degrees. Defaults to 0.

    Returns:
        (P, P, 5) float64, P odd.

    Reference: Gallas and Barrett, "Validation of the use of efficient channels in an ideal linear observer", JOSA A
    2003, doi 10.1364/JOSAA.20.001725.
    """
    from scipy.special import eval_laguerre

    sigma = kind.sigma * (0.75 * RING_RADIUS if kind.shape is LesionShape.RING else 1.0)
    reach = sigma * (0.5 * REACH * 4.0 if kind.shape is LesionShape.STREAK else REACH)
    a = np.sqrt(2 * np.pi) * sigma
    g = 2 * np.pi * (stretched_radius(kind.shape, int(np.ceil(reach)), angle) / a) ** 2
    return np.stack([np.sqrt(2) / a * np.exp(-g / 2) * eval_laguerre(p, g) for p in range(CHANNELS)], axis=-1)


@lru_cache(maxsize=1)
def _lightness() -> np.ndarray:
    """L of each gray level, (256,)."""
    return srgb_to_lab(np.arange(256)[:, None].repeat(3, axis=1) / 255)[:, 0]


def look(picture: np.ndarray, kind: LesionKind, lesions: Sequence[Lesion]) -> np.ndarray:
    """Outputs of the channels at the places of the lesions; beyond the border the picture is mirrored.

    Args:
        picture: (1, H, W) gray or (3, H, W) color, 8 bit. Of a gray one only L is looked at: a and b are 0.
        kind: of the lesions.
        lesions: the places.

    Returns:
        (number of lesions, 5) of a gray picture, (number of lesions, 15) of a color one: L, then a, then b.
    """
    half = channels(kind).shape[0] // 2
    padded = np.pad(picture, ((0, 0), (half, half), (half, half)), mode="symmetric")
    steps = np.arange(2 * half + 1)
    rows = np.array([lesion.row for lesion in lesions])[:, None, None] + steps[:, None]
    columns = np.array([lesion.column for lesion in lesions])[:, None, None] + steps
    windows = padded[:, rows, columns]  # (1 or 3, lesions, P, P)
    planes = _lightness()[windows] if len(picture) == 1 else srgb_to_lab(windows.T / 255).T
    masks = np.stack([channels(kind, lesion.angle) for lesion in lesions])
    return np.einsum("knij,nijc->nkc", planes, masks, optimize=True).reshape(len(lesions), -1)


@dataclass
class Outputs:
    """What the observer's channels saw of all lesions of one kind in one source.

    Args:
        absent: outputs at the places before the lesions were planted, (N, C).
        present: the same with the lesions.
        sign: 1 or -1, (N,).
        half: which half of the images each lesion is in, 0 or 1, (N,).
        group: number of the patient of each lesion, from 0, (N,).
        noise: covariance of the internal noise in the outputs, (C, C).
    """

    absent: np.ndarray
    present: np.ndarray
    sign: np.ndarray
    half: np.ndarray
    group: np.ndarray
    noise: np.ndarray


def internal_noise(kind: LesionKind, outputs: int) -> np.ndarray:
    """Covariance of white noise of :data:`NOISE` in each pixel of each plane.

    Args:
        kind: of the lesion.
        outputs: C, five for each plane.

    Returns:
        (C, C).
    """
    u = channels(kind).reshape(-1, CHANNELS)
    return np.kron(np.eye(outputs // CHANNELS), NOISE**2 * (u.T @ u))


def _moments(seen: Outputs, tested: np.ndarray, groups: int) -> tuple[np.ndarray, float] | None:
    """Sums of the decision variable by group, and its variance from internal noise; None: too few lesions.

    Returns:
        (groups, 5): number, then sum and sum of squares without and with lesion.
    """
    learned = ~tested
    if min(learned.sum(), tested.sum()) < FEWEST:
        return None
    sign = seen.sign[:, None]

    def turned(outputs: np.ndarray, which: np.ndarray) -> np.ndarray:
        return sign[which] * (outputs[which] - seen.absent[which].mean(axis=0))

    absent, present = turned(seen.absent, learned), turned(seen.present, learned)
    covariance = (np.cov(absent.T) + np.cov(present.T)) / 2 + seen.noise
    template = np.linalg.solve(covariance, (present - absent).mean(axis=0))
    t0, t1 = (turned(outputs, tested) @ template for outputs in (seen.absent, seen.present))
    sums = np.zeros((groups, 5))
    np.add.at(sums, seen.group[tested], np.stack([np.ones_like(t0), t0, t0**2, t1, t1**2], axis=1))
    return sums, float(template @ seen.noise @ template)


def detectability(seen: Outputs, weights: np.ndarray) -> np.ndarray:
    r"""D' of the observer, template from one half of the images and tested on the other half, both ways.

    .. math:: d' = \frac{\bar t_1 - \bar t_0}{\sqrt{(\mathrm{var}\, t_1 + \mathrm{var}\, t_0) / 2}},\qquad
        t = w^T v,\quad w = K^{-1} (\bar v_1 - \bar v_0)

    with v the channels' outputs, K the mean of their covariances with and without lesion plus that of the internal
    noise, and the mean of both halves. Dark lesions are turned around their background, so that one template serves
    both signs.

    Args:
        seen: outputs of the channels.
        weights: how often each patient counts, (D, G): one row of ones, and one row a bootstrap draw.

    Returns:
        (D,); NaN where a half has fewer than 20 lesions, or where a draw leaves a half empty.

    Reference: Barrett and Myers, "Foundations of image science", 2004, section 14.3.2.
    """
    found = []
    for half in (0, 1):
        moments = _moments(seen, seen.half == half, weights.shape[1])
        if moments is None:
            return np.full(len(weights), np.nan)
        sums, noise = weights @ moments[0], moments[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean0, square0, mean1, square1 = (sums[:, 1:] / sums[:, :1]).T
            spread = (square0 - mean0**2 + square1 - mean1**2) / 2 + noise
            found.append(np.where(spread == 0, 0.0, (mean1 - mean0) / np.sqrt(spread)))  # 0: nothing of it is shown
    return np.mean(found, axis=0)
