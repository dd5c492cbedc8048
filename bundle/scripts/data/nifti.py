"""Reading and writing NIfTI volumes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.files import NIFTI_SUFFIXES, is_nifti, write_atomically
from ..utils.intensity import check_finite
from ..utils.limits import MOST_FRAMES, check_growth, check_voxel_size, check_voxels, memory_error
from .volume import Volume
from .volume_choice import choose_volumes, volume_note

__all__ = ["check_nifti", "load_nifti", "open_nifti", "read_nifti_volume", "read_stored", "write_nifti"]

MILLIMETERS = {"meter": 1000.0, "micron": 0.001}  # NIfTI's other units of length
SHEAR_TOLERANCE = 0.01  # cosine between two axes; below it, it is rounding of the header
HOUNSFIELD_AIR = -500.0  # a volume that reaches below holds Hounsfield units
MOST_OFFSET = 2**24  # bytes of header extensions before the voxels
GZIP_AT_MOST = 1032  # bytes that deflate can make of one
SINGULAR = 1e-9  # volume of a voxel, mm^3, below which a matrix cannot be inverted


def load_nifti(
    path: Path, canonical: bool = False, volume: str | None = None, only_3d: bool = False
) -> tuple[np.ndarray, Any, str]:
    """Load a NIfTI volume.

    Args:
        path: .nii or .nii.gz file.
        canonical: bring it to RAS+ order. Defaults to False: its own voxel order.
        volume: which volume of a 4-D file: a number from 1, or ``"mean"``. Defaults to None: the only one.
        only_3d: refuse a file of several volumes, where the user has no way to choose one. Defaults to False.

    Returns:
        The values, (X, Y, Z) float32, nibabel's image with affine and header, and what was chosen, empty where there
        is only one volume.

    Raises:
        InputError: When the file is damaged, claims too large a volume (``utils/limits.py``) or holds none, or several
            and none is chosen.
    """
    import nibabel

    image = open_nifti(path)
    if only_3d and prod(image.shape[3:]) > 1:
        raise InputError(f"{path}: expected a 3-D volume, got shape {image.shape}. Take one volume out of it first.")
    chosen, note = _chosen_volumes(path, image.shape, volume)
    with _blaming(path):
        if prod(image.shape[3:]) == 1:
            values = _values(image.dataobj)
        else:
            places = np.unravel_index(chosen, image.shape[3:])
            parts = (np.asanyarray(image.dataobj[(..., *place)]) for place in zip(*places, strict=True))
            values = (sum(part.astype(np.float64) for part in parts) / len(chosen)).astype(np.float32)
        if canonical:
            image = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, image.affine))
            values = np.asanyarray(image.dataobj)
    return values, image, note


def read_stored(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a 3-D volume of numbers, labels or colors as it is stored; numbers are scaled where its header says so.

    Args:
        path: .nii or .nii.gz file.

    Returns:
        The values, (X, Y, Z), float32 where they are scaled, and the affine.

    Raises:
        InputError: When the file is damaged, claims too large a volume (``utils/limits.py``) or is not 3-D.
    """
    image = open_nifti(path)
    if len(image.shape) != 3:
        raise InputError(f"{path}: expected a 3-D volume, got shape {image.shape}.")
    with _blaming(path):
        data = image.dataobj
        scaled = (data.slope, data.inter) != (1, 0)
        return (_values(data) if scaled else data.get_unscaled()), np.array(image.affine, dtype=np.float64)


def open_nifti(path: Path) -> Any:
    """Nibabel's image, its voxels unread, once its header promises no more than the file can hold and we can take.

    The voxels are not mapped into memory: a file that shrinks while it is read would end the process.

    Raises:
        InputError: When the file is damaged, or its header promises too much (``utils/limits.py``).
    """
    import nibabel

    with _blaming(path):
        with nibabel.openers.ImageOpener(str(path.absolute())) as file:  # else nibabel takes a ~ for the home folder
            start = file.read(nibabel.Nifti2Header.sizeof_hdr)
        kind = nibabel.Nifti2Image if nibabel.Nifti2Header.may_contain_header(start) else nibabel.Nifti1Image
        _check_promise(path, kind.header_class(start[: kind.header_class.sizeof_hdr]))
        return kind.from_filename(path.absolute(), mmap=False)


def _check_promise(path: Path, header: Any) -> None:
    """Refuse a header that promises more than the file can hold, or more than we take."""
    shape, offset, size = header.get_data_shape(), header.get_data_offset(), header.get_data_dtype().itemsize
    if not 0 <= offset <= MOST_OFFSET:
        raise InputError(f"{path}: expected voxels soon after the header, it says at byte {offset}. Save it anew.")
    if len(shape) >= 3:
        check_voxels(path, shape[:3], np.dtype(np.float32).itemsize + size)
        if prod(shape[3:]) > MOST_FRAMES:
            raise InputError(f"{path}: expected at most {MOST_FRAMES} volumes, got shape {shape}. Split the file.")
    promised = offset + prod(shape) * size
    there = path.stat().st_size * (GZIP_AT_MOST if path.suffix.lower() == ".gz" else 1)
    if promised > there:
        raise InputError(
            f"{path}: expected a readable NIfTI file, its header promises {promised} bytes, there are at most {there}. "
            "Copy it again."
        )


def _values(data: Any) -> np.ndarray:
    """The values of a volume, (X, Y, Z) float32, scaled in float64 slice by slice: at once it would take much more."""
    from nibabel.volumeutils import apply_read_scaling

    stored = data.get_unscaled()
    stored = stored.reshape(stored.shape[:3], order="F")
    values = np.empty(stored.shape, dtype=np.float32, order="F")
    slope, inter = np.float64(data.slope), np.float64(data.inter)
    for k in range(stored.shape[2]):
        values[..., k] = apply_read_scaling(stored[..., k], slope, inter)
    return values


def check_nifti(path: str | os.PathLike, volume: str | None = None) -> None:
    """Check what the header of a NIfTI file decides, before its voxels are read.

    Args:
        path: .nii or .nii.gz file.
        volume: see :func:`load_nifti`. Defaults to None.

    Raises:
        InputError: When the file is missing, empty or damaged, or holds no volume, or several and none is chosen.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():  # as git-annex keeps files that it has not fetched
        raise InputError(
            f"{path}: expected a NIfTI file, found a link to one that is not there. Fetch it, such as with datalad get."
        )
    if not path.is_file():
        raise InputError(f"{path}: expected a NIfTI file, found {'a folder' if path.is_dir() else 'nothing'} there.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected a volume, the file is empty. Copy it again.")
    _chosen_volumes(path, open_nifti(path).shape, volume)


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn the many types of errors that nibabel, gzip and numpy raise for damaged files into one."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise memory_error(path) from error
    except Exception as error:
        raise InputError(f"{path}: expected a readable NIfTI file, got: {error}. Copy it again.") from error


def _chosen_volumes(path: Path, shape: tuple[int, ...], volume: str | None) -> tuple[list[int], str]:
    """Indices of the volumes that are meant among all after the third axis, and what to say of the choice."""
    count = prod(shape[3:])
    if len(shape) < 3 or not count:
        raise InputError(f"{path}: expected a 3-D volume, got shape {shape}.")
    labels: list[dict[str, str]] = [{}] * count
    chosen = choose_volumes(str(path), labels, volume)
    return chosen, volume_note(labels, chosen) if count > 1 else ""


def read_nifti_volume(path: str | os.PathLike, modality: Modality | None = None, volume: str | None = None) -> Volume:
    """Read a NIfTI volume in its own voxel order.

    Args:
        path: .nii or .nii.gz file.
        modality: what the user says it is. Defaults to None.
        volume: which volume of a 4-D file: a number from 1, or ``"mean"``. Defaults to None: the only one.

    Returns:
        The volume. It is CT in Hounsfield units where values reach below -500, unless the user says that it is PET or
        SPECT, whose reconstruction can reach below too; else its modality is unknown.

    Raises:
        InputError: When the file is missing, empty, damaged, holds no volume or several and none is chosen, or is not
            finite or without a usable geometry.
    """
    path = Path(path)
    check_nifti(path, volume)
    values, image, note = load_nifti(path, volume=volume)
    affine = np.array(image.affine, dtype=np.float64)
    with _blaming(path):
        length = image.header.get_xyzt_units()[0]
    check_finite(path, values)
    affine[:3] *= MILLIMETERS.get(length, 1.0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < SINGULAR:
        raise InputError(f"{path}: expected a voxel-to-world matrix that can be inverted, got {affine.tolist()}.")
    check_voxel_size(path, np.linalg.norm(affine[:3, :3], axis=0))
    notes = [note] if note else []
    shear = np.abs(_axes(affine).T @ _axes(affine) - np.eye(3)).max()
    if shear > SHEAR_TOLERANCE:
        values, affine = _upright(path, values, affine)
        notes.append(f"sheared axes ({np.degrees(np.arcsin(shear)):.1f} degrees) resampled upright")
    is_ct = modality not in (Modality.PET, Modality.SPECT) and bool(values.min() < HOUNSFIELD_AIR)
    modality, unit = (Modality.CT, "HU") if is_ct else (None, "arbitrary")
    return Volume(values, affine, modality, unit, tuple(notes))


def write_nifti(path: str | os.PathLike, values: np.ndarray, affine: np.ndarray, warning: str = "") -> Path:
    """Write a (1, X, Y, Z) volume as float32 NIfTI, a label as uint8, or a (3, X, Y, Z) one as RGB NIfTI.

    Args:
        path: name ending in .nii or .nii.gz.
        values: volume of real numbers; a label as bool; RGB as uint8.
        affine: voxel-to-world matrix, millimeters.
        warning: at most 43 ASCII letters for the header's description, which holds 80 bytes. Defaults to none.

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
        voxels = values[0].astype(np.uint8 if values.dtype == bool else np.float32, copy=False)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = "; ".join(filter(None, ("MMIF-AMIN, not for diagnostic use", warning))).encode("ascii")
    return write_atomically(path, lambda temporary: nibabel.save(image, temporary))


def _axes(affine: np.ndarray) -> np.ndarray:
    """Unit vectors of the voxel axes, as columns."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def _upright(path: Path, values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resample (linear, the smallest value outside) onto the nearest grid with perpendicular axes that holds all.

    Raises:
        InputError: When that grid is far larger than the volume.
    """
    from scipy import ndimage

    u, _, v = np.linalg.svd(_axes(affine))
    upright = np.eye(4)
    upright[:3, :3] = (u @ v) * np.linalg.norm(affine[:3, :3], axis=0)
    corners = np.array(list(product(*((0, n - 1) for n in values.shape)))) @ affine[:3, :3].T + affine[:3, 3]
    index = corners @ np.linalg.inv(upright[:3, :3]).T
    upright[:3, 3] = upright[:3, :3] @ index.min(axis=0)
    sides = np.ceil(np.ptp(index, axis=0) - 1e-6) + 1
    check_growth(path, values.shape, sides)
    shape = sides.astype(int)
    back = np.linalg.inv(affine) @ upright
    resampled = ndimage.affine_transform(
        values, back[:3, :3], back[:3, 3], tuple(shape), order=1, cval=float(values.min())
    )
    return resampled, upright
