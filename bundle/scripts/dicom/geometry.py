"""Where the slices of a series lie: directions, spacing, evenness, and straightening a gantry tilt.

Own code instead of highdicom's ``get_volume_positions`` and ``VolumeGeometry``: they refuse a gantry tilt, positions
written with one decimal, and 94 % of oblique series whose cosines have three decimals; they accept a drift of the
spacing that misplaces a slice by 2.7 mm; and they do not say which slice is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..utils.checks import InputError
from ..utils.geometry import lps_from_ras
from .frames import Plane

__all__ = ["Grid", "directions", "grid_of"]

GRID_TOLERANCE = (0.01, 0.1)  # of the slice spacing; mm: one decimal puts both a slice and the first one 0.05 mm off
TILT_TOLERANCE = 0.01  # sideways part of the step between slices, 0.6 degrees; more is a gantry tilt


@dataclass
class Grid:
    """Where the slices lie.

    Args:
        affine: (4, 4) voxel to world, mm, RAS+.
        size: columns and rows.
        shift: pixels along a row and along a column by which the content of a slice lies beside that of the one
            before it, zero without a gantry tilt.
        start: the same for the first slice in the grid.
    """

    affine: np.ndarray
    size: tuple[int, int]
    shift: np.ndarray
    start: np.ndarray


def directions(planes: Sequence[Plane]) -> np.ndarray:
    """Unit vectors along a row and along a column, LPS+, (2, 3), exactly perpendicular: the mean of all planes."""
    row, column = np.mean([plane.orientation for plane in planes], axis=0).reshape(2, 3)
    row /= np.linalg.norm(row)
    column -= row * (row @ column)
    return np.stack([row, column / np.linalg.norm(column)])


def grid_of(planes: Sequence[Plane], who: str, notes: list[str]) -> Grid:
    """The grid of evenly spaced slices; an upright one around them where a gantry tilt shears them.

    Args:
        planes: parallel slices of one size, sorted along their normal.
        who: folder and series, for messages.
        notes: what had to be decided is added to it.

    Raises:
        InputError: When the slices are not evenly spaced, or there is only one and its thickness is unknown.
    """
    header = planes[0].header
    axes = directions(planes)
    pixel = np.array([float(s) for s in reversed(header.PixelSpacing)])
    positions = np.array([plane.position for plane in planes])
    step = _step(planes, positions, np.cross(*axes), who, notes)
    _check_even(positions, step, who)

    size = np.array([int(header.Columns), int(header.Rows)])
    shift, start, upright = _straighten(axes, step, pixel, len(planes), notes)
    if shift.any():
        size += np.ceil(np.abs(_reach(shift, len(planes)))).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([axes[0] * pixel[0], axes[1] * pixel[1], upright], axis=1)
    affine[:3, 3] = positions[0] - affine[:3, :2] @ start
    return Grid(lps_from_ras(affine), (int(size[0]), int(size[1])), shift, start)


def _step(planes: Sequence[Plane], positions: np.ndarray, normal: np.ndarray, who: str, notes: list[str]) -> np.ndarray:
    """Mean vector from slice to slice, LPS+, mm, (3,)."""
    if len(planes) > 1:
        return (positions[-1] - positions[0]) / (len(planes) - 1)
    thickness = planes[0].header.get("SpacingBetweenSlices") or planes[0].header.get("SliceThickness")
    if not thickness:
        raise InputError(f"{who}: expected several slices, or one with a SliceThickness, got one without.")
    notes.append(f"a single slice, {abs(float(thickness)):g} mm thick by its header")
    return normal * abs(float(thickness))


def _check_even(positions: np.ndarray, step: np.ndarray, who: str) -> None:
    """Refuse slices that lie off the regular grid, as around a missing one.

    What counts is how far a voxel would be misplaced, so offsets from the grid are judged, not single gaps.
    """
    off = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    allowed = max(GRID_TOLERANCE[0] * float(np.linalg.norm(step)), GRID_TOLERANCE[1])
    if off.max() <= allowed:
        return
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    deviation = np.linalg.norm(steps - usual, axis=1)
    worst = [k for k in np.argsort(-deviation)[:3] if deviation[k] > min(allowed, deviation.max() / 2)]
    gaps = "; ".join(
        f"{np.linalg.norm(steps[k]):.2f} mm from {np.round(positions[k], 2).tolist()} "
        f"to {np.round(positions[k + 1], 2).tolist()}"
        for k in sorted(worst)
    )
    raise InputError(
        f"{who}: expected evenly spaced slices, got {len(positions)} that are mostly {np.linalg.norm(usual):.2f} mm "
        f"apart, but {gaps} (ImagePositionPatient). Copy the missing slices, or export a complete series."
    )


def _straighten(
    axes: np.ndarray, step: np.ndarray, pixel: np.ndarray, count: int, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shift and start of the upright grid (see :class:`Grid`) and its step; below the tolerance the step is kept."""
    sideways = axes @ step
    if np.linalg.norm(sideways) <= TILT_TOLERANCE * np.linalg.norm(step):
        return np.zeros(2), np.zeros(2), step
    along = np.cross(*axes) @ step
    shift = sideways / pixel
    start = -np.floor(np.minimum(_reach(shift, count), 0))
    angle = np.degrees(np.arctan2(np.linalg.norm(sideways), along))
    notes.append(f"gantry tilt of {angle:.1f} degrees straightened by linear interpolation")
    return shift, start, np.cross(*axes) * along


def _reach(shift: np.ndarray, count: int) -> np.ndarray:
    """Pixels by which the last slice lies beside the first one; rounded, so that no column is added for an error."""
    return np.round(shift * (count - 1), 3)
