"""Picture files: which formats are opened, what one may claim, and colors of 16 bit, which Pillow does not have."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.checks import InputError
from ..utils.limits import MOST_SCANS, check_pixels, memory_error

__all__ = ["is_deep_color", "opened_picture", "read_deep_color", "write_deep_color"]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")  # whatever a file is named, nothing else is opened
START_OF_SCAN = b"\xff\xda"


@contextmanager
def opened_picture(path: Path) -> Iterator[Any]:
    """Open a picture, and check what it claims before its pixels are read.

    Args:
        path: PNG, JPEG, TIFF or BMP file. Of the JPEG of a telephone, which holds further images, the first is read.

    Yields:
        Pillow's image.

    Raises:
        InputError: When the file is damaged, of another format, too large or of several frames, also where Pillow finds
            out only inside the ``with`` block.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is smaller
            opened = Image.open(path, formats=FORMATS)  # else Pillow would start Ghostscript for PostScript
        with opened as file:
            check_pixels(path, *file.size)
            _check_one_frame(path, file)
            _check_scans(path, file)
            yield file
    except InputError:
        raise
    except MemoryError as error:
        raise memory_error(path) from error
    except Exception as error:  # Pillow raises many types for damaged files
        raise InputError(f"{path}: expected a readable {path.suffix} image, got: {error}. Copy it again.") from error


def _check_one_frame(path: Path, file: Any) -> None:
    """Refuse a file of several images; a TIFF that says it has 100,000 is not followed through all of them."""
    if file.format == "MPO":  # a telephone's JPEG: the photograph first, then its depth or its brightness
        return
    try:
        file.seek(1)
    except EOFError:
        file.seek(0)
        return
    raise InputError(f"{path}: expected one image, there are several in it. Split the file first.")


def _check_scans(path: Path, file: Any) -> None:
    """Refuse a JPEG that goes over its pixels again and again, which takes minutes for some kilobytes."""
    if file.format in ("JPEG", "MPO") and path.read_bytes().count(START_OF_SCAN) > MOST_SCANS:
        raise InputError(f"{path}: expected a JPEG of at most {MOST_SCANS} passes, it has more. Save it anew.")


def is_deep_color(file: Any) -> bool:
    """Whether an opened picture, not yet loaded, has several channels of 16 bit, which Pillow would cut to 8."""
    return bool(file.tile) and file.mode not in ("I", "I;16", "I;16B", "I;16L", "F") and ";16" in str(file.tile[0])


def read_deep_color(path: str | os.PathLike) -> NDArray[np.uint16]:
    """Read a PNG or TIFF with several channels of 16 bit, by ITK, as it is stored.

    Returns:
        (H, W, C) uint16: C is 2 with alpha and 3 in color, 4 for both.

    Raises:
        InputError: When ITK cannot read all 16 bit, as of a TIFF with an orientation.
        RuntimeError: When ITK cannot read it.
    """
    import itk

    reader = itk.ImageFileReader[itk.VectorImage[itk.US, 2]].New(FileName=str(path))
    reader.UpdateOutputInformation()
    kind = reader.GetImageIO()
    if kind.GetComponentTypeAsString(kind.GetComponentType()) != "unsigned_short":
        raise InputError(
            f"{path}: expected colors of 16 bit that are stored upright and in one piece, this file's are not. Save it "
            "upright, as PNG."
        )
    reader.Update()
    values = itk.array_from_image(reader.GetOutput())
    return values if values.ndim == 3 else values[..., None]


def write_deep_color(path: str | os.PathLike, pixels: NDArray[np.uint16]) -> None:
    """Write a PNG or TIFF with several channels of 16 bit, by ITK.

    Args:
        path: the file.
        pixels: (H, W, C) uint16, C as in :func:`read_deep_color`.
    """
    import itk

    image = itk.image_view_from_array(np.ascontiguousarray(pixels), is_vector=True)
    writer = itk.ImageFileWriter[itk.VectorImage[itk.US, 2]].New(FileName=str(path), Input=image, UseCompression=True)
    writer.Update()
