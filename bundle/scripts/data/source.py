"""One source, ready for the network, and what is checked of its values."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.intensity import check_finite

__all__ = ["Source", "check_values", "warn_if_constant"]


@dataclass
class Source:
    """One source, ready for the network.

    Args:
        gray: (1, *spatial) float32 in [0, 1]; the luminance of a color image.
        rgb: (3, H, W) float32 in [0, 1] of a color image, else None.
        affine: voxel-to-world matrix of a NIfTI volume, millimeters, else None.
        alpha: (1, H, W) float32 in [0, 1], how opaque a photograph is. Defaults to None: opaque everywhere.
        bits: of a photograph's channel, 8 or 16. Defaults to 8.
    """

    gray: np.ndarray
    rgb: np.ndarray | None = None
    affine: np.ndarray | None = None
    alpha: np.ndarray | None = None
    bits: int = 8


def check_values(path: str | os.PathLike, values: np.ndarray) -> None:
    """Check the values of a file, and warn where all are the same.

    Raises:
        InputError: When a value is NaN or infinite.
    """
    check_finite(path, values)
    warn_if_constant(path, values.min(), values.max())


def warn_if_constant(path: str | os.PathLike, lowest: Any, highest: Any) -> None:
    """Warn that nothing of an image can show, where its lowest and its highest value are the same."""
    if lowest == highest:
        warnings.warn(f"{path}: the image is constant ({float(lowest):g}); nothing of it can show.", stacklevel=4)
