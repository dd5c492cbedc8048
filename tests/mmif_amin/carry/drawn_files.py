"""Makers of made-up RTSTRUCT and SEG files over made-up series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from mmif_amin.scripts.data.volume import Volume
from mmif_amin.scripts.dicom.write_common import complete_header
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from mmif_amin.dicom_objects.common import grid_volume
from tests.model.dicom.dicom_phantoms import base_header, item_of

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ball(volume: Volume, center: Sequence[float], radius: float) -> list[np.ndarray]:
    """Circles of a ball in the planes of a volume's slices, LPS, mm; its center is given by voxel index."""
    affine = LPS @ volume.affine
    middle = (affine @ [*center, 1])[:3]
    row, column = (affine[:3, k] / np.linalg.norm(affine[:3, k]) for k in (0, 1))
    angle = np.linspace(0, 2 * np.pi, 73)[:-1, None]
    circles = []
    for k in range(volume.values.shape[2]):
        plane = (affine @ [*center[:2], k, 1])[:3]
        left = radius**2 - float(((plane - middle) ** 2).sum())
        if left > 0:
            circles.append(plane + np.sqrt(left) * (np.cos(angle) * row + np.sin(angle) * column))
    return circles


def write_contours(path: Path, volume: Volume, rois: dict[str, Sequence[np.ndarray]], **keywords: Any) -> Path:
    """An RTSTRUCT of these regions, drawn on a volume; ``frame`` and ``series`` change what it names."""
    first = volume.headers[0]
    frame = keywords.pop("frame", first.FrameOfReferenceUID)
    series = keywords.pop("series", first.SeriesInstanceUID)
    kind = keywords.pop("kind", "CLOSED_PLANAR")
    dataset = base_header("CT", SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT", StructureSetLabel="made up")
    dataset.SeriesInstanceUID = generate_uid()
    for keyword in ("FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"):
        delattr(dataset, keyword)
    studies = item_of(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=item_of(SeriesInstanceUID=series, ContourImageSequence=[]),
    )
    if frame:
        dataset.ReferencedFrameOfReferenceSequence = item_of(
            FrameOfReferenceUID=frame, RTReferencedStudySequence=studies
        )
    else:
        dataset.ReferencedFrameOfReferenceSequence = item_of(RTReferencedStudySequence=studies)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        roi = item_of(ROINumber=number, ROIName=name, ROIGenerationAlgorithm="MANUAL")[0]
        if frame:
            roi.ReferencedFrameOfReferenceUID = frame
        dataset.StructureSetROISequence.append(roi)
        drawn = item_of(ReferencedROINumber=number, ROIDisplayColor=[255, 0, 0])[0]
        drawn.ContourSequence = [
            item_of(
                ContourGeometricType=kind,
                NumberOfContourPoints=len(points),
                ContourData=[f"{x:.4f}" for x in np.ravel(points)],
            )[0]
            for points in contours
        ]
        dataset.ROIContourSequence.append(drawn)
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = Dataset()
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_segments(path: Path, volume: Volume, masks: dict[str, np.ndarray], **keywords: Any) -> Path:
    """A DICOM SEG of these masks (X, Y, Z) on the grid of a volume."""
    headers = [complete_header(header) for header in volume.headers]
    stack = np.stack(list(masks.values()), axis=-1).astype(np.uint8)
    like = grid_volume(stack[..., 0], volume.affine, headers[0].FrameOfReferenceUID)
    channels = {"SegmentNumber": list(range(1, len(masks) + 1))}
    array = np.ascontiguousarray(stack.transpose(2, 1, 0, 3))
    labelled = highdicom.Volume(
        array, like.affine, "PATIENT", frame_of_reference_uid=headers[0].FrameOfReferenceUID, channels=channels
    )
    descriptions = [
        highdicom.seg.SegmentDescription(k, name, codes.SCT.Organ, codes.SCT.Brain, "MANUAL")
        for k, name in enumerate(masks, start=1)
    ]
    made = highdicom.seg.Segmentation(
        headers,
        labelled,
        "BINARY",
        descriptions,
        generate_uid(),
        1,
        generate_uid(),
        1,
        "maker",
        "model",
        "1",
        "1",
    )
    for keyword, value in keywords.items():
        setattr(made, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path
