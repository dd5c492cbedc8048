"""How well two volumes agree under a transform: normalized mutual information, and the overlap of their foregrounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .settings import SearchSettings
from .volumes import PreparedVolume

__all__ = ["METRIC", "foreground_samples", "normalized_mutual_information", "overlap", "similarity_between"]

METRIC = "normalized mutual information"
ENOUGH = 0.5  # of the samples that a field of view could hold; where fewer lie in it, the metric counts less
FEWER = 10  # samples of a foreground: one tenth of those of the metric suffice for a mean


def normalized_mutual_information(a: np.ndarray, b: np.ndarray, bins: int = SearchSettings.bins) -> float:
    r"""Normalized mutual information :math:`(H(A) + H(B)) / H(A, B)` of paired samples.

    Args:
        a: samples of one image, (N,).
        b: samples of the other one at the same places, (N,).
        bins: of each histogram, over each image's range. Defaults to 48.

    Returns:
        From 1, where one says nothing of the other, to 2, where each determines the other; 1 where one is constant.

    Reference: Studholme, Hill and Hawkes, "An overlap invariant entropy measure of 3D medical image alignment",
    Pattern Recognition 1999, doi 10.1016/S0031-3203(98)00091-0.

    Example:
        >>> round(normalized_mutual_information(np.arange(100.0), np.arange(100.0) ** 2), 3) > 1.5
        True
    """
    joint, _, _ = np.histogram2d(a, b, bins=bins)
    joint /= joint.sum()

    def entropy(p: np.ndarray) -> float:
        p = p[p > 0]
        return float(-(p * np.log(p)).sum())

    both = entropy(joint)
    return (entropy(joint.sum(0)) + entropy(joint.sum(1))) / both if both > 0 else 1.0


def similarity_between(
    fixed: PreparedVolume, moving: PreparedVolume, settings: SearchSettings, seed: int
) -> Callable[[np.ndarray], float]:
    """Normalized mutual information of two volumes as a function of the transform, on the same samples each time.

    Only samples in the moving volume's field of view count, so that a partial one can be compared with a whole one.
    Where it holds less than half of what it could hold, the excess over 1 shrinks in proportion; else a sliver that
    agrees by chance would win.

    Args:
        fixed: its mask says where samples are drawn.
        moving: the other one.
        settings: their number, and the bins.
        seed: of the samples.

    Returns:
        A function of the matrix (4, 4), fixed to moving, RAS.
    """
    points, values = fixed.points(fixed.mask, settings.samples, seed)
    could = min(1.0, moving.size_of(moving.mask) / max(fixed.size_of(fixed.mask), 1e-9))

    def similarity(matrix: np.ndarray) -> float:
        there = points @ matrix.T
        inside = moving.holds(there)
        share = float(inside.mean()) / (ENOUGH * could)
        if inside.sum() < settings.bins:
            return 1.0
        found = normalized_mutual_information(values[inside], moving.at(there[inside]), settings.bins)
        return 1.0 + (found - 1.0) * min(1.0, share)

    return similarity


def foreground_samples(volume: PreparedVolume, settings: SearchSettings, seed: int) -> np.ndarray:
    """World coordinates (N, 4) of random voxels of the foreground."""
    points, _ = volume.points(volume.foreground, settings.samples // FEWER, seed)
    return points


def overlap(
    fixed: PreparedVolume, moving: PreparedVolume, matrix: np.ndarray, settings: SearchSettings, seed: int
) -> float:
    """Part of the smaller foreground that lies in the other one, in [0, 1].

    Args:
        fixed: the one volume.
        moving: the other one.
        matrix: (4, 4), fixed to moving, RAS.
        settings: the number of samples.
        seed: of the samples.
    """
    small, large = fixed, moving
    if moving.size_of(moving.foreground) < fixed.size_of(fixed.foreground):
        small, large, matrix = moving, fixed, np.linalg.inv(matrix)
    points = foreground_samples(small, settings, seed)
    return float(large.at(points @ matrix.T, foreground=True).mean())
