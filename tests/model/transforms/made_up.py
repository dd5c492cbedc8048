"""Made-up volumes for the tests of the transforms."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scipy.spatial.transform import Rotation

COARSE = np.array([[-1.0, 0, 0, 30], [0, 2, 0, -20], [0, 0, 5, 0], [0, 0, 0, 1]])


def smooth(shape=(30, 26, 22), low=0.0) -> np.ndarray:
    """Smooth noise from ``low`` up."""
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 3)
    return (low + 1000 * (values - values.min())).astype(np.float32)


def volume(values: np.ndarray, affine: np.ndarray, **meta) -> MetaTensor:
    """(1, X, Y, Z)."""
    return MetaTensor(torch.from_numpy(values[None].copy()), affine=torch.from_numpy(affine.copy()), meta=meta)


def oblique() -> np.ndarray:
    """An affine with turned axes."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [12, -20, 30], degrees=True).as_matrix() * [0.9, 1.1, 1.4]
    affine[:3, 3] = [3, -4, 5]
    return affine
