"""Reading and writing NIfTI volumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.files import NIFTI_SUFFIXES, is_nifti, write_atomically

__all__ = ["load_nifti", "write_nifti"]


def load_nifti(path: Path, canonical: bool = False) -> tuple[np.ndarray, Any]:
    """Load a NIfTI volume.

    Args:
        path: .nii or .nii.gz file.
        canonical: bring it to RAS+ order. Defaults to False: its own voxel order.

    Returns:
        The values, (X, Y, Z) float32, and nibabel's image with affine and header.

    Raises:
        InputError: When the file is damaged or not 3-D.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        image = nibabel.as_closest_canonical(image) if canonical else image
        values = np.asanyarray(image.dataobj).astype(np.float32)
    except Exception as error:  # nibabel, gzip and numpy raise many types for damaged files
        raise InputError(f"{path}: expected a readable NIfTI file, got: {error}. Copy it again.") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise InputError(f"{path}: expected a 3-D volume, got shape {values.shape}. Choose one time point first.")
    return values, image


def write_nifti(path: str | os.PathLike, values: np.ndarray, affine: np.ndarray) -> Path:
    """Write a (1, X, Y, Z) volume as float32 NIfTI, or a (3, X, Y, Z) one as RGB NIfTI.

    Args:
        path: name ending in .nii or .nii.gz.
        values: volume of real numbers; RGB as uint8.
        affine: voxel-to-world matrix, millimetres.

    Raises:
        InputError: When the suffix is not NIfTI's, or it cannot be written.
    """
    import nibabel

    if not is_nifti(path):
        raise InputError(f"{path}: expected an output ending in {' or '.join(NIFTI_SUFFIXES)} for a volume.")
    if values.shape[0] == 3:
        interleaved = np.ascontiguousarray(np.moveaxis(values, 0, -1))
        voxels = interleaved.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    else:
        voxels = values[0].astype(np.float32, copy=False)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"MMIF-AMIN, not for diagnostic use"
    return write_atomically(path, lambda temporary: nibabel.save(image, temporary))
