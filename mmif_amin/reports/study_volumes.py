"""Reading the volumes of a fused study, and packing them for its page."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import numpy as np

from ..scripts.data.nifti import read_stored
from ..scripts.utils.checks import InputError

__all__ = ["pack_labels", "pack_volume", "read_volume"]

UNIT_INTERVAL = ("fused", "loss_a", "loss_b")


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one volume of a fused study.

    Args:
        path: NIfTI file.

    Returns:
        Values as stored, scaled (``read_stored``), and the affine.

    Raises:
        InputError: When nothing is there, it cannot be read, or it claims too large a volume.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(
            f"{path}: expected a volume of a fused study, found {found} there, run mmif-amin fuse STUDY_A STUDY_B "
            "-o OUT first."
        )
    return read_stored(path)


def pack_volume(name: str, values: np.ndarray, affine: np.ndarray) -> str:
    """A volume as a script element of gzipped NIfTI; its header holds nothing but the geometry and the scaling.

    A source takes 8 bits where they hold its values to 1/4096 of its range, else 12; colors stay as they are.

    Args:
        name: of the element.
        values: (X, Y, Z), numbers or RGB.
        affine: (4, 4).
    """
    low, step = 0.0, 1.0
    if name in UNIT_INTERVAL:
        values, step = _quantize(values, 0.0, 1.0, 255)
    elif values.dtype.names is None:
        low, high = float(values.min()), float(values.max())
        integers, step = _quantize(values, low, high, 255)
        if np.abs(integers * step + low - values).max() > (high - low) / 8192:
            integers, step = _quantize(values, low, high, 4095)
        values = integers
    return _element(name, values, affine, step, low)


def pack_labels(name: str, values: np.ndarray, affine: np.ndarray, indices: dict[int, int]) -> str:
    """A label volume as such an element, 8 bits a voxel.

    Args:
        name: of the element.
        values: (X, Y, Z) whole numbers.
        affine: (4, 4).
        indices: label to the number from 1 to 255 that it has in the page.
    """
    packed = np.zeros(values.shape, np.uint8)
    for label, index in indices.items():
        packed[values == label] = index
    return _element(name, packed, affine, 1.0, 0.0)


def _quantize(values: np.ndarray, low: float, high: float, levels: int) -> tuple[np.ndarray, float]:
    """Integers from 0 to ``levels`` for the values from ``low`` to ``high``, and the step between them."""
    step = (high - low) / levels or 1.0
    return np.rint((np.clip(values, low, high) - low) / step).astype(np.uint8 if levels < 256 else np.int16), step


def _element(name: str, values: np.ndarray, affine: np.ndarray, slope: float, inter: float) -> str:
    import nibabel

    image = nibabel.Nifti1Image(values, affine)
    image.header.set_slope_inter(slope, inter)
    data = base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode()
    return f'<script type="application/gzip" id="{name}">{data}</script>'
