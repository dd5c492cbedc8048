"""CIELAB coordinates of sRGB pictures: distances in them are about what the eye sees as distances."""

from __future__ import annotations

import numpy as np

__all__ = ["srgb_to_lab"]

# From linear sRGB to XYZ, and the white D65, as in IEC 61966-2-1 and in scikit-image.
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])
FROM_XYZ = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])  # of the cube roots
LINEAR_BELOW = 0.008856  # of XYZ over white; the curve is a line below it


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB to CIELAB under D65, observer of 2 degrees.

    Own code, since scikit-image is no requirement of the plain install; a test compares the two.

    Args:
        rgb: (..., 3) in [0, 1].

    Returns:
        (..., 3) float64: L in 0..100, a and b.

    Raises:
        ValueError: When the last axis is not 3.

    Reference: IEC 61966-2-1:1999 (sRGB); ISO/CIE 11664-4:2019 (CIELAB).

    Example:
        >>> srgb_to_lab(np.array([1.0, 0.0, 0.0])).round(1).tolist()
        [53.2, 80.1, 67.2]
    """
    if rgb.shape[-1:] != (3,):
        raise ValueError(f"`rgb` must have shape (..., 3), got {rgb.shape}.")
    values = rgb.astype(np.float64)
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    xyz = linear @ (TO_XYZ / WHITE[:, None]).T
    roots = np.where(xyz > LINEAR_BELOW, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    return roots @ FROM_XYZ.T - np.array([16.0, 0.0, 0.0])
