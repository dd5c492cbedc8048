"""How two volumes lie to each other as they stand: the metric, and whether it has its peak elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .result import FROM_FILE
from .search import shift, turned_about
from .settings import SearchSettings
from .similarity import METRIC, foreground_samples, similarity_between
from .volumes import PreparedVolume

__all__ = ["Alignment", "Peak", "measure_alignment", "nearby_peak", "scan", "turned_peak"]

SCAN_VOXEL = 4.0  # mm; the volumes of a scan are this coarse
SCAN_SAMPLES = 8_000
STEPS_MM, STEPS_DEG = (8.0, 16.0, 32.0), (6.0, 12.0)
ALONG_MM = 15.0  # step of the scan along the body
REACH_MM = 150.0  # of the scan, beyond where the ends of both bodies meet
PEAKS = 4  # that a scan refines
CALLS = 120  # of the metric in each refinement
TURNS = 400  # random rotations: nearly any other one is within 20 degrees of one of them
BETTER = 0.08  # relative excess over 1 by which a peak elsewhere must be higher to be told
AWAY = 5.0  # mm; a peak that is nearer is the same


@dataclass(frozen=True)
class Peak:
    """A place where the metric is high.

    Args:
        matrix: (4, 4), fixed to moving, RAS.
        value: of the metric.
    """

    matrix: np.ndarray
    value: float


@dataclass(frozen=True)
class Alignment:
    """Why the two volumes lie as they do, and what the metric says of it.

    Args:
        reason: ``"registered"``, ``"transform file"``, ``"same grid"``, ``"same frame of reference"`` or ``"--register
            none"``.
        value: of the metric as the volumes are fused; None where it could not be measured.
        peak: of the metric nearby, found by a coarse search; None where none was made. Defaults to None.
        peak_away_mm: mean distance over the body from here to that peak. Defaults to None.
        warning: what a person must know, one sentence. Defaults to None.
    """

    reason: str
    value: float | None
    peak: float | None = None
    peak_away_mm: float | None = None
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"metric": METRIC, **asdict(self)}


def measure_alignment(fixed: PreparedVolume, moving: PreparedVolume, reason: str, matrix: np.ndarray) -> Alignment:
    """Say how well two volumes agree as they stand, and warn where they would agree better elsewhere.

    Args:
        fixed: prepared with voxels of about ``SCAN_VOXEL``.
        moving: the same.
        reason: why they lie so.
        matrix: (4, 4), as they stand, fixed to moving, RAS.
    """
    settings = SearchSettings(samples=SCAN_SAMPLES)
    similarity = similarity_between(fixed, moving, settings, 0)
    value = similarity(matrix)
    peak = nearby_peak(similarity, matrix, fixed.center(of_mass=True))
    points = foreground_samples(fixed, settings, 0)
    away = float(np.linalg.norm(points @ (peak.matrix - matrix).T, axis=1).mean())
    warning = None
    if away > AWAY and peak.value - 1 > (1 + BETTER) * (value - 1):
        how = "aligned by the transform file" if reason == FROM_FILE else f"not registered ({reason})"
        warning = (
            f"{how}, but the two agree better {away:.0f} mm away: {METRIC} {value:.4f} as they "
            f"stand, {peak.value:.4f} there. Look at the overlay, or try --register rigid"
        )
    return Alignment(reason, value, peak.value, away, warning)


def nearby_peak(similarity: Callable[[np.ndarray], float], matrix: np.ndarray, center: np.ndarray) -> Peak:
    """The highest value of the metric near a transform, by probing shifts and turns and a short search.

    Args:
        similarity: of a matrix (4, 4).
        matrix: (4, 4), where to begin.
        center: (3,), of the fixed body; turns go about it.
    """
    probes = [matrix]
    for axis, sign in itertools.product(range(3), (-1, 1)):
        one = np.eye(3)[axis] * sign
        probes += [matrix @ shift(one * step) for step in STEPS_MM]
        probes += [matrix @ turned_about(center, one * step, np.zeros(3)) for step in STEPS_DEG]
    peaks = sorted((Peak(m, similarity(m)) for m in probes), key=lambda peak: -peak.value)
    begin = [Peak(matrix, similarity(matrix)), peaks[0]]
    return max((_refined(similarity, peak, center) for peak in begin), key=lambda peak: peak.value)


def scan(fixed: PreparedVolume, moving: PreparedVolume, starts: list[np.ndarray]) -> np.ndarray:
    """The best of many transforms near some starts: shifts along the body, then a short search.

    It finds what elastix alone does not: a slab in a whole head, a head with a long neck beside one without, or the
    part of a whole body that the other volume shows.

    Args:
        fixed: prepared with voxels of about ``SCAN_VOXEL``.
        moving: the same.
        starts: (4, 4) each, fixed to moving, RAS.

    Returns:
        (4, 4), fixed to moving, RAS.
    """
    similarity = similarity_between(fixed, moving, SearchSettings(samples=SCAN_SAMPLES), 0)
    tried = [matrix for start in starts for matrix in _along_the_body(fixed, moving, start)]
    peaks = _apart([Peak(m, similarity(m)) for m in tried])
    center = fixed.center(of_mass=True)
    refined = [_refined(similarity, peak, center) for peak in peaks]
    best = max(refined, key=lambda peak: peak.value)
    return nearby_peak(similarity, best.matrix, center).matrix


def _along_the_body(fixed: PreparedVolume, moving: PreparedVolume, start: np.ndarray) -> Iterator[np.ndarray]:
    """A start, shifted in steps along the body to wherever the shorter body may lie in the longer one, and beyond.

    For each step there are two matrices: with the shift alone, and with the centers of mass of what both show then
    brought onto each other across the body.
    """
    ours = fixed.points(fixed.foreground, SCAN_SAMPLES, 0)[0] @ start.T
    theirs = moving.points(moving.foreground, SCAN_SAMPLES, 0)[0]
    low, high = ours[:, 2].min(), ours[:, 2].max()
    bottom, top = theirs[:, 2].min(), theirs[:, 2].max()
    ends = bottom - low, top - high
    for step in np.arange(min(*ends, 0.0) - REACH_MM, max(*ends, 0.0) + REACH_MM + 1, ALONG_MM):
        yield shift(np.array([0.0, 0.0, step])) @ start
        a = ours[(ours[:, 2] + step >= bottom) & (ours[:, 2] + step <= top)]
        b = theirs[(theirs[:, 2] >= low + step) & (theirs[:, 2] <= high + step)]
        if min(len(a), len(b)):
            across = b[:, :2].mean(axis=0) - a[:, :2].mean(axis=0)
            yield shift(np.array([*across, step])) @ start


def _apart(peaks: list[Peak]) -> list[Peak]:
    """The highest peaks, none of them less than two steps from a higher one."""
    chosen: list[Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.value):
        where = [np.linalg.norm((peak.matrix - one.matrix)[:3, 3]) for one in chosen]
        if all(distance > 2 * ALONG_MM for distance in where):
            chosen.append(peak)
        if len(chosen) == PEAKS:
            break
    return chosen


def turned_peak(fixed: PreparedVolume, moving: PreparedVolume, matrix: np.ndarray) -> Peak | None:
    """A place where the two agree clearly better than under a transform, however far they are turned for it.

    A head that lies far turned has false peaks, at which all ways to search may end together.

    Args:
        fixed: prepared with voxels of about ``SCAN_VOXEL``.
        moving: the same.
        matrix: (4, 4), fixed to moving, RAS.

    Returns:
        The peak, more than ``AWAY`` from the transform and higher by more than ``BETTER``; None where there is none.
    """
    from scipy.spatial.transform import Rotation

    settings = SearchSettings(samples=SCAN_SAMPLES)
    similarity = similarity_between(fixed, moving, settings, 0)
    center = fixed.center(of_mass=True)
    onto_center = shift(moving.center(of_mass=True) - center)
    turns = Rotation.random(TURNS, rng=np.random.default_rng(0)).as_euler("xyz", degrees=True)
    tried = [begin @ turned_about(center, turn, np.zeros(3)) for begin in (onto_center, matrix) for turn in turns]
    peaks = sorted((Peak(m, similarity(m)) for m in tried), key=lambda peak: -peak.value)
    best = max((_refined(similarity, peak, center) for peak in peaks[:6]), key=lambda peak: peak.value)
    away = np.linalg.norm(foreground_samples(fixed, settings, 0) @ (best.matrix - matrix).T, axis=1).mean()
    here = similarity(matrix)
    return best if away > AWAY and best.value - 1 > (1 + BETTER) * (here - 1) else None


def _refined(similarity: Callable[[np.ndarray], float], peak: Peak, center: np.ndarray) -> Peak:
    """A short search by Nelder and Mead's simplex over three turns, in steps of 4 degrees, and three shifts, 6 mm."""
    from scipy.optimize import minimize

    scale = np.array([4.0] * 3 + [6.0] * 3)

    def matrix(x: np.ndarray) -> np.ndarray:
        degrees, millimeters = np.split(x * scale, 2)
        return peak.matrix @ turned_about(center, degrees, millimeters)

    simplex = np.vstack([np.zeros(6), np.eye(6)])
    options = {"maxfev": CALLS, "initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-6}
    found = minimize(lambda x: -similarity(matrix(x)), np.zeros(6), method="Nelder-Mead", options=options)
    return replace(peak, matrix=matrix(found.x), value=-float(found.fun)) if -found.fun > peak.value else peak
