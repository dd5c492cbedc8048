"""Reading one source, from a picture or a NIfTI volume, into [0, 1], and writing pictures."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.color import is_gray, luminance
from ..utils.enums import Modality
from ..utils.files import IMAGE_SUFFIXES, NIFTI_SUFFIXES, is_nifti, write_atomically
from ..utils.intensity import normalize_intensity
from .nifti import load_nifti
from .photographs import read_photograph
from .picture_files import opened_picture, write_deep_color
from .source import Source, check_values, warn_if_constant

__all__ = ["Source", "holds_alpha", "read_source", "write_image"]

PHOTOGRAPHS = (Modality.INFRARED, Modality.VISIBLE, Modality.PHOTOGRAPH)
LOSSLESS = (".png", ".tif", ".tiff")  # they hold 16 bit and alpha


def read_source(
    path: str | os.PathLike, modality: Modality | str = Modality.MRI, slice_index: int | None = None
) -> Source:
    """Read one source.

    The values of 8-bit images are divided by 255; a palette is replaced by its colors, and a transparent image is laid
    over black. Images of 16 or 32 bits or of floats, and NIfTI volumes, are normalized by modality. A NIfTI volume is
    brought to RAS+ order; with ``slice_index`` one axial slice is returned, turned so that anterior is up. Photographs
    have rules of their own: see :func:`~.photographs.read_photograph`.

    Args:
        path: PNG, JPEG, TIFF, BMP or NIfTI file.
        modality: decides the normalization. Defaults to MRI.
        slice_index: axial slice of a volume, from 0. Defaults to None: the whole.

    Returns:
        The source; spatial shape (H, W), or (X, Y, Z) for a whole volume.

    Raises:
        InputError: When the file is missing, empty, damaged, of another format, too large (``utils/limits.py``), not
            2-D or 3-D, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'} there.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected an image, the file is empty. Copy it again.")
    if is_nifti(path):
        return _read_nifti(path, Modality(modality), slice_index)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        read = read_photograph if Modality(modality) in PHOTOGRAPHS else _read_picture
        return read(path, Modality(modality))
    raise InputError(
        f"{path}: expected one of {', '.join(IMAGE_SUFFIXES + NIFTI_SUFFIXES)}, got '{path.suffix}'. Convert it first."
    )


def _read_picture(path: Path, modality: Modality) -> Source:
    with opened_picture(path) as file:
        from PIL import Image

        file.load()
        image: Image.Image = file
        mode = image.mode
        if mode.startswith("I;16") or mode in ("I", "F"):
            values = np.asarray(image).astype(np.float32)
            check_values(path, values)
            return Source(normalize_intensity(values, modality)[None])
        if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            over = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(over, image.convert("RGBA"))
        pixels = np.asarray(image.convert("L" if mode in ("L", "1") else "RGB"))
    warn_if_constant(path, pixels.min() / 255, pixels.max() / 255)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    gray = len(channels) == 1 or is_gray(channels)
    scaled = np.divide(channels[:1] if gray else channels, np.float32(255), order="C")
    return Source(scaled) if gray else Source(luminance(scaled), scaled)


@lru_cache(maxsize=4)
def _load_volume(path: Path, modality: Modality, modified: float) -> tuple[np.ndarray, np.ndarray]:
    """Normalized volume in RAS+ order and its affine; ``modified`` makes a changed file a new cache entry."""
    values, image, _ = load_nifti(path, canonical=True, only_3d=True)
    check_values(path, values)
    return normalize_intensity(values, modality), image.affine


def _read_nifti(path: Path, modality: Modality, slice_index: int | None) -> Source:
    values, affine = _load_volume(path, modality, path.stat().st_mtime)
    if slice_index is None:
        return Source(values[None], affine=affine)
    if not 0 <= slice_index < values.shape[2]:
        raise InputError(f"{path}: expected a slice from 0 to {values.shape[2] - 1}, got {slice_index}.")
    return Source(np.ascontiguousarray(np.rot90(values[:, :, slice_index]))[None])


def holds_alpha(path: str | os.PathLike, bits: int = 8) -> bool:
    """Whether a picture of this name can hold alpha: PNG, and TIFF of 8 bit.

    ITK, which writes 16 bit, marks the alpha of a TIFF as one that is multiplied into the colors, which it is not.
    """
    suffix = Path(path).suffix.lower()
    return suffix in LOSSLESS and (bits == 8 or suffix == ".png")


def write_image(path: str | os.PathLike, values: np.ndarray, bits: int = 8) -> Path:
    """Write a gray (1, H, W) or color (3, H, W) image in [0, 1]; one channel more is its alpha.

    Args:
        path: PNG, JPEG, TIFF or BMP name. JPEG and BMP get 8 bit; for alpha see :func:`holds_alpha`.
        values: image in [0, 1].
        bits: of each channel, 8 or 16. Defaults to 8.

    Raises:
        InputError: When the suffix is not an image's, or it cannot be written.
    """
    from PIL import Image

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: expected an output ending in {', '.join(IMAGE_SUFFIXES)}, got '{path.suffix}'.")
    if len(values) in (2, 4) and not holds_alpha(path, bits):
        values = values[:-1]
    deep = bits == 16 and suffix in LOSSLESS
    pixels = np.stack([_whole_numbers(channel, deep) for channel in values], axis=-1)
    if deep and pixels.shape[-1] > 1:
        return write_atomically(path, lambda temporary: write_deep_color(temporary, pixels))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    options: dict[str, Any] = {"quality": 95} if suffix in (".jpg", ".jpeg") else {}
    return write_atomically(path, lambda temporary: picture.save(temporary, **options))


def _whole_numbers(values: np.ndarray, deep: bool) -> np.ndarray:
    """Values in [0, 1] as uint8 or uint16."""
    return np.rint(np.clip(values, 0, 1) * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
