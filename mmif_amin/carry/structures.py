"""Structures drawn on one of the sources, and carrying them to the fusion grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DrawnFile", "Structure", "carry_to_grid", "share_outside"]

INSIDE = 0.5  # share of a voxel from which it belongs to a structure


@dataclass(frozen=True)
class Structure:
    """One structure as it was drawn.

    Args:
        name: as the file has it; it may name the patient.
        share: (X, Y, Z) float32, which share of each voxel lies inside, 0 to 1.
        affine: (4, 4) voxel to the world of the source it was drawn on, mm, RAS+.
        color: for display, red, green, blue from 0 to 255. Defaults to None: none is given.
        description: its item of a SegmentSequence, whose codes say what it is. Defaults to None: there is none.
    """

    name: str
    share: np.ndarray
    affine: np.ndarray
    color: tuple[int, int, int] | None = None
    description: Any = None


@dataclass(frozen=True)
class DrawnFile:
    """What a file of structures holds.

    Args:
        path: the file.
        header: its DICOM dataset.
        frame: FrameOfReferenceUID of the structures, empty where the file has none.
        series: SeriesInstanceUIDs of the images that it names.
        structures: in the order of the file; at least one.
        notes: what was passed over, without anything that names the patient.
    """

    path: Path
    header: Any
    frame: str
    series: frozenset[str]
    structures: tuple[Structure, ...]
    notes: tuple[str, ...] = ()


def carry_to_grid(
    structure: Structure, affine: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray
) -> np.ndarray:
    """Resample a structure onto the fusion grid: shares are interpolated linearly, half a voxel belongs to it.

    Args:
        structure: as it was drawn.
        affine: (4, 4) voxel of the grid to the world of source A, mm, RAS+.
        shape: of the grid.
        matrix: (4, 4), a point of source A to the same point of the source it was drawn on, mm, RAS+.

    Returns:
        (X, Y, Z) bool.
    """
    from scipy import ndimage

    inside = np.zeros(shape, dtype=bool)
    corners = np.array([[*corner, 1] for corner in product(*((-1, side) for side in structure.share.shape))])
    reached = (corners @ (np.linalg.inv(matrix @ affine) @ structure.affine).T)[:, :3]
    low = np.floor(reached.min(axis=0)).clip(0, shape).astype(int)
    high = (np.ceil(reached.max(axis=0)) + 1).clip(0, shape).astype(int)
    if (high <= low).any():
        return inside
    to_index = np.linalg.inv(structure.affine) @ matrix @ affine
    index = np.indices((*(high - low)[:2], 1)).reshape(3, -1) + low[:, None]
    for k in range(low[2], high[2]):
        index[2] = k
        places = (np.c_[index.T, np.ones(index.shape[1])] @ to_index.T)[:, :3].T
        shares = ndimage.map_coordinates(structure.share, places, order=1, mode="grid-constant", cval=0.0)
        inside[low[0] : high[0], low[1] : high[1], k] = shares.reshape((high - low)[:2]) >= INSIDE
    return inside


def share_outside(structure: Structure, affine: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray) -> float:
    """How much of a structure lies outside the fusion grid, in voxels of its own; arguments of ``carry_to_grid``."""
    index = np.argwhere(structure.share)
    there = np.c_[index, np.ones(len(index))] @ (np.linalg.inv(matrix @ affine) @ structure.affine).T
    outside = ((there[:, :3] < -0.5) | (there[:, :3] > np.array(shape) - 0.5)).any(axis=1)
    return float(structure.share[tuple(index[outside].T)].sum())
