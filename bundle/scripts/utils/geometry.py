"""The two conventions of the world's axes: RAS+ and LPS+."""

from __future__ import annotations

import numpy as np

__all__ = ["lps_from_ras"]


def lps_from_ras(vectors: np.ndarray) -> np.ndarray:
    """Turn the first two axes of the world around: RAS+ (NIfTI) becomes LPS+ (DICOM, ITK), and LPS+ becomes RAS+.

    Args:
        vectors: (..., 3) points or directions; or a (4, 4) matrix from voxel indices to the world, whose world side is
            turned around.

    Returns:
        A new array of the same shape, float64.

    Raises:
        ValueError: When the shape is neither of the two.

    Example:
        >>> lps_from_ras(np.array([1.0, 2.0, 3.0])).tolist()
        [-1.0, -2.0, 3.0]
        >>> lps_from_ras(np.diag([2.0, 2.0, 3.0, 1.0])).diagonal().tolist()
        [-2.0, -2.0, 3.0, 1.0]
    """
    turned = np.array(vectors, dtype=np.float64)
    if turned.shape == (4, 4):
        turned[:2] *= -1
    elif turned.ndim and turned.shape[-1] == 3:
        turned[..., :2] *= -1
    else:
        raise ValueError(f"`vectors` must have shape (..., 3) or (4, 4), got {turned.shape}.")
    return turned
