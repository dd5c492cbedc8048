"""What all written DICOM objects share: who made them, their numbers, patient, study, geometry and references."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from ..data.volume import ACCEPTED_BEYOND_LIMITS, Volume
from ..utils.geometry import lps_from_ras
from ..utils.metadata import bundle_metadata
from .header import require
from .privacy import BURNED_IN

__all__ = [
    "PRODUCT",
    "WARNING",
    "SeriesOffset",
    "body_part",
    "burned_in_element",
    "check_grid",
    "complete_header",
    "geometry_elements",
    "only_known",
    "plane_position",
    "reference_to",
    "said_of_registration",
    "series_identity",
    "slices_met",
]

PRODUCT = "MMIF-AMIN"
WARNING = "NOT FOR DIAGNOSTIC USE"
CHARACTERS = "ISO_IR 192"  # UTF-8
HIGHEST_NUMBER = 2**31 - 1  # of an IS element
AXES_TOLERANCE = 0.011  # cosine between axes; the reader keeps shears up to 0.01, highdicom.VolumeGeometry 0.0001
EMPTY = (  # elements of patient and study that a header may lack, although each image must have them, if only empty
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
WANTED = frozenset(  # what of a patient, in group 0010, a new object of the study says beside EMPTY
    ("IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight")
)
UNWANTED = frozenset(  # of a study or specimen: optional, and names persons and their ills
    "ReferringPhysicianIdentificationSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence "
    "PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy "
    "PhysiciansReadingStudyIdentificationSequence AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence "
    "ReferencedStudySequence ReferencedPatientSequence ProcedureCodeSequence IssuerOfAccessionNumberSequence "
    "ContainerIdentifier ContainerDescription ContainerTypeCodeSequence ContainerComponentSequence "
    "IssuerOfTheContainerIdentifierSequence AlternateContainerIdentifierSequence SpecimenDescriptionSequence".split()
)
UNWANTED_GROUPS = (0x0032, 0x0038)  # who asked for the study, why, and about the patient's visit
OF_ITEMS = frozenset(  # of the sequences that are copied: codes, what was given to the patient, energy windows
    "CodeValue LongCodeValue URNCodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning "
    "PatientOrientationModifierCodeSequence RadionuclideCodeSequence RadiopharmaceuticalCodeSequence "
    "RadiopharmaceuticalRoute AdministrationRouteCodeSequence Radiopharmaceutical RadiopharmaceuticalVolume "
    "RadiopharmaceuticalStartTime RadiopharmaceuticalStopTime RadiopharmaceuticalStartDateTime "
    "RadiopharmaceuticalStopDateTime RadionuclideTotalDose RadionuclideHalfLife RadionuclidePositronFraction "
    "RadiopharmaceuticalSpecificActivity EnergyWindowName EnergyWindowRangeSequence EnergyWindowLowerLimit "
    "EnergyWindowUpperLimit".split()
)
UNPAIRED = frozenset(  # defined terms of BodyPartExamined (PS3.16, annex L) that have no left and right one
    "ABDOMEN ABDOMENPELVIS AORTA BACK BLADDER BRAIN CEREBELLUM CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS "
    "CIRCLEOFWILLIS COCCYX COLON CSPINE CTSPINE DUODENUM ESOPHAGUS FACE GALLBLADDER HEAD HEADNECK HEART ILEUM JAW "
    "JEJUNUM LARYNX LIVER LSPINE LSSPINE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN "
    "NECKCHESTABDPELV NOSE PANCREAS PELVIS PENIS PHARYNX PROSTATE RECTUM SCALP SKULL SPINE SPLEEN SSPINE STERNUM "
    "STOMACH THYROID TLSPINE TONGUE TRACHEA TSPINE URETHRA UTERUS VAGINA VULVA WHOLEBODY".split()
)


class SeriesOffset(IntEnum):
    """What is added to the series number of source A, so that no two written series have the same."""

    FUSED = 1000
    FUSED_COLOR = 2000
    SOURCE_B = 3000
    REGISTRATION = 4000
    BLENDING = 5000
    LOSS_MAPS = 6000
    CARRIED = 7000


def check_grid(affine: np.ndarray, reference: Volume) -> None:
    """Refuse what no DICOM object of the study of ``reference`` can hold.

    Args:
        affine: (4, 4) voxel to world of what is to be written, mm, RAS+.
        reference: the volume whose patient, study and frame of reference are kept.

    Raises:
        ValueError: When ``reference`` has no headers, or the axes are not perpendicular.
    """
    if not reference.headers:
        raise ValueError("`reference.headers` must hold the headers of a DICOM series, got none. Write NIfTI instead.")
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if not np.abs(axes.T @ axes - np.eye(3)).max() <= AXES_TOLERANCE:
        raise ValueError(f"`affine` must have perpendicular axes, got {affine.tolist()}. Resample first.")


def complete_header(header: Any) -> Any:
    """A copy of a header for a new object of its study: with all of patient and study that it must have, and no more.

    Left out are private elements, and those optional ones of patient and study that tell of persons. Text is in UTF-8:
    the characters of source A need not hold what is said of source B or of a structure, and highdicom refuses some that
    scanners write, such as ISO_IR 6 and the usual Japanese ones. Missing text becomes empty. A missing StudyInstanceUID
    or FrameOfReferenceUID becomes one that is the same for all objects made from images of that series.
    """
    pydicom = require("pydicom")
    whole = pydicom.Dataset()
    whole.update({tag: _decoded(header, tag) for tag in header.keys() if _is_wanted(tag)})
    whole.SpecificCharacterSet = CHARACTERS
    for keyword in EMPTY:
        if keyword not in whole:
            setattr(whole, keyword, "")
    for keyword, kind in (("StudyInstanceUID", "study"), ("FrameOfReferenceUID", "frame")):
        if not whole.get(keyword):
            sources = [kind, str(header.get("SeriesInstanceUID") or header.SOPInstanceUID)]
            setattr(whole, keyword, pydicom.uid.generate_uid(entropy_srcs=sources))
    return whole


def _decoded(header: Any, tag: Any) -> Any:
    """An element of its own, its text decoded by the header's characters; a damaged one stays raw."""
    try:
        return copy.copy(header[tag])
    except Exception:  # pydicom raises many types
        return header.get_item(tag)


def _is_wanted(tag: Any) -> bool:
    """Whether a new object of a study may say this too."""
    keyword = require("pydicom.datadict").keyword_for_tag(tag)
    if tag.group == 0x0010 and keyword not in WANTED and keyword not in EMPTY:
        return False
    return not (tag.is_private or tag.group in UNWANTED_GROUPS or keyword in UNWANTED)


def series_identity(header: Any, offset: int, description: str) -> dict[str, Any]:
    """Arguments of highdicom's classes that say which new series this is and what made it.

    Args:
        header: complete header of source A.
        offset: see ``SeriesOffset``.
        description: what it holds; the warning is added.
    """
    uid = require("pydicom").uid
    return {
        "series_instance_uid": uid.generate_uid(),
        "series_number": max(1, min(offset + int(header.get("SeriesNumber") or 0), HIGHEST_NUMBER)),
        "series_description": f"{PRODUCT} {description} - {WARNING}",
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": bundle_metadata()["version"],
    }


def body_part(*headers: Any) -> Any:
    """BodyPartExamined and Laterality of a written series, each from the first header that tells it.

    Laterality must be there, if only empty, where the part may be a paired one, and must not be where it is not
    (PS3.3, C.7.3.1).
    """
    elements = require("pydicom").Dataset()
    for keyword in ("BodyPartExamined", "Laterality"):
        for header in headers:
            if keyword not in elements and header.get(keyword):
                elements[keyword] = header[keyword]
    if elements.get("BodyPartExamined") in UNPAIRED:
        elements.pop("Laterality", None)
    elif "Laterality" not in elements:
        elements.Laterality = ""
    return elements


def geometry_elements(header: Any, affine: np.ndarray, shape: Sequence[int]) -> Any:
    """Elements of geometry, and of how to read the pixels, that are the same in all images of a written series.

    Args:
        header: complete header of the volume whose frame of reference is kept.
        affine: (4, 4) voxel to world, mm, RAS+.
        shape: columns, rows, slices.
    """
    highdicom, pydicom = require("highdicom"), require("pydicom")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = lps_from_ras((affine[:3, :2] / spacing[:2]).T).ravel()
    between_columns, between_rows, between_slices = spacing.tolist()
    common = pydicom.Dataset()
    common.SpecificCharacterSet = header.SpecificCharacterSet
    common.PatientPosition = header.get("PatientPosition", "")
    common.FrameOfReferenceUID = header.FrameOfReferenceUID
    common.PositionReferenceIndicator = ""
    common.update(highdicom.PlaneOrientationSequence("PATIENT", cosines)[0])
    common.update(highdicom.PixelMeasuresSequence((between_rows, between_columns), between_slices, between_slices)[0])
    common.LossyImageCompression = "00"
    common.ImageComments = WARNING
    common.Columns, common.Rows = shape[:2]
    common.PixelRepresentation = 0
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    return common


def plane_position(affine: np.ndarray, k: int) -> Any:
    """Elements that say where slice ``k`` of a grid lies."""
    corner = lps_from_ras((affine @ [0, 0, k, 1])[:3])
    return require("highdicom").PlanePositionSequence("PATIENT", corner)[0]


def burned_in_element(sources: Iterable[Volume]) -> Any:
    """BurnedInAnnotation of what was made of these volumes: YES where an image of them says so."""
    element = require("pydicom").Dataset()
    element.BurnedInAnnotation = "YES" if any(BURNED_IN in source.notes for source in sources) else "NO"
    return element


def only_known(value: Any) -> Any:
    """The value of an element; of a sequence, items that hold only what ``OF_ITEMS`` names, however deep.

    Anything else in an item of a sequence that is copied, such as a private element, is there by nobody's rule.
    """
    pydicom = require("pydicom")
    if not isinstance(value, pydicom.Sequence):
        return value
    items = []
    for item in value:
        kept = pydicom.Dataset()
        for element in item:
            if element.keyword in OF_ITEMS:
                kept.add_new(element.tag, element.VR, only_known(element.value))
        items.append(kept)
    return items


def reference_to(header: Any) -> Any:
    """An item of a sequence that names an image."""
    item = require("pydicom").Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def slices_met(affine: np.ndarray, shape: Sequence[int], k: int, reference: Volume) -> Sequence[Any]:
    """Headers of the slices of a volume between which slice ``k`` of a grid lies; all where it is one file.

    Args:
        affine: (4, 4) voxel of the grid to the world of ``reference``, mm, RAS+.
        shape: columns, rows, slices of the grid.
        k: which slice.
        reference: the volume.
    """
    if len(reference.headers) != reference.values.shape[2]:
        return reference.headers
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)])
    slices = (np.linalg.inv(reference.affine) @ affine @ corners.T)[2].round(3)
    return reference.headers[max(0, int(np.floor(slices.min()))) : max(0, int(np.ceil(slices.max())) + 1)]


def said_of_registration(sources: Sequence[Volume]) -> str:
    """The end of a derivation description: the warning, and whether a registration was accepted beyond its limits."""
    notes = [note for source in sources for note in source.notes if note.startswith(ACCEPTED_BEYOND_LIMITS)]
    return " ".join([f"{WARNING.capitalize()}.", *(f"{note[0].upper()}{note[1:]}." for note in notes)])
