"""Pixels of a series: decoding, rescaling, padding, and placing the slices on their grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.limits import MOST_FRAMES, check_pixels, check_voxels
from .codestream import check_frames
from .frames import Plane
from .geometry import Grid
from .header import DICOM_MODALITIES, blaming, read_dataset

__all__ = ["TruncatedError", "decode", "read_values", "transfer_syntax"]

ELEMENT_HEADER = 8  # bytes before the pixels, at least
SAMPLE_BITS = (8, 16, 32)
PLUGIN_OF_12_BITS, PACKAGE_OF_12_BITS = "pylibjpeg", "pylibjpeg-libjpeg"  # GPL-3, so it is not installed by itself
COMPRESSED_DAMAGE = (
    "expected pixels that the decoders read, they failed: the file is damaged, or holds a kind of {} that they do not "
    "know. Copy it again, or export the series uncompressed."
)


class TruncatedError(InputError):
    """A file that ends before its pixels do."""


def transfer_syntax(path: Path, header: Any) -> Any:
    """How the pixels of a file are encoded, as pydicom's UID.

    Raises:
        InputError: When no installed decoder reads it, the header claims more pixels or frames than we take
            (``utils/limits.py``).
        TruncatedError: When the file is shorter than its pixels.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit

    implicit, _ = header.original_encoding
    guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian  # of a file without a preamble
    syntax = header.file_meta.get("TransferSyntaxUID", guess)
    bits = int(header.get("BitsAllocated") or 0)
    if bits not in SAMPLE_BITS:
        raise InputError(
            f"{path}: expected pixels of 8, 16 or 32 bits, got {bits} (BitsAllocated). Choose another series."
        )
    _check_claims(path, header)
    if not syntax.is_compressed and not syntax.is_deflated:
        _check_length(path, header, bits)
    try:
        decoder = get_decoder(syntax)
        available, plugins = decoder.is_available, decoder.available_plugins
    except NotImplementedError:
        available, plugins = False, ()
    if syntax == JPEGExtended12Bit and int(header.get("BitsStored") or 0) > 8 and available:
        available = PLUGIN_OF_12_BITS in plugins
        hint = f"Install one under the GPL: pip install {PACKAGE_OF_12_BITS}, or export the series uncompressed."
        kind = f"12-bit {syntax.name} ({syntax})"
    else:
        hint = "Export the series uncompressed."
        kind = f"transfer syntax {syntax.name} ({syntax})"
    if not available:
        raise InputError(f"{path}: expected pixels that can be decoded, got {kind} without a decoder. {hint}")
    return syntax


def _check_claims(path: Path, header: Any) -> None:
    """Refuse a header that claims more than we take, before anything is made for each of its frames."""
    frames = int(header.get("NumberOfFrames") or 1)
    if not 1 <= frames <= MOST_FRAMES:
        raise InputError(f"{path}: expected 1 to {MOST_FRAMES} frames, its header says {frames}. Split the file.")
    check_pixels(path, int(header.Columns), int(header.Rows))
    check_voxels(path, (int(header.Columns), int(header.Rows), frames))


def _check_length(path: Path, header: Any, bits: int) -> None:
    """Refuse a file that ends before its pixels do; see :class:`TruncatedError`."""
    count = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1)
    needed = count * int(header.get("SamplesPerPixel") or 1) * bits // 8
    there = max(0, header.pixel_bytes - ELEMENT_HEADER)
    if there < needed:
        raise TruncatedError(
            f"{path}: expected {needed} bytes of pixels, got {there}: the file is truncated. Copy it again or take "
            "it away."
        )


def decode(planes: Sequence[Plane]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, file by file, the index of a plane, its rescaled values (rows, columns) and where they are padding.

    Raises:
        InputError: When the pixels are damaged or a value is not finite.
    """
    from pydicom.pixels import apply_modality_lut

    files: dict[Path, dict[int, list[int]]] = {}
    for k, plane in enumerate(planes):
        files.setdefault(plane.path, {}).setdefault(plane.frame, []).append(k)
    for path, frames in files.items():
        syntax = planes[next(iter(frames.values()))[0]].syntax
        with blaming(path, COMPRESSED_DAMAGE.format(syntax.name) if syntax.is_encapsulated else ""):
            for members, stored in zip(frames.values(), _stored(path, list(frames), syntax), strict=True):
                for k in members:
                    tile = _tile(stored, planes[k])
                    values = apply_modality_lut(tile, planes[k].header).astype(np.float32)
                    bad = values.size - int(np.isfinite(values).sum())
                    if bad:
                        raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite.")
                    yield k, values, _padding(tile, planes[k].header)


def _stored(path: Path, frames: list[int], syntax: Any) -> Iterator[np.ndarray]:
    """Stored values of some frames of a file; a deflated or compressed one is read as a whole."""
    from pydicom.pixels import iter_pixels

    source = read_dataset(path) if syntax.is_deflated or syntax.is_encapsulated else path
    if syntax.is_encapsulated:
        check_frames(path, source)
    return iter_pixels(source, indices=frames, transfer_syntax_uid=syntax)


def _tile(stored: np.ndarray, plane: Plane) -> np.ndarray:
    if plane.tile is None:
        return stored
    row, column = plane.tile
    return stored[row : row + plane.header.Rows, column : column + plane.header.Columns]


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

            offset = -(grid.start + grid.heights[k] * grid.shift)[::-1]
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
    return _evened(values, grid.heights).T


def _evened(values: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The slices at whole heights, by linear interpolation between the two around each."""
    if np.array_equal(heights, np.arange(len(heights))):
        return values
    wanted = np.arange(round(heights[-1]) + 1)
    below = (np.searchsorted(heights, wanted, side="right") - 1).clip(0, len(heights) - 2)
    share = ((wanted - heights[below]) / (heights[below + 1] - heights[below])).clip(0, 1)
    evened = np.empty((len(wanted), *values.shape[1:]), dtype=np.float32)
    for k, (lower, part) in enumerate(zip(below, share.astype(np.float32), strict=True)):
        evened[k] = (1 - part) * values[lower] + part * values[lower + 1]
    return evened


def _padding(stored: np.ndarray, header: Any) -> np.ndarray:
    """Where the stored values are PixelPaddingValue, or lie between it and PixelPaddingRangeLimit."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([first, header.get("PixelPaddingRangeLimit", first)]).astype(stored.dtype)  # wraps -2000 as US
    return (stored >= ends.min()) & (stored <= ends.max())
