"""Pixels of a series: decoding, rescaling, padding, and placing the slices on their grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import Modality
from .frames import Plane
from .geometry import Grid
from .header import DICOM_MODALITIES, blaming

__all__ = ["decode", "read_values", "transfer_syntax"]


def transfer_syntax(path: Path, header: Any) -> Any:
    """How the pixels of a file are encoded, as pydicom's UID.

    Raises:
        InputError: When no installed decoder reads it.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, _ = header.original_encoding
    guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian  # of a file without a preamble
    syntax = header.file_meta.get("TransferSyntaxUID", guess)
    try:
        if get_decoder(syntax).is_available and not syntax.is_deflated:  # pydicom reads no frames of deflated files
            return syntax
    except NotImplementedError:
        pass
    raise InputError(
        f"{path}: expected pixels that can be decoded, got transfer syntax {syntax.name} ({syntax}) without a decoder. "
        "Install one: pip install mmif-amin[decoders], or export the series uncompressed."
    )


def decode(planes: Sequence[Plane]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, file by file, the index of a plane, its rescaled values (rows, columns) and where they are padding.

    Raises:
        InputError: When the pixels are damaged or a value is not finite.
    """
    from pydicom.pixels import apply_modality_lut, iter_pixels

    files: dict[Path, list[int]] = {}
    for k, plane in enumerate(planes):
        files.setdefault(plane.path, []).append(k)
    for path, members in files.items():
        frames = [planes[k].frame for k in members]
        with blaming(path):
            images = iter_pixels(path, indices=frames, transfer_syntax_uid=planes[members[0]].syntax)
            for k, stored in zip(members, images, strict=True):
                values = apply_modality_lut(stored, planes[k].header).astype(np.float32)
                bad = values.size - int(np.isfinite(values).sum())
                if bad:
                    raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite.")
                yield k, values, _padding(stored, planes[k].header)


def read_values(planes: Sequence[Plane], grid: Grid, code: str, who: str, notes: list[str]) -> np.ndarray:
    """Rescaled values of the slices on their grid.

    Args:
        planes: the slices, in the order of the last axis.
        grid: where they lie.
        code: DICOM's code of the modality; it decides what becomes of MONOCHROME1.
        who: folder and series, for messages.
        notes: what had to be decided is added to it.

    Returns:
        (X, Y, Z) float32; padding, and voxels of an upright grid that no tilted slice reaches, get the minimum.

    Raises:
        InputError: When the pixels are damaged, a value is not finite, or all of them are padding.
    """
    columns, rows = grid.size
    values = np.empty((len(planes), rows, columns), dtype=np.float32)
    lowest, highest = np.inf, -np.inf
    for k, image, padded in decode(planes):
        if not padded.all():
            lowest = min(lowest, float(image[~padded].min()))
            highest = max(highest, float(image[~padded].max()))
        image[padded] = np.nan
        if grid.shift.any():
            from scipy import ndimage

            offset = -(grid.start + k * grid.shift)[::-1]
            image = ndimage.affine_transform(image, np.eye(2), offset, (rows, columns), order=1, cval=np.nan)
        values[k] = image
    if lowest > highest:
        raise InputError(f"{who}: expected an image, every pixel has the PixelPaddingValue.")
    if planes[0].header.PhotometricInterpretation == "MONOCHROME1":
        if code == DICOM_MODALITIES[Modality.MRI]:
            np.subtract(lowest + highest, values, out=values)
            notes.append("MONOCHROME1: inverted, so that bright is as shown")
        else:
            notes.append("MONOCHROME1: values kept, it only asks for an inverted display")
    for image in values:
        np.nan_to_num(image, copy=False, nan=lowest)
    return values.T


def _padding(stored: np.ndarray, header: Any) -> np.ndarray:
    """Where the stored values are PixelPaddingValue, or lie between it and PixelPaddingRangeLimit."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([first, header.get("PixelPaddingRangeLimit", first)]).astype(stored.dtype)  # wraps -2000 as US
    return (stored >= ends.min()) & (stored <= ends.max())
