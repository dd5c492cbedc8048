"""Writing a resampled source as a derived series of its own modality, with its values, for viewers that fuse."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volume import Volume
from ..utils.enums import Modality
from ..utils.files import write_folder_atomically
from .header import DICOM_MODALITIES, require
from .privacy import TERMS, quiet_pydicom
from .suv import scan_start, suv_factor
from .write_common import (
    PRODUCT,
    SeriesOffset,
    body_part,
    burned_in_element,
    check_grid,
    complete_header,
    geometry_elements,
    only_known,
    plane_position,
    reference_to,
    said_of_registration,
    series_identity,
    slices_met,
)

__all__ = ["write_source_series"]

LEVELS = 65535  # of 16 bits
WHOLE_SUFFICES = 2048  # range above which rounding to whole numbers loses less than 1/4096 of it
OF_PATIENT = ("PatientWeight", "PatientSize", "PatientSex")  # which SUV needs, and its variants
OF_CT = ("KVP", "AcquisitionNumber", "ConvolutionKernel", "ContrastBolusAgent")
OF_MR = ("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime")
OF_MR_TOO = ("EchoTrainLength", "InversionTime", "FlipAngle", "MagneticFieldStrength")
OF_PET = (
    "RadiopharmaceuticalInformationSequence",
    "CorrectedImage",
    "DecayCorrection",
    "AttenuationCorrectionMethod",
    "ScatterCorrectionMethod",
    "RandomsCorrectionMethod",
    "ReconstructionMethod",
    "CollimatorType",
    "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence",
)
OF_PET_SLICE = ("AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration", "DecayFactor")
OF_NM = (
    "EnergyWindowInformationSequence",
    "RadiopharmaceuticalInformationSequence",
    "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence",
)


@dataclass(frozen=True)
class Stored:
    """Values as they are stored.

    Args:
        pixels: (X, Y, Z), 16 bits, signed or not.
        slope: of the stored numbers.
        intercept: value of the stored 0.
    """

    pixels: np.ndarray
    slope: float
    intercept: float


@quiet_pydicom()
def write_source_series(
    folder: str | os.PathLike,
    values: np.ndarray,
    affine: np.ndarray,
    reference: Volume,
    source: Volume,
    window: tuple[float, float],
    matrix: np.ndarray | None = None,
) -> list[Path]:
    """Write a source, resampled, as a derived series of its own modality in the study and frame of its reference.

    Any viewer that overlays two series of one frame of reference can then fuse it with the reference by itself.

    - CT: CT Image Storage in Hounsfield units.
    - PET: Positron Emission Tomography Image Storage in the units of the file, with dose, times, corrections and
      weight of the source, so that a viewer computes the SUV that the source has. Values that were brought to SUV are
      brought back to Bq/ml; where the headers do not suffice for that, they are written as SUVbw (units GML).
    - SPECT: one multi-frame file of Nuclear Medicine Image Storage, counts.
    - MRI: MR Image Storage, with the values and the sequence of the source.

    Stored are 16 bits with one slope for the series. CT and MRI with a range above 2048 are rounded to whole numbers,
    which loses less than 1/4096 of the range; all others lose less than 1/65000 of it.

    Args:
        folder: the folder to write; it must not exist, or be empty.
        values: (X, Y, Z) in ``source.unit``.
        affine: (4, 4) voxel to world of ``values``, mm, RAS+, with perpendicular axes.
        reference: the volume whose patient, study and frame of reference are kept; needs DICOM headers.
        source: the volume as it was read; without DICOM headers the elements of the scan stay empty.
        window: the two values, in ``source.unit``, that viewers show as black and white at first.
        matrix: (4, 4), a point of ``reference`` to the same point of ``source``, mm, RAS+; it decides which source
            images a slice names. Defaults to None: they are the same.

    Returns:
        The files, in the order of slices; a single one for SPECT.

    Raises:
        ValueError: When ``reference`` has no headers, ``source`` no modality, values are not finite or axes are not
            perpendicular.
        InputError: When highdicom is not installed, or the folder is not empty or cannot be written; nothing is left
            behind.
    """
    affine = np.asarray(affine, dtype=np.float64)
    check_grid(affine, reference)
    if source.modality is None:
        raise ValueError("`source.modality` must be known, got None.")
    if not np.isfinite(values).all():
        raise ValueError("The values to write must be finite, got NaN or infinite ones. Replace them.")
    if source.modality is Modality.SPECT and np.linalg.det(affine[:3, :3]) < 0:  # its slices follow the normal
        affine, values = affine @ _reversed(values.shape[2]), values[:, :, ::-1]
    write = _Writer(values, affine, reference, source, window, np.eye(4) if matrix is None else np.asarray(matrix))
    names: list[str] = []
    write_folder_atomically(folder, lambda temporary: names.extend(write(temporary)))
    return [Path(folder) / name for name in names]


def _reversed(count: int) -> np.ndarray:
    """Matrix from voxel indices whose last axis is reversed to the indices themselves."""
    matrix = np.diag([1.0, 1.0, -1.0, 1.0])
    matrix[2, 3] = count - 1
    return matrix


class _Writer:
    """Writes one series; its methods share what they make of the headers."""

    def __init__(
        self,
        values: np.ndarray,
        affine: np.ndarray,
        reference: Volume,
        source: Volume,
        window: tuple[float, float],
        matrix: np.ndarray,
    ) -> None:
        pydicom = require("pydicom")
        self.affine, self.source = affine, source
        self.to_source = matrix @ affine
        self.header = complete_header(reference.headers[0])
        self.own = source.headers[0] if source.headers else pydicom.Dataset()
        self.code = DICOM_MODALITIES[source.modality]  # type: ignore[index]  # checked before
        elements: dict[str, Callable[[], Any]] = {"CT": self._ct, "MR": self._mr, "PT": self._pet, "NM": self._nm}
        self.units, self.factor = ("", 1.0) if self.code != "PT" else self._units_of_pet()
        self.shape = values.shape
        self.stored = _stored(values.astype(np.float64) * self.factor, zero_is_zero=self.code in ("PT", "NM"))
        self.common = geometry_elements(self.header, affine, values.shape)
        self.common.update(body_part(self.own, self.header))
        self.common.update(burned_in_element([source]))
        low, high = (float(value) * self.factor for value in window)
        self.common.WindowCenter, self.common.WindowWidth = _decimal((low + high) / 2), _decimal(max(high - low, 1e-6))
        self.common.VOILUTFunction = "LINEAR_EXACT"  # LINEAR takes no width below 1, such as one of SUV .4
        self._say_pixels()
        self.common.update(elements[self.code]())

    def __call__(self, folder: Path) -> list[str]:
        """Write all files, and return their names."""
        highdicom, uid = require("highdicom"), require("pydicom").uid
        series = {
            **series_identity(self.header, SeriesOffset.SOURCE_B, f"{self.code} on the fusion grid"),
            "study_instance_uid": self.header.StudyInstanceUID,
            "sop_class_uid": {
                "CT": uid.CTImageStorage,
                "MR": uid.MRImageStorage,
                "PT": uid.PositronEmissionTomographyImageStorage,
                "NM": uid.NuclearMedicineImageStorage,
            }[self.code],
            "modality": self.code,
            "transfer_syntax_uid": uid.ExplicitVRLittleEndian,
        }
        slices: list[Sequence[int]] = (
            [range(self.shape[2])] if self.code == "NM" else [[k] for k in range(self.shape[2])]
        )
        names = []
        for number, members in enumerate(slices, start=1):
            image = highdicom.SOPClass(**series, sop_instance_uid=uid.generate_uid(), instance_number=number)
            image.copy_patient_and_study_information(self.header)
            _copy(image, self.own, OF_PATIENT)
            image.update(self.common)
            if self.code != "NM":
                image.update(plane_position(self.affine, members[0]))
            met = {id(h): h for k in members for h in slices_met(self.to_source, self.shape, k, self.source)}
            if met:
                image.SourceImageSequence = [reference_to(h) for h in met.values()]
            if self.code == "PT":
                self._say_pet_slice(image, members[0])
            image.PixelData = np.ascontiguousarray(self.stored.pixels[:, :, list(members)].T).tobytes()
            names.append(f"{number:04d}.dcm")
            image.save_as(folder / names[-1], enforce_file_format=True)
        return names

    def _say_pixels(self) -> None:
        common, stored = self.common, self.stored
        common.BitsAllocated, common.BitsStored, common.HighBit = 16, 16, 15
        common.PixelRepresentation = int(stored.pixels.dtype.kind == "i")
        common.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if self.code == "CT" else "OTHER", "RESAMPLED"]
        said = said_of_registration([self.source])
        common.DerivationDescription = f"Resampled by {PRODUCT} on the fusion grid. {said}"
        if (stored.slope, stored.intercept) != (1.0, 0.0) or self.code in ("CT", "PT"):
            common.RescaleSlope, common.RescaleIntercept = _decimal(stored.slope), _decimal(stored.intercept)

    def _ct(self) -> Any:
        elements = _empty(("KVP", "AcquisitionNumber"))
        elements.RescaleType = "HU" if self.source.unit == "HU" else "US"
        return _copy(elements, self.own, OF_CT)

    def _mr(self) -> Any:
        elements = _empty((*OF_MR, "EchoTrainLength"))
        elements.ScanningSequence, elements.SequenceVariant = "RM", "NONE"
        if "RescaleSlope" in self.common:
            elements.RescaleType = "US"
        return _copy(elements, self.own, (*OF_MR, *OF_MR_TOO))

    def _units_of_pet(self) -> tuple[str, float]:
        """Units of the series, and the factor that brings the values there."""
        units = words if (words := str(self.own.get("Units"))) in TERMS else "PROPCNTS"
        if self.source.unit != "SUVbw":
            return units, 1.0
        if units != "BQML":
            return "GML", 1.0
        try:  # a viewer, which has these headers alone, must find the same SUV
            same = math.isclose(suv_factor(self.source.headers), self.source.factor, rel_tol=1e-6)
        except (ValueError, IndexError):
            same = False
        return (units, 1 / self.source.factor) if same else ("GML", 1.0)

    def _pet(self) -> Any:
        elements = _empty((*OF_PET, *OF_PET_SLICE))
        elements.DecayCorrection = "NONE"
        _copy(elements, self.own, OF_PET)
        elements.RadiopharmaceuticalInformationSequence = [
            _copy(_empty(("RadionuclideCodeSequence",)), dose, dose.dir())
            for dose in elements.RadiopharmaceuticalInformationSequence
        ]
        elements.ImageType = ["DERIVED", "PRIMARY", "OTHER", "RESAMPLED"]  # PS3.3 C.8.9.4.1.1 allows no SECONDARY
        del self.common.PatientPosition  # the standard wants PatientOrientationCodeSequence in its place
        elements.Units = self.units
        if self.units == "GML":
            elements.SUVType = "BW"
        kind = str((self.own.get("SeriesType") or [""])[0])
        elements.SeriesType = [kind if kind in ("STATIC", "WHOLE BODY") else "STATIC", "IMAGE"]
        elements.CountsSource = "EMISSION"
        elements.NumberOfSlices = self.shape[2]
        elements.SeriesDate, elements.SeriesTime = self._beginning()
        return elements

    def _beginning(self) -> tuple[str, str]:
        """Date and time for which the decay is corrected, which viewers look for in the series' time."""
        try:
            moment = scan_start(self.source.headers)
            return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
        except (ValueError, IndexError):
            words = [self.own.get(f"Series{kind}") or self.header.get(f"Study{kind}") for kind in ("Date", "Time")]
            return str(words[0] or "19000101"), str(words[1] or "000000")

    def _say_pet_slice(self, image: Any, k: int) -> None:
        """What can differ from bed to bed, as in the source's slice there, or the nearest one."""
        image.ImageIndex = k + 1
        image.FrameReferenceTime, image.DecayFactor = 0, 1
        if len(self.source.headers) == self.source.values.shape[2]:
            middle = self.to_source @ [(self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2, k, 1]
            place = (np.linalg.inv(self.source.affine) @ middle)[2]
            nearest = self.source.headers[int(np.clip(np.rint(place), 0, len(self.source.headers) - 1))]
            _copy(image, nearest, OF_PET_SLICE)
        if image.DecayCorrection == "NONE":
            del image.DecayFactor

    def _nm(self) -> Any:
        from pydicom.tag import Tag

        elements = _empty((*OF_NM, "CountsAccumulated", "RotationInformationSequence"))
        _copy(elements, self.own, OF_NM)
        elements.ImageType = ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]  # PS3.3 C.8.4.9.1.1 allows no SECONDARY
        elements.NumberOfEnergyWindows = elements.NumberOfDetectors = elements.NumberOfRotations = 1
        count = self.shape[2]
        elements.NumberOfFrames = elements.NumberOfSlices = count
        elements.FrameIncrementPointer = Tag("SliceVector")
        elements.SliceVector = list(range(1, count + 1))
        elements.SpacingBetweenSlices = self.common.SliceThickness
        detector = _empty(("CollimatorType",))
        detector.ImageOrientationPatient = self.common.ImageOrientationPatient
        detector.update(plane_position(self.affine, 0))
        elements.DetectorInformationSequence = [detector]
        for keyword in ("ImageOrientationPatient", "PatientPosition"):  # told by the detector, and by a code
            delattr(self.common, keyword)
        return elements


def _stored(values: np.ndarray, zero_is_zero: bool) -> Stored:
    """Values in 16 bits: as whole numbers where these suffice, else with a slope.

    Args:
        values: (X, Y, Z) finite.
        zero_is_zero: whether the stored 0 must be the value 0, as in PET.
    """
    low, high = float(values.min()), float(values.max())
    whole = bool((values == np.rint(values)).all()) or (not zero_is_zero and high - low > WHOLE_SUFFICES)
    if whole and 0 <= low and high <= LEVELS:
        return Stored(np.rint(values).astype("<u2"), 1.0, 0.0)
    if zero_is_zero and low < 0:
        slope = _rounded_up(max(-low, high) / (LEVELS // 2))
        return Stored(np.rint(values / slope).astype("<i2"), slope, 0.0)
    intercept = 0.0 if zero_is_zero else float(math.floor(low)) if whole else float(_decimal(low))
    slope = 1.0 if whole and high - intercept <= LEVELS else _rounded_up((high - intercept) / LEVELS)
    return Stored(np.rint((values - intercept) / slope).clip(0, LEVELS).astype("<u2"), slope, intercept)


def _rounded_up(slope: float) -> float:
    """A slope, not smaller, that a decimal string of 16 letters holds exactly; 1 for 0."""
    return float(_decimal(slope * (1 + 1e-8))) if slope > 0 else 1.0


def _decimal(value: float) -> str:
    """A number as a decimal string of at most 16 letters."""
    return f"{value:.9g}"


def _empty(keywords: Sequence[str]) -> Any:
    """Elements that must be there and may be empty."""
    elements = require("pydicom").Dataset()
    for keyword in keywords:
        setattr(elements, keyword, [] if keyword.endswith("Sequence") else None)
    return elements


def _copy(target: Any, header: Any, keywords: Sequence[str]) -> Any:
    """Copy the elements that the header has and that are not empty."""
    for keyword in keywords:
        if header.get(keyword) not in (None, "", []):
            setattr(target, keyword, only_known(header[keyword].value))
    return target
