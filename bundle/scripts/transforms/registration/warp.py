"""A moving volume on a fixed grid, through a deformation."""

from __future__ import annotations

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from ..grid import smoothed_for
from .deformation import Deformation

__all__ = ["warp"]


def warp(moving: MetaTensor, grid: MetaTensor, deformation: Deformation) -> MetaTensor:
    """Resample a moving volume onto a grid through a deformation: linear, slice by slice.

    Args:
        moving: (1, X, Y, Z).
        grid: (1, X', Y', Z'), of which only the shape and the affine count.
        deformation: fixed points to moving points.

    Returns:
        (1, X', Y', Z'), float32; where the moving volume has nothing, its smallest value.
    """
    from scipy import ndimage

    affine = grid.affine.numpy().astype(np.float64)
    fill = float(moving.min())
    nearly = torch.tensor(deformation.matrix) @ grid.affine.to(torch.float64)
    source = smoothed_for(moving, nearly).numpy()[0]
    to_index = np.linalg.inv(moving.affine.numpy())
    shape = grid.shape[1:]
    values = np.empty(shape, dtype=np.float32)
    index = np.indices((*shape[:2], 1)).reshape(3, -1)
    for k in range(shape[2]):
        index[2] = k
        points = np.c_[index.T, np.ones(index.shape[1])] @ affine.T
        there = (deformation.map(points) @ to_index.T)[:, :3].T
        values[..., k] = ndimage.map_coordinates(source, there, order=1, cval=fill).reshape(shape[:2])
    meta = {**moving.meta, "affine": grid.affine.to(torch.float64)}
    return MetaTensor(torch.from_numpy(values[None]), meta=meta, applied_operations=[*moving.applied_operations])
