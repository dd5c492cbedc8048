"""Writing a fused volume as a DICOM series that belongs to the study of its reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volume import Volume
from ..utils.checks import InputError
from ..utils.files import write_folder_atomically
from .header import DICOM_MODALITIES, require
from .privacy import quiet_pydicom
from .write_common import (
    PRODUCT,
    SeriesOffset,
    body_part,
    burned_in_element,
    check_grid,
    complete_header,
    geometry_elements,
    plane_position,
    reference_to,
    said_of_registration,
    series_identity,
    slices_met,
)

__all__ = ["write_dicom_series"]

HIGHEST = 4095  # 12 bits, which every viewer and printer takes
FILE_NAME = "{:04d}.dcm"


@quiet_pydicom()
def write_dicom_series(
    folder: str | os.PathLike,
    fused: np.ndarray,
    affine: np.ndarray,
    reference: Volume,
    sources: Sequence[Volume],
    rgb: np.ndarray | None = None,
) -> list[Path]:
    """Write a fused volume as a new series, one single-frame file a slice, in the order of the last axis.

    The images have a class that viewers stack and reformat (MPR) and that claims nothing false about the values:

    - MR reference: MR Image Storage. MR values have no unit anyway; the sequence is given as research mode.
    - CT reference: CT Image Storage with RescaleType US (unspecified), so that no one takes gray levels for HU.
    - PET or SPECT reference, and color: Secondary Capture with position and orientation. A PET image would need a
      tracer, units and a decay correction, an NM image its detectors, and neither MR nor CT may be in color.

    The files are single-frame, because most workstations do not reformat multi-frame Secondary Capture. Gray values
    are stored as 0..4095, color as 8-bit RGB.

    Args:
        folder: the folder to write; it must not exist, or be empty.
        fused: (X, Y, Z) in [0, 1].
        affine: (4, 4) voxel to world of ``fused``, mm, RAS+, with perpendicular axes.
        reference: the volume whose patient, study and frame of reference are kept; needs DICOM headers.
        sources: the volumes that were fused, A and B. Each written image names its source images: the slices of
            ``reference`` that it meets, and all slices of the other sources, because registration may have moved
            them. Sources without DICOM headers are not named.
        rgb: (3, X, Y, Z) uint8, written in place of ``fused``. Defaults to None.

    Returns:
        The files, in the order of slices.

    Raises:
        ValueError: When ``reference`` has no headers, shapes or types do not fit, values are not finite or axes are
            not perpendicular.
        InputError: When highdicom is not installed, or the folder is not empty or cannot be written; nothing is left
            behind.
    """
    folder, affine = Path(folder), np.asarray(affine, dtype=np.float64)
    _check(fused, affine, reference, rgb)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or empty folder for the DICOM series. Choose another output.")
    write_folder_atomically(folder, lambda temporary: _write_slices(temporary, fused, affine, reference, sources, rgb))
    return [folder / FILE_NAME.format(k + 1) for k in range(fused.shape[2])]


def _check(fused: np.ndarray, affine: np.ndarray, reference: Volume, rgb: np.ndarray | None) -> None:
    if fused.ndim != 3:
        raise ValueError(f"`fused` must have shape (X, Y, Z), got {fused.shape}.")
    if rgb is not None and (rgb.shape != (3, *fused.shape) or rgb.dtype != np.uint8):
        raise ValueError(
            f"`rgb` must be uint8 of shape {(3, *fused.shape)}, `fused` in color, got {rgb.dtype} {rgb.shape}."
        )
    if not np.isfinite(fused).all():
        raise ValueError("The values to write must be finite, got NaN or infinite ones. Replace them.")
    check_grid(affine, reference)


def _write_slices(
    folder: Path,
    fused: np.ndarray,
    affine: np.ndarray,
    reference: Volume,
    sources: Sequence[Volume],
    rgb: np.ndarray | None,
) -> None:
    highdicom, uid = require("highdicom"), require("pydicom").uid
    header = complete_header(reference.headers[0])
    image_class = uid.SecondaryCaptureImageStorage
    if rgb is None:
        by_modality = {"MR": uid.MRImageStorage, "CT": uid.CTImageStorage}
        image_class = by_modality.get(header.get("Modality"), image_class)
    codes = "+".join(DICOM_MODALITIES[source.modality] for source in sources if source.modality is not None)
    offset, shown = (SeriesOffset.FUSED, "gray") if rgb is None else (SeriesOffset.FUSED_COLOR, "color")
    series = {
        **series_identity(header, offset, f"fused {codes} {shown}"),
        "study_instance_uid": header.StudyInstanceUID,
        "sop_class_uid": image_class,
        "modality": str(header.get("Modality", "")),
        "transfer_syntax_uid": uid.ExplicitVRLittleEndian,
    }
    common = geometry_elements(header, affine, fused.shape)
    common.update(body_part(header))
    common.update(burned_in_element(sources))
    common.update(_pixel_elements(image_class, rgb is not None))
    common.DerivationDescription = f"Fused by {PRODUCT} from the source images. {said_of_registration(sources)}"
    moved = [reference_to(h) for source in sources if source is not reference for h in source.headers]
    for k in range(fused.shape[2]):
        image = highdicom.SOPClass(**series, sop_instance_uid=uid.generate_uid(), instance_number=k + 1)
        image.copy_patient_and_study_information(header)
        image.update(common)
        image.update(plane_position(affine, k))
        image.SourceImageSequence = [reference_to(h) for h in slices_met(affine, fused.shape, k, reference)] + moved
        if rgb is None:
            image.PixelData = np.rint(fused[:, :, k].T.clip(0, 1) * HIGHEST).astype("<u2").tobytes()
        else:
            image.PixelData = rgb[:, :, :, k].T.tobytes()
        image.save_as(folder / FILE_NAME.format(k + 1), enforce_file_format=True)


def _pixel_elements(image_class: str, color: bool) -> Any:
    """Elements of the values and of the image class, the same in all images of the series."""
    pydicom = require("pydicom")
    common = pydicom.Dataset()
    if color:
        common.SamplesPerPixel, common.PhotometricInterpretation, common.PlanarConfiguration = 3, "RGB", 0
        common.BitsAllocated, common.BitsStored, common.HighBit = 8, 8, 7
    else:
        common.BitsAllocated, common.BitsStored, common.HighBit = 16, 12, 11
        common.WindowCenter, common.WindowWidth = (HIGHEST + 1) // 2, HIGHEST + 1

    common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    if image_class == pydicom.uid.MRImageStorage:
        common.ScanningSequence, common.SequenceVariant = "RM", "NONE"
        for keyword in ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
            setattr(common, keyword, None)  # must be there, may be empty
    elif image_class == pydicom.uid.CTImageStorage:
        common.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        common.RescaleIntercept, common.RescaleSlope, common.RescaleType = 0, 1, "US"
        common.KVP = common.AcquisitionNumber = None
    else:
        common.ConversionType = "SYN"
        common.PatientOrientation = None
    return common
