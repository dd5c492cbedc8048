"""Studies: the two volumes of one patient, each a NIfTI file, a DICOM file or a folder of DICOM."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..dicom.find import is_dicom_folder
from ..utils.enums import Modality
from ..utils.files import IMAGE_SUFFIXES, is_nifti
from .found_study import FoundStudy, Study, check_modalities, find_study, settle_modalities
from .tasks import modalities_of
from .volume import Volume

__all__ = ["FoundStudy", "Study", "find_study", "is_volume", "read_study"]

AIR = -1000.0  # HU
CUT_OUT = 0.1  # smallest share of the voxels that is taken for a cut-out background


def is_volume(path: str | os.PathLike) -> bool:
    """Whether a path holds a volume: a NIfTI or DICOM file, or a folder with DICOM in it."""
    path = Path(path)
    if is_nifti(path) or path.suffix.lower() in (".dcm", ".ima"):
        return True
    if path.is_file():
        return path.suffix.lower() not in IMAGE_SUFFIXES and is_dicom_folder(path)
    return path.is_dir() and is_dicom_folder(path)


def read_study(study: Study, found: FoundStudy | None = None) -> tuple[Volume, Volume, str]:
    """Read both volumes and decide their modalities, by the task or, without one, by what the files say.

    Args:
        study: the study.
        found: what ``find_study`` found of it. Defaults to None: it is looked for.

    Returns:
        Volume A, volume B, and the task, such as ``"PET-MRI"``.

    Raises:
        InputError: When a volume cannot be used, a file says another modality than the task, both sources are one
            series, the patients differ, or the modality of a source is not known.
    """
    found = find_study(study) if found is None else found
    wanted_a, wanted_b = modalities_of(study.task) if study.task else (None, None)
    a, b = found.a.read(wanted_a), found.b.read(wanted_b)
    if study.task is None:
        wanted_a, wanted_b = settle_modalities(a.modality, b.modality)
    check_modalities((a.modality, b.modality), (wanted_a, wanted_b))
    b = replace(b, notes=(*b.notes, *found.notes))
    a, b = (_black_outside(_in_hounsfield(volume, wanted)) for volume, wanted in ((a, wanted_a), (b, wanted_b)))
    return a, b, f"{wanted_b}-{wanted_a}"


def _in_hounsfield(volume: Volume, modality: Modality | None) -> Volume:
    """A CT that does not say its unit is taken to be in HU where it has negative values."""
    if modality is not Modality.CT or volume.unit != "arbitrary" or volume.headers or volume.values.min() >= 0:
        return volume
    return replace(volume, unit="HU", notes=(*volume.notes, "negative values, so taken as Hounsfield units"))


def _black_outside(volume: Volume) -> Volume:
    """Give a cut-out background the lowest value: air in HU, else the volume's smallest.

    A brain cut out of its head often lies on zeros, which would show gray: they are water in HU, and the mean of a
    standardized MR. A voxel is background if it has exactly the value of all eight corners and is connected to one.
    """
    values = volume.values
    corners = tuple(slice(None, None, max(1, side - 1)) for side in values.shape)
    lowest = min(float(values.min()), AIR) if volume.unit == "HU" else float(values.min())
    level = float(values[0, 0, 0])
    outside = values == level
    dark = AIR if volume.unit == "HU" else lowest  # what is air already keeps its value
    if level <= dark or not outside[corners].all() or outside.mean() < CUT_OUT:
        return volume
    from scipy import ndimage

    labels, _ = ndimage.label(outside)
    filled = np.where(np.isin(labels, np.unique(labels[corners])), np.float32(lowest), values)
    return replace(volume, values=filled, notes=(*volume.notes, f"background of {level:g} set to {lowest:g}"))
