"""Whether a registration can be believed: what is measured of it, and the limits that it must keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...utils.checks import InputError
from ...utils.enums import BodyRegion, RegistrationKind
from .search import shift

if TYPE_CHECKING:
    from .transform import Registration

__all__ = ["REGION_LIMITS", "Limits", "broken_limits", "gain", "refuse", "rotation_and_stretch", "spread", "turn_of"]


@dataclass(frozen=True)
class Limits:
    """What a registration must keep to be believed.

    Args:
        rotation: degrees. Defaults to 45.
        scale: largest stretch of an affine along an axis, and its inverse the smallest. Defaults to 1.25.
        overlap: smallest part of the smaller foreground that lies in the other one. Defaults to 0.5.
        spread: largest mean distance, mm, between the results of independent starts that should agree. Defaults to 2.
        gain: smallest part of the metric's excess over 1 that a shift of 10 mm must cost, whatever its direction.
            Defaults to 0.02.
        volume: largest change of the volume by an affine, and its inverse the smallest. Defaults to 1.5.
        jacobian: smallest local change of the volume by a deformation, and its inverse the largest; at 0 it folds.
            Defaults to 0.2.
        kept: smallest part of the excess over 1 of the metric with the files' geometry that must be left; an aligned
            pair loses a little, because the metric favors grids that coincide. Defaults to 0.9.
    """

    rotation: float = 45.0
    scale: float = 1.25
    overlap: float = 0.5
    spread: float = 2.0
    gain: float = 0.02
    volume: float = 1.5
    jacobian: float = 0.2
    kept: float = 0.9


# What differs from the head's limits. A trunk lies on its back in each scanner, but it breathes, and its organs
# move. A thigh is nearly a cylinder: a shift along it costs little, and its muscles deform.
TRUNK = {"rotation": 30.0, "spread": 4.0, "gain": 0.01}
LIMB = {"spread": 4.0, "gain": 0.003}
REGION_LIMITS: Mapping[BodyRegion, Mapping[str, float]] = {
    BodyRegion.HEAD: {},
    BodyRegion.NECK: {"spread": 3.0, "gain": 0.01},
    BodyRegion.CHEST: TRUNK,
    BodyRegion.ABDOMEN: TRUNK,
    BodyRegion.PELVIS: TRUNK,
    BodyRegion.SPINE: {"spread": 4.0, "gain": 0.01},
    BodyRegion.EXTREMITY: LIMB,
    BodyRegion.WHOLE_BODY: TRUNK,
}


def rotation_and_stretch(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and principal stretches (3,) of a transform (4, 4) without mirror: its polar decomposition."""
    u, stretch, v = np.linalg.svd(matrix[:3, :3])
    return u @ v, stretch


def spread(matrix: np.ndarray, restarts: Sequence[np.ndarray | None], points: np.ndarray) -> float:
    """Mean distance, mm, between a result and the farthest one of the restarts; infinite where one failed.

    Args:
        matrix: (4, 4), the result.
        restarts: the others.
        points: (N, 4), world coordinates in the fixed body, over which the mean goes.
    """
    apart = [np.inf if m is None else np.linalg.norm(points @ (matrix - m).T, axis=1).mean() for m in restarts]
    return float(max(apart))


def gain(similarity: Callable[[np.ndarray], float], matrix: np.ndarray, distractor: float) -> float:
    """Part of the metric's excess over 1 that is lost at the best of six shifts.

    Args:
        similarity: normalized mutual information of a matrix.
        matrix: (4, 4), the result.
        distractor: length of the shifts, along both directions of each axis, mm.
    """
    found = similarity(matrix)
    offsets = [np.eye(3)[axis] * sign * distractor for axis, sign in itertools.product(range(3), (-1, 1))]
    distracted = max(similarity(matrix @ shift(offset)) for offset in offsets)
    return (found - distracted) / max(found - 1.0, 1e-9)


def broken_limits(found: Registration, limits: Limits, distractor: float) -> list[str]:
    """Compare a registration with the limits.

    Args:
        found: the registration.
        limits: what it must keep.
        distractor: length, mm, of the shifts of ``found.gain``, for the message.

    Returns:
        For each limit that it breaks one phrase with the figure.
    """
    rotation, stretch = rotation_and_stretch(np.array(found.matrix))
    angle, volume = turn_of(rotation), float(stretch.prod())
    wrong = []
    if angle > limits.rotation:
        wrong.append(f"it turns by {angle:.0f} degrees (limit {limits.rotation:g})")
    if stretch.max() > limits.scale or stretch.min() < 1 / limits.scale:
        wrong.append(f"it stretches by {stretch.min():.2f} to {stretch.max():.2f} (limit {limits.scale:g})")
    if found.kind == RegistrationKind.AFFINE and not 1 / limits.volume <= volume <= limits.volume:
        wrong.append(f"it changes the volume by {volume:.2f} (limit {limits.volume:g})")
    if found.overlap < limits.overlap:
        wrong.append(f"only {found.overlap:.0%} of the smaller body overlap (limit {limits.overlap:.0%})")
    if found.spread_mm is not None and found.spread_mm > limits.spread:
        wrong.append(f"other starts end {found.spread_mm:.1f} mm away (limit {limits.spread:g} mm)")
    if found.after - 1 < limits.kept * (found.before - 1):
        wrong.append(f"the metric fell from {found.before:.4f} to {found.after:.4f}")
    if found.gain < limits.gain:
        wrong.append(f"a {distractor:g} mm shift costs {found.gain:.1%} of the metric (limit {limits.gain:.1%})")
    wrong += _broken_by_deformation(found, limits)
    return wrong


def _broken_by_deformation(found: Registration, limits: Limits) -> list[str]:
    if found.deformation is None:
        return []
    low, high = found.deformation.jacobian
    if low <= 0:
        return [f"it folds: the Jacobian falls to {low:.2f}"]
    if low < limits.jacobian or high > 1 / limits.jacobian:
        return [f"it changes the volume locally by {low:.2f} to {high:.2f} (limit {limits.jacobian:g})"]
    return []


def refuse(found: Registration, wrong: Sequence[str]) -> InputError:
    """The error for a registration that breaks limits, with the figures and what can be done."""
    return InputError(
        f"Registration: expected a plausible alignment, but {'; '.join(wrong)}; normalized mutual information "
        f"{found.before:.4f} before, {found.after:.4f} after. Are both of one patient and region? If so, try another "
        "--start, register them with another tool and give its result with --transform FILE, or, if you have judged "
        "the figures, let it through with --accept-registration, which marks every output."
    )


def turn_of(rotation: np.ndarray) -> float:
    """The angle, degrees, by which a rotation matrix (3, 3) turns about its axis."""
    from scipy.spatial.transform import Rotation

    return float(np.degrees(Rotation.from_matrix(rotation).magnitude()))
