"""A volume in its own units and its own geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.enums import Modality

__all__ = ["ACCEPTED_BEYOND_LIMITS", "Volume"]

ACCEPTED_BEYOND_LIMITS = "registration accepted beyond the limits"  # how the note of such a source begins


@dataclass
class Volume:
    """One volume, as the scanner measured it.

    Args:
        values: (X, Y, Z) float32, finite, in ``unit``.
        affine: (4, 4) float64, voxel index to world, millimeters, RAS+ (NIfTI's convention).
        modality: what the file says it is, None where it does not say.
        unit: ``"HU"``, ``"SUVbw"``, ``"Bq/ml"``, ``"counts"`` or ``"arbitrary"``. Defaults to ``"arbitrary"``.
        notes: what reading it had to decide, without anything that names the patient. Defaults to none.
        headers: DICOM datasets without pixels, one for each slice of the last axis in its order, or a single one for
            a multi-frame file or a volume that had to be resampled; empty for NIfTI. Defaults to none.
        factor: by which the values of the file were multiplied to be in ``unit``. Defaults to 1.
    """

    values: np.ndarray
    affine: np.ndarray
    modality: Modality | None = None
    unit: str = "arbitrary"
    notes: tuple[str, ...] = ()
    headers: tuple[Any, ...] = ()
    factor: float = 1.0

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size along each axis, millimeters, (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)
