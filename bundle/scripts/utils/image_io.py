"""Reading sources from PNG, JPEG, TIFF, BMP and NIfTI, and writing images that are never half-written."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .checks import InputError
from .color import is_gray, luminance
from .enums import Modality
from .intensity import normalize_intensity

__all__ = [
    "IMAGE_SUFFIXES",
    "NIFTI_SUFFIXES",
    "Source",
    "check_writable",
    "is_nifti",
    "load_nifti",
    "read_source",
    "write_atomically",
    "write_image",
    "write_nifti",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")


@dataclass
class Source:
    """One source, ready for the network.

    Args:
        gray: (1, *spatial) float32 in [0, 1]; the luminance of a colour image.
        rgb: (3, H, W) float32 in [0, 1] of a colour image, else None.
        affine: voxel-to-world matrix of a NIfTI volume, millimetres, else None.
    """

    gray: np.ndarray
    rgb: np.ndarray | None = None
    affine: np.ndarray | None = None


def is_nifti(path: str | os.PathLike) -> bool:
    """Whether the name is that of a NIfTI file."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


def read_source(
    path: str | os.PathLike, modality: Modality | str = Modality.MRI, slice_index: int | None = None
) -> Source:
    """Read one source.

    8-bit images are taken as they are (255 is 1), palettes and alpha resolved; 16-bit, 32-bit and float images and
    NIfTI volumes are normalized by modality. A NIfTI volume is brought to RAS+ order; with ``slice_index`` one axial
    slice is returned, turned so that anterior is up.

    Args:
        path: PNG, JPEG, TIFF, BMP or NIfTI file.
        modality: decides the normalization. Defaults to MRI.
        slice_index: axial slice of a volume, from 0. Defaults to None: the whole.

    Returns:
        The source; spatial shape (H, W), or (X, Y, Z) for a whole volume.

    Raises:
        InputError: When the file is missing, empty, damaged, of another format, not 2-D or 3-D, or not finite.
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
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite. Replace them.")
    if values.min() == values.max():
        warnings.warn(f"{path}: the image is constant ({float(values.min()):g}); nothing of it can show.", stacklevel=3)


def _read_picture(path: Path, modality: Modality) -> Source:
    from PIL import Image

    try:
        with Image.open(path) as file:
            frames = getattr(file, "n_frames", 1)
            if frames > 1:
                raise InputError(f"{path}: expected one image, got {frames} frames. Split the file first.")
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
    except Exception as error:  # Pillow raises many types for damaged files
        raise InputError(f"{path}: expected a readable {path.suffix} image, got: {error}. Copy it again.") from error
    scaled = pixels.astype(np.float32) / 255
    _check_values(path, scaled)
    if scaled.ndim == 2:
        return Source(scaled[None])
    rgb = np.ascontiguousarray(scaled.transpose(2, 0, 1))
    return Source(rgb[:1].copy()) if is_gray(rgb) else Source(luminance(rgb), rgb)


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


@lru_cache(maxsize=4)
def _load_volume(path: Path, modality: Modality, modified: float) -> tuple[np.ndarray, np.ndarray]:
    """Normalized volume in RAS+ order and its affine; ``modified`` makes a changed file a new cache entry."""
    values, image = load_nifti(path, canonical=True)
    _check_values(path, values)
    return normalize_intensity(values, modality), image.affine


def _read_nifti(path: Path, modality: Modality, slice_index: int | None) -> Source:
    values, affine = _load_volume(path, modality, path.stat().st_mtime)
    if slice_index is None:
        return Source(values[None], affine=affine)
    if not 0 <= slice_index < values.shape[2]:
        raise InputError(f"{path}: expected a slice from 0 to {values.shape[2] - 1}, got {slice_index}.")
    return Source(np.ascontiguousarray(np.rot90(values[:, :, slice_index]))[None])


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of ``path`` that takes its place on success and vanishes on failure."""
    name = path.name
    suffix = ".nii.gz" if name.lower().endswith(".nii.gz") else path.suffix
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror or error}. Choose another output.") from error
    try:
        yield Path(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: could not be written: {error.strerror or error}. Nothing was left there.") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Check, before long work, that a file or folder of this name can be made.

    Raises:
        InputError: When a file stands where a folder must, or the folder cannot be written.
    """
    place = Path(path).resolve().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InputError(f"{path}: cannot write there, {place} is not a folder that can be written. Choose another.")


def write_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> Path:
    """Call ``write`` on a temporary name beside ``path`` and rename it when it is complete.

    Args:
        path: the final name; its folder is made.
        write: writes the file it is given.

    Returns:
        The final path.

    Raises:
        InputError: When the folder cannot be written or the disk is full; nothing is left behind.
    """
    path = Path(path)
    with _temporary_beside(path) as temporary:
        write(temporary)
    return path


def write_image(path: str | os.PathLike, values: np.ndarray) -> Path:
    """Write a gray (1, H, W) or colour (3, H, W) image in [0, 1] as 8 bit.

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
