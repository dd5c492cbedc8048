"""Writing the objects of a fused study into its folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..scripts.dicom.header import read_dataset
from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.dicom.write_common import burned_in_element
from ..scripts.utils.enums import SourceKeys, StudyKeys
from .blending import blending_state
from .loss_maps import loss_map_object
from .registration import spatial_registration

__all__ = ["FOLDER", "write_dicom_objects"]

FOLDER = "dicom_objects"
OVERLAY = "dicom_source_b"  # what the model's writer calls the series of source B

logger = logging.getLogger("mmif_amin")


@quiet_pydicom()
def write_dicom_objects(folder: Path, study: Mapping[str, Any]) -> None:
    """Write the registration, unless it deforms, the blending of A and B, and the loss maps where there are any.

    Args:
        folder: of the study, with its DICOM series and volumes.
        study: see ``StudyWriter``.
    """
    a, b = study[StudyKeys.SOURCE_A_FILE], study[StudyKeys.SOURCE_B_FILE]
    affine = study[SourceKeys.SOURCE_A].affine.numpy()
    made: dict[str, Any] = {}
    registration = study.get(StudyKeys.SOURCE_B_REGISTRATION)
    if registration and b.headers and registration.deformation is None:  # a matrix alone would say something else
        beyond = bool(registration.beyond_limits)
        made["registration"] = spatial_registration(registration.matrix, a, b, beyond)
    overlay = [read_dataset(file, stop_before_pixels=True) for file in sorted((folder / OVERLAY).iterdir())]
    shown = float(overlay[0].WindowCenter), float(overlay[0].WindowWidth)
    window_b = (shown[0] - shown[1] / 2, shown[0] + shown[1] / 2)
    color = study.get(StudyKeys.PRED_COLOR)
    colormap = None if color is None else color.meta["colormap"]
    made["blending"] = blending_state(a, overlay, (study[StudyKeys.SOURCE_A_WINDOW], window_b), colormap)
    if made["blending"] is None:
        logger.warning(
            "no blending presentation is written: the slices of a source are not all rescaled alike, or those of A are "
            "not the images of its files"
        )
    for letter in "ab":
        path = folder / f"loss_{letter}.nii.gz"
        if path.is_file():
            code = {"a": str(a.headers[0].get("Modality") or ""), "b": str(overlay[0].Modality)}[letter]
            made[f"loss_{letter}"] = loss_map_object(_read(path), affine, a, letter, code)
            made[f"loss_{letter}"].update(burned_in_element([a, b]))
    (folder / FOLDER).mkdir()
    for name, dataset in made.items():
        if dataset is not None:
            dataset.save_as(folder / FOLDER / f"{name}.dcm", enforce_file_format=True)


def _read(path: Path) -> np.ndarray:
    import nibabel

    return np.asanyarray(nibabel.load(path, mmap=False).dataobj)  # type: ignore[attr-defined]
