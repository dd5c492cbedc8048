"""Reading photographs upright, of 8 or 16 bit, with their alpha; medical pictures have rules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.color import is_gray, luminance
from ..utils.enums import Modality
from ..utils.intensity import normalize_intensity
from .picture_files import is_deep_color, opened_picture, read_deep_color
from .source import Source, check_values, warn_if_constant

__all__ = ["photograph_of", "read_photograph", "upright"]

ORIENTATION = 0x0112  # tag of EXIF and of TIFF


def read_photograph(path: Path, modality: Modality | str) -> Source:
    """Read a photograph.

    It is turned as its EXIF orientation says. Whole numbers are divided by their full range, 255 or 65535; numbers with
    a fraction must lie in [0, 1]. Infrared of more than 8 bit is what a camera measured: its values are stretched
    between their 0.1st and 99.9th percentile.

    Args:
        path: PNG, JPEG, TIFF or BMP file.
        modality: infrared, visible or photograph.

    Returns:
        The source, with its alpha and its depth.

    Raises:
        InputError: When the file is damaged, of another format, too large, of several frames, or not in its range.
    """
    with opened_picture(path) as file:
        pixels = upright(read_deep_color(path), file.getexif().get(ORIENTATION, 1)) if is_deep_color(file) else None
        if pixels is None:
            pixels = _pixels(file)
    raw = pixels.ndim == 2 and pixels.dtype != np.uint8
    check_values(path, pixels) if raw else warn_if_constant(path, pixels.min(), pixels.max())
    if raw and Modality(modality) is Modality.INFRARED:
        return Source(normalize_intensity(pixels, modality)[None], bits=16)
    if pixels.dtype not in (np.uint8, np.uint16):
        whole = np.issubdtype(pixels.dtype, np.integer)
        high = 65535 if whole else 1
        if pixels.min() < 0 or pixels.max() > high:
            raise InputError(
                f"{path}: expected values from 0 to {high}, got {pixels.min():g} to {pixels.max():g}. Save it as 16 "
                "bit."
            )
        pixels = pixels.astype(np.uint16 if whole else np.float32)
    return photograph_of(pixels if pixels.ndim == 3 else pixels[..., None])


def photograph_of(pixels: np.ndarray) -> Source:
    """A photograph from its pixels.

    Args:
        pixels: (H, W, C), uint8, uint16 or float32 in [0, 1]; C is 1 or 3, one more with alpha.

    Returns:
        The source; without ``rgb`` where all channels are equal, without ``alpha`` where it is opaque everywhere.
    """
    bits = 8 if pixels.dtype == np.uint8 else 16
    full = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
    channels = pixels.transpose(2, 0, 1)
    colors, rest = (channels[:3], channels[3:]) if len(channels) > 2 else (channels[:1], channels[1:])
    alpha = np.divide(rest, full, dtype=np.float32, order="C") if len(rest) and (rest != full).any() else None
    gray = len(colors) == 1 or is_gray(colors)
    scaled = np.divide(colors[:1] if gray else colors, full, dtype=np.float32, order="C")
    return Source(scaled if gray else luminance(scaled), None if gray else scaled, alpha=alpha, bits=bits)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image as its EXIF orientation says.

    Args:
        pixels: (H, W, ...) as stored.
        orientation: 1 to 8, the row and the column of the scene with which the image begins; others turn nothing.

    Reference: CIPA DC-008-2019 (Exif 2.32), tag Orientation.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _pixels(file: Any) -> np.ndarray:
    """Pixels of an opened picture, upright: (H, W) of any type, or (H, W, C) uint8."""
    from PIL import Image, ImageOps

    file.load()
    image: Image.Image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return np.asarray(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return np.asarray(image.convert("LA" if image.mode == "LA" else "RGBA"))
    return np.asarray(image.convert("L" if image.mode in ("L", "1") else "RGB"))
