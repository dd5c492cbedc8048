"""The registration as a DICOM Spatial Registration object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..scripts.data.volume import Volume
from ..scripts.dicom.header import require
from ..scripts.dicom.write_common import SeriesOffset, body_part, complete_header, reference_to
from .common import object_identity, referenced_series

__all__ = ["spatial_registration"]

IDENTITY_CODE = ("125021", "Frame of Reference Identity")  # CID 7100
CONTENT_CODE = ("125024", "Image Content-based Alignment")
ACCEPTED = "accepted by hand beyond the limits of plausibility"
RIGID_TOLERANCE = 1e-4  # of a rotation's columns
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS+ to LPS+ and back


def spatial_registration(
    matrix: Sequence[Sequence[float]] | np.ndarray, reference: Volume, source: Volume, beyond_limits: bool = False
) -> Any:
    """Make the object that brings source B into the frame of reference of source A.

    Its matrix maps a point of source B to the same point in the frame of source A, LPS+, mm: "source RCS to registered
    RCS" of PS3.3 C.20.2.1.1, the inverse of the transform by which images are resampled.

    Args:
        matrix: (4, 4), a point of A to the same point of B, RAS+, mm, as ``Registration.matrix``.
        reference: source A, with DICOM headers.
        source: source B, with DICOM headers.
        beyond_limits: whether it breaks a limit and was accepted by hand, which the object then says. Defaults to
            False.

    Returns:
        The pydicom dataset, of class Spatial Registration Storage.

    Raises:
        ValueError: When a volume has no headers, or the matrix has no inverse.

    Reference: DICOM PS3.3, A.39 and C.20.2.
    """
    if not (reference.headers and source.headers):
        raise ValueError("`reference` and `source` must have DICOM headers, one of them has none.")
    highdicom, pydicom = require("highdicom"), require("pydicom")
    try:
        forward = LPS @ np.linalg.inv(np.asarray(matrix, dtype=np.float64)) @ LPS
    except np.linalg.LinAlgError:
        raise ValueError(f"`matrix` must have an inverse, got {np.asarray(matrix).tolist()}.") from None
    header, moved = complete_header(reference.headers[0]), complete_header(source.headers[0])
    a, b = (str(one.get("Modality") or letter) for letter, one in (("A", header), ("B", moved)))
    identity = object_identity(header, SeriesOffset.REGISTRATION, f"registration of {b} to {a}")
    del identity["device_serial_number"]
    made = highdicom.SOPClass(
        **identity,
        study_instance_uid=header.StudyInstanceUID,
        sop_class_uid=pydicom.uid.SpatialRegistrationStorage,
        modality="REG",
        transfer_syntax_uid=pydicom.uid.ExplicitVRLittleEndian,
    )
    made.copy_patient_and_study_information(header)
    made.SpecificCharacterSet = header.SpecificCharacterSet
    made.FrameOfReferenceUID = header.FrameOfReferenceUID
    made.PositionReferenceIndicator = ""
    made.update(body_part(header))
    made.ContentLabel, made.ContentDescription = "REGISTRATION", "Source B to the frame of reference of source A"
    made.ContentCreatorName = ""
    comment = ACCEPTED if beyond_limits else ""
    # One frame for both, as of one machine: a matrix for the frame would move A too, so B's is for its images alone.
    shared = header.FrameOfReferenceUID == moved.FrameOfReferenceUID
    made.RegistrationSequence = [
        _item(None if shared else header, reference.headers, np.eye(4), IDENTITY_CODE, ""),
        _item(None if shared else moved, source.headers, forward, CONTENT_CODE, comment),
    ]
    here = [*reference.headers]
    if moved.StudyInstanceUID == header.StudyInstanceUID:
        here += source.headers
    else:
        other = pydicom.Dataset()
        other.StudyInstanceUID = moved.StudyInstanceUID
        other.ReferencedSeriesSequence = referenced_series(source.headers)
        made.StudiesContainingOtherReferencedInstancesSequence = [other]
    made.ReferencedSeriesSequence = referenced_series(here)
    return made


def _item(frame: Any, headers: Sequence[Any], matrix: np.ndarray, code: tuple[str, str], comment: str) -> Any:
    """One item of the RegistrationSequence."""
    pydicom = require("pydicom")
    step, registration, item, kind = (pydicom.Dataset() for _ in range(4))
    linear = matrix[:3, :3]
    rigid = np.abs(linear.T @ linear - np.eye(3)).max() < RIGID_TOLERANCE and np.linalg.det(linear) > 0
    step.FrameOfReferenceTransformationMatrixType = "RIGID" if rigid else "AFFINE"
    step.FrameOfReferenceTransformationMatrix = [f"{number:.9g}" for number in (matrix + 0.0).ravel()]
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = code[0], "DCM", code[1]
    registration.RegistrationTypeCodeSequence = [kind]
    registration.FrameOfReferenceTransformationComment = comment
    registration.MatrixSequence = [step]
    if frame is not None:
        item.FrameOfReferenceUID = frame.FrameOfReferenceUID
    item.ReferencedImageSequence = [reference_to(header) for header in headers]
    item.MatrixRegistrationSequence = [registration]
    return item
