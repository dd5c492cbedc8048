"""Reading and writing DICOM SEG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..dicom_objects.common import grid_volume, object_identity, source_images
from ..scripts.data.volume import Volume
from ..scripts.dicom.header import require
from ..scripts.dicom.privacy import public_text
from ..scripts.dicom.write_common import PRODUCT, SeriesOffset
from ..scripts.utils.checks import InputError
from ..scripts.utils.geometry import lps_from_ras
from ..scripts.utils.metadata import bundle_metadata
from .structures import DrawnFile, Structure

__all__ = ["read_segments", "segmentation_object"]


def read_segments(path: Path, header: Any) -> DrawnFile:
    """Read the segments of a DICOM SEG; those without a voxel are left out.

    Args:
        path: the file, for messages.
        header: its dataset, with pixels.

    Raises:
        InputError: When no segment has a voxel, or highdicom cannot make volumes of them.
    """
    highdicom = require("highdicom")
    structures, notes = [], []
    try:
        segmentation = highdicom.seg.Segmentation.from_dataset(header, copy=False)
        for number in segmentation.segment_numbers:
            description = segmentation.get_segment_description(number)
            volume = segmentation.get_volume(segment_numbers=[number], dtype=np.float32)
            share = np.ascontiguousarray(volume.array[..., 0].T)
            name = str(description.segment_label) or f"segment {number}"
            if not share.any():
                notes.append(f"{public_text(name, header)}: no voxel, left out")
                continue
            affine = lps_from_ras(volume.affine[:, [2, 1, 0, 3]])
            structures.append(Structure(name, share, affine, _color(description), description))
    except Exception as error:  # highdicom raises many types
        raise InputError(
            f"{path}: expected a whole DICOM SEG of evenly spaced slices, this one is damaged or of another kind. "
            "Export it again."
        ) from error
    if not structures:
        raise InputError(f"{path}: expected segments, found none with a voxel. Choose a file in which some are drawn.")
    series = frozenset(str(item.SeriesInstanceUID) for item in header.get("ReferencedSeriesSequence", []))
    frame = str(header.get("FrameOfReferenceUID", ""))
    return DrawnFile(path, header, frame, series, tuple(structures), tuple(notes))


def _color(description: Any) -> tuple[int, int, int] | None:
    value = description.get("RecommendedDisplayCIELabValue")
    if not value:
        return None
    return tuple(require("highdicom").color.CIELabColor.from_dicom_value(list(value)).to_rgb())


def segmentation_object(
    masks: Sequence[np.ndarray], structures: Sequence[Structure], affine: np.ndarray, reference: Volume, number: int
) -> Any:
    """Make a DICOM SEG of carried structures in the study and frame of reference of source A.

    Args:
        masks: (X, Y, Z) bool each, on the fusion grid.
        structures: what they are.
        affine: (4, 4) voxel of the grid to world, mm, RAS+, with perpendicular axes.
        reference: source A, with DICOM headers.
        number: of the file that was carried, from 1.

    Returns:
        The pydicom dataset, of class Segmentation Storage.
    """
    highdicom, codes = require("highdicom"), require("pydicom.sr.codedict").codes
    headers = source_images(reference)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"{PRODUCT} carry", version=bundle_metadata()["version"], family=codes.DCM.SpatialResampling
    )
    descriptions = []
    for k, structure in enumerate(structures, start=1):
        known = structure.description
        category, kind = (
            (codes.SCT.AnatomicalStructure, codes.SCT.AnatomicalStructure)
            if known is None
            else (known.segmented_property_category, known.segmented_property_type)
        )
        descriptions.append(
            highdicom.seg.SegmentDescription(
                segment_number=k,
                segment_label=structure.name[:64],
                segmented_property_category=category,
                segmented_property_type=kind,
                algorithm_type="SEMIAUTOMATIC",
                algorithm_identification=algorithm,
                display_color=highdicom.color.CIELabColor.from_rgb(*structure.color) if structure.color else None,
            )
        )
    stack = np.stack(masks, axis=-1).astype(np.uint8)
    volume = grid_volume(stack[..., 0], affine, headers[0].FrameOfReferenceUID)
    labelled = highdicom.Volume(
        np.ascontiguousarray(stack.transpose(2, 1, 0, 3)),
        volume.affine,
        "PATIENT",
        frame_of_reference_uid=headers[0].FrameOfReferenceUID,
        channels={"SegmentNumber": list(range(1, len(structures) + 1))},
    )
    return highdicom.seg.Segmentation(
        headers,
        labelled,
        highdicom.seg.SegmentationTypeValues.BINARY,
        descriptions,
        **object_identity(headers[0], SeriesOffset.CARRIED, f"carried structures, file {number}", number),
        content_label="CARRIED",
        content_description="Structures on the fusion grid",
    )
