"""A transform from a file, in place of a registration: ITK's formats, or a DICOM Spatial Registration object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ...dicom.header import blaming, is_dicom, read_dataset
from ...utils.checks import InputError
from ...utils.geometry import lps_from_ras
from .itk_files import SUFFIXES
from .worker import worker_environment

__all__ = ["check_transform_file", "read_transform"]

COMMAND = (sys.executable, "-P", "-m", "scripts.transforms.registration.itk_files")
SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"
LARGEST = 1e5  # mm; a shift beyond is no patient's
FLATTEST = 1e-3  # determinant
RAS_TO_LPS = lps_from_ras(np.eye(4))
TIME_LIMIT = 60.0  # s


def read_transform(path: str | os.PathLike, frames: tuple[str | None, str | None]) -> np.ndarray:
    """Read a transform that maps points of the fixed volume to the moving one.

    Args:
        path: an ITK file (.tfm, .txt, .h5, .hdf5, .mat), as this package, ITK, ANTs and 3D Slicer write it, or a DICOM
            Spatial Registration object.
        frames: FrameOfReferenceUID of the fixed and of the moving volume, which the DICOM object names; None for
            NIfTI.

    Returns:
        (4, 4), RAS, millimeters.

    Raises:
        InputError: When the file is not there or not one of these, holds no linear transform, one that mirrors or
            flattens, or one between other frames of reference.
    """
    path = check_transform_file(path)
    matrix = _spatial_registration(path, frames) if is_dicom(path) else _itk(path)
    if not np.isfinite(matrix).all() or np.abs(matrix[:3, 3]).max() > LARGEST:
        raise InputError(f"{path}: expected finite values and shifts below {LARGEST / 1000:g} m. Save it again.")
    size = float(np.linalg.det(matrix[:3, :3]))
    if size < FLATTEST:
        what = "mirrors" if size < -FLATTEST else "flattens"
        raise InputError(f"{path}: expected a transform of a body, it {what} it (determinant {size:.3g}).")
    return matrix


def check_transform_file(path: str | os.PathLike) -> Path:
    """Refuse what cannot be a transform file, without reading all of it.

    Returns:
        The path.

    Raises:
        InputError: When nothing is there, or it is neither DICOM nor named as an ITK file.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{path}: expected a transform file, found {found} there.")
    if path.suffix.lower() not in SUFFIXES and not is_dicom(path):
        raise InputError(
            f"{path}: expected a transform file ending in {', '.join(SUFFIXES)}, or a DICOM Spatial Registration."
        )
    return path


def _itk(path: Path) -> np.ndarray:
    """Read an ITK file in a process of its own."""
    try:
        done = subprocess.run(
            [*COMMAND, os.path.abspath(path)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=worker_environment(),
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: not read after {TIME_LIMIT:g} s. Is it a transform file?") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"{path}: ITK ended while it read this transform: {last}. Is it whole?")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise InputError(f"{path}: expected one rigid or affine transform in ITK's format, but {answer['error']}.")
    return np.array(answer["matrix"])


def _spatial_registration(path: Path, frames: tuple[str | None, str | None]) -> np.ndarray:
    """Read a DICOM Spatial Registration (PS3.3, A.39.1): each item maps its frame of reference to a common one."""
    if None in frames:
        raise InputError(
            f"{path}: is a DICOM registration of frames of reference, which NIfTI does not have. Give an ITK file."
        )
    with blaming(path):
        data = read_dataset(path)
        if data.get("SOPClassUID") != SPATIAL_REGISTRATION:
            raise InputError(
                f"{path}: expected a DICOM Spatial Registration, got {data.SOPClassUID.name}. Deformable ones are not "
                "read."
            )
        to_common = {str(data.get("FrameOfReferenceUID", "")): np.eye(4)}
        for item in data.RegistrationSequence:
            to_common[_frame_of(item)] = _matrix(item)
    if frames[0] == frames[1]:
        raise InputError(f"{path}: both volumes lie in one frame of reference, so it cannot move one to the other.")
    missing = [letter for letter, frame in zip("AB", frames, strict=True) if frame not in to_common]
    if missing:
        raise InputError(
            f"{path}: expected a registration of both frames of reference, that of source {' and '.join(missing)} is "
            "not in it. Is it of this study?"
        )
    fixed, moving = (to_common[str(frame)] for frame in frames)
    if abs(np.linalg.det(moving)) < FLATTEST:
        raise InputError(f"{path}: expected matrices that can be inverted, that of source B cannot.")
    return RAS_TO_LPS @ np.linalg.inv(moving) @ fixed @ RAS_TO_LPS


def _frame_of(item: Any) -> str:
    """FrameOfReferenceUID of an item; by the standard it may be left out where the images are named."""
    return str(item.get("FrameOfReferenceUID", ""))


def _matrix(item: Any) -> np.ndarray:
    """The product of an item's matrices, which are applied in their order; (4, 4), LPS."""
    matrix = np.eye(4)
    for step in item.MatrixRegistrationSequence:
        for one in step.MatrixSequence:
            values = [float(value) for value in one.FrameOfReferenceTransformationMatrix]
            matrix = np.array(values).reshape(4, 4) @ matrix
    return matrix
