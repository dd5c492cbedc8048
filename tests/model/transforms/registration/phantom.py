"""A made-up head in three contrasts, displaced by a known transform."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scripts.transforms.registration.result import Registration
from scripts.transforms.registration.search import SearchJob
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.volumes import prepare

FOUND = Registration("rigid", np.eye(4).tolist(), [0] * 3, [0] * 3, 1.1, 1.2, 1.0, 0.0, 0.5, 1.0, "text")
SHAPE = (48, 56, 44)
AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -110], [0, 0, 4, -80], [0, 0, 0, 1]])


def head(contrast: str, table: bool = False) -> np.ndarray:
    """Scalp, skull, brain, ventricles and a lesion, in the contrast of T1 (``mr``), T2 or a CT in HU."""
    x, y, z = (
        (axis - (n - 1) / 2) / (n / 2) for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True)
    )
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.85) ** 2 + (z / 0.8) ** 2)
    ventricle = ((x - 0.05) / 0.12) ** 2 + ((y + 0.1) / 0.3) ** 2 + (z / 0.15) ** 2 < 1
    lesion = (x + 0.35) ** 2 + (y - 0.3) ** 2 + (z - 0.2) ** 2 < 0.03
    levels = {"mr": (0, 60, 10, 160, 40, 230), "ct": (-1000, 40, 1100, 35, 8, 70), "t2": (0, 90, 5, 100, 240, 170)}[
        contrast
    ]
    parts = [radius < 1, radius < 0.9, radius < 0.78, ventricle, lesion]
    values = np.full(SHAPE, levels[0], dtype=np.float32)
    for part, level in zip(parts, levels[1:], strict=True):
        values[part] = level
    values = ndimage.gaussian_filter(values, 0.7)
    values += np.random.default_rng(len(contrast)).normal(0, 3, SHAPE) * (radius < 1)
    if table:
        values[:, 2:4, :] = 300
    return values.astype(np.float32)


def noise(seed: int) -> np.ndarray:
    """Nothing but noise."""
    return np.random.default_rng(seed).normal(100, 30, SHAPE).astype(np.float32)


def volume(values: np.ndarray, affine: np.ndarray = AFFINE) -> MetaTensor:
    """The values as RegisterToMatch takes them, (1, X, Y, Z)."""
    return MetaTensor(torch.from_numpy(values[None].copy()), affine=torch.from_numpy(affine.copy()))


def displaced(values: np.ndarray, degrees: tuple, millimeters: tuple) -> tuple[MetaTensor, np.ndarray]:
    """A displaced copy in the old geometry, and the true map from the old world to it."""
    back = np.eye(4)
    back[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    center = (AFFINE @ np.r_[(np.array(SHAPE) - 1) / 2, 1])[:3]
    back[:3, 3] = center - back[:3, :3] @ center + millimeters
    index = np.linalg.inv(AFFINE) @ back @ AFFINE
    moved = ndimage.affine_transform(values, index[:3, :3], index[:3, 3], order=1, cval=float(values.min()))
    return volume(moved), np.linalg.inv(back)


def error(matrix: np.ndarray | list, truth: np.ndarray) -> float:
    """Mean distance, mm, between two transforms over the head."""
    index = np.argwhere(head("mr") > 50)[::20]
    points = np.c_[index, np.ones(len(index))] @ AFFINE.T
    return float(np.linalg.norm(points @ (np.array(matrix) - truth).T, axis=1).mean())


def job(moving: MetaTensor, fixed: MetaTensor, **options) -> SearchJob:
    """A search as RegisterToMatch asks for it, with the default settings."""
    settings = options.setdefault("settings", SearchSettings())
    pairs = [
        (prepare(fixed, "fixed", voxel, settings), prepare(moving, "moving", voxel, settings))
        for voxel in (settings.coarse_voxel, settings.fine_voxel)
    ]
    return SearchJob(*pairs, **options)
