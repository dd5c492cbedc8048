"""A deformation: cubic B-splines on a grid of knots, then a linear transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .volumes import PreparedVolume

__all__ = ["Deformation"]

STEP = 2  # voxels of the prepared volume between the places where the Jacobian is computed


@dataclass(frozen=True)
class Deformation:
    """A map of fixed points to moving points: a displacement by cubic B-splines, then a linear transform.

    Args:
        coefficients: (3, I, J, K), displacements at the knots, RAS, millimeters.
        affine: (4, 4), index of a knot to the fixed world, RAS.
        matrix: (4, 4), the linear transform that follows, RAS.
        jacobian: smallest and largest local change of the volume over the fixed body. Defaults to (1, 1).
    """

    coefficients: np.ndarray
    affine: np.ndarray
    matrix: np.ndarray
    jacobian: tuple[float, float] = (1.0, 1.0)

    def displacement(self, points: np.ndarray) -> np.ndarray:
        """Displacements (N, 3), mm, of world points (N, 4), before the linear transform; 0 far outside the knots."""
        from scipy import ndimage

        index = (points @ np.linalg.inv(self.affine).T)[:, :3].T
        parts = [ndimage.map_coordinates(c, index, order=3, prefilter=False) for c in self.coefficients]
        return np.stack(parts, axis=1)

    def map(self, points: np.ndarray) -> np.ndarray:
        """Moving points (N, 4) of fixed points (N, 4), RAS."""
        moved = np.array(points, dtype=np.float64)
        moved[:, :3] += self.displacement(points)
        return moved @ self.matrix.T

    def figures(self, points: np.ndarray) -> dict[str, Any]:
        """What a report says: length of the displacements over points (N, 4), and the Jacobian."""
        length = np.linalg.norm(self.displacement(points), axis=1)
        low, high = self.jacobian
        return {
            "mean_mm": float(length.mean()),
            "largest_mm": float(length.max()),
            "least_jacobian": low,
            "largest_jacobian": high,
        }

    def jacobian_over(self, fixed: PreparedVolume) -> tuple[float, float]:
        """Smallest and largest determinant of the Jacobian over a volume's mask: at 0 or less, the map folds."""
        shape = [max(2, -(-side // STEP)) for side in fixed.values.shape]
        index = np.indices(shape) * STEP
        points = np.c_[index.reshape(3, -1).T, np.ones(np.prod(shape))] @ fixed.affine.T
        moved = self.map(points)[:, :3].T.reshape(3, *shape)
        steps = np.stack([np.stack(np.gradient(part), axis=-1) for part in moved], axis=-2) / STEP
        determinant = np.linalg.det(steps @ np.linalg.inv(fixed.affine[:3, :3]))
        inside = fixed.mask[::STEP, ::STEP, ::STEP]
        determinant = determinant[tuple(map(slice, inside.shape))]
        return float(determinant[inside].min()), float(determinant[inside].max())
