"""Reading one source, from a picture or a NIfTI volume, into [0, 1], and writing pictures."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.color import is_gray, luminance
from ..utils.enums import Modality
from ..utils.files import IMAGE_SUFFIXES, NIFTI_SUFFIXES, is_nifti, write_atomically
from ..utils.intensity import check_finite, normalize_intensity
from ..utils.limits import MOST_SCANS, check_pixels, memory_error
from .nifti import load_nifti

__all__ = ["Source", "read_source", "write_image"]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")  # whatever a file is named, nothing else is opened
START_OF_SCAN = b"\xff\xda"


@dataclass
class Source:
    """One source, ready for the network.

    Args:
        gray: (1, *spatial) float32 in [0, 1]; the luminance of a color image.
        rgb: (3, H, W) float32 in [0, 1] of a color image, else None.
        affine: voxel-to-world matrix of a NIfTI volume, millimeters, else None.
    """

    gray: np.ndarray
    rgb: np.ndarray | None = None
    affine: np.ndarray | None = None


def read_source(
    path: str | os.PathLike, modality: Modality | str = Modality.MRI, slice_index: int | None = None
) -> Source:
    """Read one source.

    The values of 8-bit images are divided by 255; a palette is replaced by its colors, and a transparent image is laid
    over black. Images of 16 or 32 bits or of floats, and NIfTI volumes, are normalized by modality. A NIfTI volume is
    brought to RAS+ order; with ``slice_index`` one axial slice is returned, turned so that anterior is up.

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
        return _read_picture(path, Modality(modality))
    raise InputError(
        f"{path}: expected one of {', '.join(IMAGE_SUFFIXES + NIFTI_SUFFIXES)}, got '{path.suffix}'. Convert it first."
    )


def _check_values(path: Path, values: np.ndarray) -> None:
    check_finite(path, values)
    _warn_if_constant(path, values.min(), values.max())


def _warn_if_constant(path: Path, lowest: Any, highest: Any) -> None:
    if lowest == highest:
        warnings.warn(f"{path}: the image is constant ({float(lowest):g}); nothing of it can show.", stacklevel=4)


def _read_picture(path: Path, modality: Modality) -> Source:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is smaller
            opened = Image.open(path, formats=FORMATS)  # else Pillow would start Ghostscript for PostScript
        with opened as file:
            check_pixels(path, *file.size)
            _check_one_frame(path, file)
            _check_scans(path, file)
            file.load()
            image: Image.Image = file
            mode = image.mode
            if mode.startswith("I;16") or mode in ("I", "F"):
                values = np.asarray(image).astype(np.float32)
                _check_values(path, values)
                return Source(normalize_intensity(values, modality)[None])
            if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                over = Image.new("RGBA", image.size, (0, 0, 0, 255))
                image = Image.alpha_composite(over, image.convert("RGBA"))
            pixels = np.asarray(image.convert("L" if mode in ("L", "1") else "RGB"))
    except InputError:
        raise
    except MemoryError as error:
        raise memory_error(path) from error
    except Exception as error:  # Pillow raises many types for damaged files
        raise InputError(f"{path}: expected a readable {path.suffix} image, got: {error}. Copy it again.") from error
    _warn_if_constant(path, pixels.min() / 255, pixels.max() / 255)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    gray = len(channels) == 1 or is_gray(channels)
    scaled = np.divide(channels[:1] if gray else channels, np.float32(255), order="C")
    return Source(scaled) if gray else Source(luminance(scaled), scaled)


def _check_one_frame(path: Path, file: Any) -> None:
    """Refuse a file of several images; a TIFF that says it has 100,000 is not followed through all of them."""
    try:
        file.seek(1)
    except EOFError:
        file.seek(0)
        return
    raise InputError(f"{path}: expected one image, there are several in it. Split the file first.")


def _check_scans(path: Path, file: Any) -> None:
    """Refuse a JPEG that goes over its pixels again and again, which takes minutes for some kilobytes."""
    if file.format == "JPEG" and path.read_bytes().count(START_OF_SCAN) > MOST_SCANS:
        raise InputError(f"{path}: expected a JPEG of at most {MOST_SCANS} passes, it has more. Save it anew.")


@lru_cache(maxsize=4)
def _load_volume(path: Path, modality: Modality, modified: float) -> tuple[np.ndarray, np.ndarray]:
    """Normalized volume in RAS+ order and its affine; ``modified`` makes a changed file a new cache entry."""
    values, image, _ = load_nifti(path, canonical=True, only_3d=True)
    _check_values(path, values)
    return normalize_intensity(values, modality), image.affine


def _read_nifti(path: Path, modality: Modality, slice_index: int | None) -> Source:
    values, affine = _load_volume(path, modality, path.stat().st_mtime)
    if slice_index is None:
        return Source(values[None], affine=affine)
    if not 0 <= slice_index < values.shape[2]:
        raise InputError(f"{path}: expected a slice from 0 to {values.shape[2] - 1}, got {slice_index}.")
    return Source(np.ascontiguousarray(np.rot90(values[:, :, slice_index]))[None])


def write_image(path: str | os.PathLike, values: np.ndarray) -> Path:
    """Write a gray (1, H, W) or color (3, H, W) image in [0, 1] as 8 bit.

    Args:
        path: PNG, JPEG, TIFF or BMP name.
        values: image in [0, 1].

    Raises:
        InputError: When the suffix is not an image's, or it cannot be written.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: expected an output ending in {', '.join(IMAGE_SUFFIXES)}, got '{path.suffix}'.")
    pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0))
    options: dict[str, Any] = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    return write_atomically(path, lambda temporary: picture.save(temporary, **options))
