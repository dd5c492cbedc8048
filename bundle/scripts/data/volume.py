"""A volume in its own units and its own geometry, and reading one from NIfTI."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import Modality
from .nifti import load_nifti

__all__ = ["Volume", "read_nifti_volume"]

MILLIMETRES = {"meter": 1000.0, "micron": 0.001}  # NIfTI's other units of length
SHEAR_TOLERANCE = 0.01  # cosine between two axes; below it is rounding of the header
HOUNSFIELD_AIR = -500.0  # a volume that reaches below holds Hounsfield units


@dataclass
class Volume:
    """One volume, as the scanner measured it.

    Args:
        values: (X, Y, Z) float32, finite, in ``unit``.
        affine: (4, 4) float64, voxel index to world, millimetres, RAS+ (NIfTI's convention).
        modality: what the file says it is, None where it does not say.
        unit: ``"HU"``, ``"SUVbw"``, ``"Bq/ml"``, ``"counts"`` or ``"arbitrary"``. Defaults to ``"arbitrary"``.
        notes: what reading it had to decide, without anything that names the patient. Defaults to none.
        headers: DICOM datasets without pixels, one for each slice of the last axis in its order, or a single one for
            a multi-frame file or a volume that had to be resampled; empty for NIfTI. Defaults to none.
    """

    values: np.ndarray
    affine: np.ndarray
    modality: Modality | None = None
    unit: str = "arbitrary"
    notes: tuple[str, ...] = ()
    headers: tuple[Any, ...] = ()

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size along each axis, millimetres, (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def read_nifti_volume(path: str | os.PathLike, modality: Modality | None = None) -> Volume:
    """Read a NIfTI volume in its own voxel order.

    Args:
        path: .nii or .nii.gz file.
        modality: what the user says that it is. Defaults to None.

    Returns:
        The volume; CT in Hounsfield units where values reach below -500 (not if it is said to be PET or SPECT, whose
        reconstruction can), else of unknown modality.

    Raises:
        InputError: When the file is missing, empty, damaged, not 3-D, not finite or without a usable geometry.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a NIfTI file, found {'a folder' if path.is_dir() else 'nothing'} there.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected a volume, the file is empty. Copy it again.")
    values, image = load_nifti(path)
    affine = np.array(image.affine, dtype=np.float64)
    length = image.header.get_xyzt_units()[0]
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite. Replace them.")
    affine[:3] *= MILLIMETRES.get(length, 1.0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: expected a voxel-to-world matrix that can be inverted, got {affine.tolist()}.")
    notes = []
    cosines = _axes(affine).T @ _axes(affine) - np.eye(3)
    if np.abs(cosines).max() > SHEAR_TOLERANCE:
        values, affine = _upright(values, affine)
        notes.append(f"sheared axes ({np.degrees(np.arcsin(np.abs(cosines).max())):.1f} degrees) resampled upright")
    is_ct = modality not in (Modality.PET, Modality.SPECT) and bool(values.min() < HOUNSFIELD_AIR)
    modality, unit = (Modality.CT, "HU") if is_ct else (None, "arbitrary")
    return Volume(values, affine, modality, unit, tuple(notes))


def _axes(affine: np.ndarray) -> np.ndarray:
    """Unit vectors of the voxel axes, as columns."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def _upright(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resample (linear, the smallest value outside) onto the nearest grid with perpendicular axes that holds all."""
    from scipy import ndimage

    u, _, v = np.linalg.svd(_axes(affine))
    upright = np.eye(4)
    upright[:3, :3] = (u @ v) * np.linalg.norm(affine[:3, :3], axis=0)
    corners = np.array(list(product(*((0, n - 1) for n in values.shape)))) @ affine[:3, :3].T + affine[:3, 3]
    index = corners @ np.linalg.inv(upright[:3, :3]).T
    upright[:3, 3] = upright[:3, :3] @ index.min(axis=0)
    shape = np.ceil(np.ptp(index, axis=0) - 1e-6).astype(int) + 1
    back = np.linalg.inv(affine) @ upright
    resampled = ndimage.affine_transform(
        values, back[:3, :3], back[:3, 3], tuple(shape), order=1, cval=float(values.min())
    )
    return resampled, upright
