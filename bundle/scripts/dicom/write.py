"""Writing a fused volume as a DICOM series that belongs to the study of its reference."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import BUNDLE_ROOT
from ..data.volume import Volume
from ..utils.checks import InputError
from .read import DICOM_MODALITIES, quiet_pydicom, require

__all__ = ["write_dicom_series"]

HIGHEST = 4095  # 12 bit, what every viewer and printer takes
SERIES_NUMBER_OFFSET = 1000  # puts the fused series behind those of the scanner
AXES_TOLERANCE = 0.011  # cosine between axes, that of the shear which the reader keeps
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

    The class of the images is the one that viewers stack and reformat (MPR) without claiming what is not so:

    - MR reference: MR Image Storage. Its values are arbitrary anyway; the sequence is given as research mode.
    - CT reference: CT Image Storage with RescaleType US (unspecified), so that no one takes gray levels for HU.
    - PET or SPECT reference, and color: Secondary Capture with position and orientation. A PET image would need a
      tracer, units and a decay correction, an NM image its detectors, and neither MR nor CT may be in color.

    Single-frame, since most workstations do not reformat multi-frame Secondary Capture. Gray values are stored as
    0..4095, color as 8-bit RGB.

    Args:
        folder: where to; it must not exist or be empty.
        fused: (X, Y, Z) in [0, 1].
        affine: (4, 4) voxel to world of ``fused``, mm, RAS+, with perpendicular axes.
        reference: the volume whose patient, study and frame of reference are kept; needs DICOM headers.
        sources: the volumes that were fused, A and B; those with DICOM headers are named as source images: of
            ``reference`` the slices that meet the written one, of others, which may have been moved, all.
        rgb: (3, X, Y, Z) uint8, written in place of ``fused``. Defaults to None.

    Returns:
        The files, in the order of slices.

    Raises:
        ValueError: When ``reference`` has no headers, shapes or types do not fit, values are not finite or axes are
            not perpendicular.
        InputError: When the folder is not empty or cannot be written; nothing is left behind.
    """
    folder, affine = Path(folder), np.asarray(affine, dtype=np.float64)
    _check(fused, affine, reference, rgb)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or empty folder for the DICOM series. Choose another output.")
    temporary = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        names = _write_slices(temporary, fused, affine, reference, sources, rgb)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: could not be written: {error.strerror or error}. Nothing was left there."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [folder / name for name in names]


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
) -> list[str]:
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
        "software_versions": json.loads((Path(BUNDLE_ROOT) / "configs" / "metadata.json").read_text())["version"],
        "series_description": f"{PRODUCT} fused {codes} - {WARNING}",
        "transfer_syntax_uid": uid.ExplicitVRLittleEndian,
    }
    common = _common_elements(header, affine, fused.shape, image_class, rgb is not None)
    moved = [_reference_to(h) for source in sources if source is not reference for h in source.headers]
    names = []
    for k in range(fused.shape[2]):
        image = highdicom.SOPClass(**series, sop_instance_uid=uid.generate_uid(), instance_number=k + 1)
        image.copy_patient_and_study_information(header)
        image.update(common)
        image.ImagePositionPatient = _decimals(_to_lps(affine @ [0, 0, k, 1]))
        image.SourceImageSequence = [_reference_to(h) for h in _slices_met(affine, fused.shape, k, reference)] + moved
        if rgb is None:
            image.PixelData = np.rint(fused[:, :, k].T.clip(0, 1) * HIGHEST).astype("<u2").tobytes()
        else:
            image.PixelData = rgb[:, :, :, k].T.tobytes()
        names.append(f"{k + 1:04d}.dcm")
        image.save_as(folder / names[-1], enforce_file_format=True)
    return names


def _common_elements(header: Any, affine: np.ndarray, shape: tuple[int, ...], image_class: str, color: bool) -> Any:
    """What is the same in all images of the series."""
    pydicom = require("pydicom")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = _to_lps((affine[:3, :2] / spacing[:2]).T)
    common = pydicom.Dataset()
    if "SpecificCharacterSet" in header:
        common.SpecificCharacterSet = header.SpecificCharacterSet
    common.PatientPosition = header.get("PatientPosition", "")
    common.Laterality = ""
    common.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or _uid_from("frame", header)
    common.PositionReferenceIndicator = ""
    common.ImageOrientationPatient = _decimals(directions.ravel())
    common.PixelSpacing = _decimals(spacing[1::-1])  # between rows, then between columns
    common.SliceThickness, common.SpacingBetweenSlices = _decimals(spacing[[2, 2]])
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
    """A UID that the header lacks, the same for all series made from it."""
    return require("pydicom").uid.generate_uid(entropy_srcs=[kind, str(header.SOPInstanceUID)])


def _to_lps(vectors: np.ndarray) -> np.ndarray:
    """RAS+ vectors, the coordinates last, in DICOM's LPS; a fourth coordinate is dropped."""
    return vectors[..., :3] * [-1, -1, 1]


def _decimals(values: np.ndarray) -> list[Any]:
    """Decimal strings of at most 16 characters."""
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(value), auto_format=True) for value in values]


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
