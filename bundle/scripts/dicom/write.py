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
from ..utils.geometry import lps_from_ras
from ..utils.metadata import bundle_metadata
from .header import DICOM_MODALITIES, require
from .privacy import quiet_pydicom

__all__ = ["write_dicom_series"]

HIGHEST = 4095  # 12 bits, which every viewer and printer takes
SERIES_NUMBER_OFFSET = 1000  # puts the fused series behind those of the scanner
AXES_TOLERANCE = 0.011  # cosine between axes; the reader keeps shears up to 0.01, highdicom.VolumeGeometry 0.0001
FILE_NAME = "{:04d}.dcm"
PRODUCT = "MMIF-AMIN"
WARNING = "NOT FOR DIAGNOSTIC USE"


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
    if not reference.headers:
        raise ValueError("`reference.headers` must hold the headers of a DICOM series, got none. Write NIfTI instead.")
    if fused.ndim != 3:
        raise ValueError(f"`fused` must have shape (X, Y, Z), got {fused.shape}.")
    if rgb is not None and (rgb.shape != (3, *fused.shape) or rgb.dtype != np.uint8):
        raise ValueError(
            f"`rgb` must be uint8 of shape {(3, *fused.shape)}, `fused` in color, got {rgb.dtype} {rgb.shape}."
        )
    if not np.isfinite(fused).all():
        raise ValueError("The values to write must be finite, got NaN or infinite ones. Replace them.")
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if not np.abs(axes.T @ axes - np.eye(3)).max() <= AXES_TOLERANCE:
        raise ValueError(f"`affine` must have perpendicular axes, got {affine.tolist()}. Resample first.")


def _write_slices(
    folder: Path,
    fused: np.ndarray,
    affine: np.ndarray,
    reference: Volume,
    sources: Sequence[Volume],
    rgb: np.ndarray | None,
) -> None:
    highdicom, uid = require("highdicom"), require("pydicom").uid
    header = reference.headers[0]
    image_class = uid.SecondaryCaptureImageStorage
    if rgb is None:
        by_modality = {"MR": uid.MRImageStorage, "CT": uid.CTImageStorage}
        image_class = by_modality.get(header.get("Modality"), image_class)
    codes = "+".join(DICOM_MODALITIES[source.modality] for source in sources if source.modality is not None)
    series = {
        "study_instance_uid": header.get("StudyInstanceUID") or _uid_from("study", header),
        "series_instance_uid": uid.generate_uid(),
        "series_number": max(1, min(SERIES_NUMBER_OFFSET + int(header.get("SeriesNumber") or 0), 2**31 - 1)),
        "sop_class_uid": image_class,
        "modality": str(header.get("Modality", "")),
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": bundle_metadata()["version"],
        "series_description": f"{PRODUCT} fused {codes} - {WARNING}",
        "transfer_syntax_uid": uid.ExplicitVRLittleEndian,
    }
    common = _common_elements(header, affine, fused.shape, image_class, rgb is not None)
    moved = [_reference_to(h) for source in sources if source is not reference for h in source.headers]
    for k in range(fused.shape[2]):
        image = highdicom.SOPClass(**series, sop_instance_uid=uid.generate_uid(), instance_number=k + 1)
        image.copy_patient_and_study_information(header)
        image.update(common)
        corner = lps_from_ras((affine @ [0, 0, k, 1])[:3])
        image.update(highdicom.PlanePositionSequence("PATIENT", corner)[0])
        image.SourceImageSequence = [_reference_to(h) for h in _slices_met(affine, fused.shape, k, reference)] + moved
        if rgb is None:
            image.PixelData = np.rint(fused[:, :, k].T.clip(0, 1) * HIGHEST).astype("<u2").tobytes()
        else:
            image.PixelData = rgb[:, :, :, k].T.tobytes()
        image.save_as(folder / FILE_NAME.format(k + 1), enforce_file_format=True)


def _common_elements(header: Any, affine: np.ndarray, shape: tuple[int, ...], image_class: str, color: bool) -> Any:
    """Elements that are the same in all images of the series."""
    highdicom, pydicom = require("highdicom"), require("pydicom")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = lps_from_ras((affine[:3, :2] / spacing[:2]).T).ravel()
    between_columns, between_rows, between_slices = spacing.tolist()
    common = pydicom.Dataset()
    if "SpecificCharacterSet" in header:
        common.SpecificCharacterSet = header.SpecificCharacterSet
    common.PatientPosition = header.get("PatientPosition", "")
    common.Laterality = ""
    common.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or _uid_from("frame", header)
    common.PositionReferenceIndicator = ""
    common.update(highdicom.PlaneOrientationSequence("PATIENT", cosines)[0])
    common.update(highdicom.PixelMeasuresSequence((between_rows, between_columns), between_slices, between_slices)[0])
    common.BurnedInAnnotation = "NO"
    common.LossyImageCompression = "00"
    common.DerivationDescription = f"Fused by {PRODUCT} from the source images. {WARNING.capitalize()}."
    common.ImageComments = WARNING

    common.Columns, common.Rows = shape[:2]
    common.PixelRepresentation = 0
    if color:
        common.SamplesPerPixel, common.PhotometricInterpretation, common.PlanarConfiguration = 3, "RGB", 0
        common.BitsAllocated, common.BitsStored, common.HighBit = 8, 8, 7
    else:
        common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
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


def _uid_from(kind: str, header: Any) -> str:
    """A UID in place of one that the header lacks; it is the same for all series made from that header."""
    return require("pydicom").uid.generate_uid(entropy_srcs=[kind, str(header.SOPInstanceUID)])


def _reference_to(header: Any) -> Any:
    item = require("pydicom").Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def _slices_met(affine: np.ndarray, shape: tuple[int, ...], k: int, reference: Volume) -> Sequence[Any]:
    """Headers of the slices of the reference between which slice k of the written volume lies."""
    if len(reference.headers) != reference.values.shape[2]:
        return reference.headers
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)])
    slices = (np.linalg.inv(reference.affine) @ affine @ corners.T)[2].round(3)
    return reference.headers[max(0, int(np.floor(slices.min()))) : max(0, int(np.ceil(slices.max())) + 1)]
