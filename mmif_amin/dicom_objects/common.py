"""What all objects share: which new object this is, the images that it names, and values on the fusion grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..scripts.data.volume import Volume
from ..scripts.dicom.frames import headers_of_frames
from ..scripts.dicom.header import require
from ..scripts.dicom.write_common import PRODUCT, SeriesOffset, complete_header, reference_to, series_identity
from ..scripts.utils.geometry import lps_from_ras

__all__ = ["grid_volume", "named_source", "object_identity", "referenced_series", "source_images"]


def object_identity(header: Any, offset: SeriesOffset, description: str, number: int = 1) -> dict[str, Any]:
    """Arguments of highdicom's enhanced classes.

    Args:
        header: complete header of source A.
        offset: which of the written series.
        description: what it holds; the warning is added.
        number: of the object among its kind, from 1; each has a series of its own, whose number is higher by one.
            Defaults to 1.
    """
    return {
        **series_identity(header, offset + number - 1, description),
        "sop_instance_uid": require("pydicom").uid.generate_uid(),
        "instance_number": 1,
        "device_serial_number": PRODUCT,
    }


def named_source(letter: str, modality: str) -> str:
    """A source in a description, such as ``"B (PT)"``: in the archive nobody knows which was B."""
    return f"{letter.upper()} ({modality})" if modality else letter.upper()


def source_images(reference: Volume) -> list[Any]:
    """Complete headers of source A with what highdicom asks of them: one orientation and a slice thickness.

    Scanners leave out the thickness, write cosines that differ in their last digits, and keep both in the groups of the
    single frames.
    """
    dataset = require("pydicom").Dataset
    first = headers_of_frames(reference.headers[0], "A", [])[0]
    orientation, measures = dataset(), dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = first.ImageOrientationPatient, first.PixelSpacing
    measures.SliceThickness = first.get("SliceThickness") or float(np.linalg.norm(reference.affine[:3, 2]))
    images = []
    for header in reference.headers:
        image = complete_header(header)
        if "PerFrameFunctionalGroupsSequence" in image:
            shared = dataset()
            shared.update((image.get("SharedFunctionalGroupsSequence") or [dataset()])[0])
            shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
            image.SharedFunctionalGroupsSequence = [shared]
        else:
            image.update(orientation)
            image.update(measures)
        images.append(image)
    return images


def referenced_series(headers: Iterable[Any]) -> list[Any]:
    """Items of a ReferencedSeriesSequence that name images, series by series."""
    members: dict[str, list[Any]] = {}
    for header in headers:
        members.setdefault(str(header.SeriesInstanceUID), []).append(header)
    items = []
    for uid, images in members.items():
        item = require("pydicom").Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = [reference_to(image) for image in images]
        items.append(item)
    return items


def grid_volume(values: np.ndarray, affine: np.ndarray, frame: str) -> Any:
    """Values on the fusion grid as highdicom's volume, whose axes are slices, rows and columns.

    Args:
        values: (X, Y, Z).
        affine: (4, 4) voxel to world, mm, RAS+, with axes that are perpendicular up to small errors.
        frame: FrameOfReferenceUID.
    """
    u, _, v = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    upright = affine.copy()
    upright[:3, :3] = (u @ v) * np.linalg.norm(affine[:3, :3], axis=0)
    upright = lps_from_ras(upright)[:, [2, 1, 0, 3]]
    return require("highdicom").Volume(np.ascontiguousarray(values.T), upright, "PATIENT", frame_of_reference_uid=frame)
