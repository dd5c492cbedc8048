"""Studies: the two volumes of one patient, each a NIfTI file, a DICOM file or a folder of DICOM."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..dicom.find import is_dicom_folder, list_series
from ..dicom.header import DICOM_MODALITIES
from ..dicom.patient import Patient
from ..dicom.read import read_dicom_volume
from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.files import IMAGE_SUFFIXES, is_nifti
from .datalist import modalities_of
from .nifti import read_nifti_volume
from .volume import Volume

__all__ = ["Study", "is_volume", "read_study", "read_volume"]

AIR = -1000.0  # HU
CUT_OUT = 0.1  # smallest share of the voxels that is taken for a cut-out background


@dataclass(frozen=True)
class Study:
    """The two volumes of one patient.

    Args:
        source_a: structural volume (MRI): a NIfTI file, a DICOM file or a folder of DICOM.
        source_b: the other one (CT, PET, SPECT or MRI); may be the same folder.
        name: of the output in a batch. Defaults to ``"study"``.
        task: modalities of B and A, such as ``"PET-MRI"``. Defaults to None: what the files say.
        series_a: SeriesInstanceUID or number of A's series in its folder. Defaults to None: chosen by modality.
        series_b: the same for B. Defaults to None.
    """

    source_a: str
    source_b: str
    name: str = "study"
    task: str | None = None
    series_a: str | None = None
    series_b: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Entry of a MONAI data list."""
        return asdict(self)


def is_volume(path: str | os.PathLike) -> bool:
    """Whether a path holds a volume: a NIfTI or DICOM file, or a folder with DICOM in it."""
    path = Path(path)
    if is_nifti(path) or path.suffix.lower() in (".dcm", ".ima"):
        return True
    if path.is_file():
        return path.suffix.lower() not in IMAGE_SUFFIXES and is_dicom_folder(path)
    return path.is_dir() and is_dicom_folder(path)


def read_volume(path: str | os.PathLike, modality: Modality | None = None, series: str | None = None) -> Volume:
    """Read a NIfTI file, a DICOM file or one series of a DICOM folder.

    Args:
        path: file or folder.
        modality: chooses among the series of a folder, and says what a NIfTI file holds. Defaults to None.
        series: SeriesInstanceUID or number; chooses among the series of a folder. Defaults to None.

    Raises:
        InputError: When it cannot be used; see ``read_nifti_volume`` and ``read_dicom_volume``.
    """
    return read_nifti_volume(path, modality) if is_nifti(path) else read_dicom_volume(path, modality, series)


def read_study(study: Study, same_patient: bool = False) -> tuple[Volume, Volume, str]:
    """Read both volumes and decide their modalities, by the task or, without one, by what the files say.

    Args:
        study: the study.
        same_patient: take DICOM headers of two patients for two ids of one person. Defaults to False.

    Returns:
        Volume A, volume B, and the task, such as ``"PET-MRI"``.

    Raises:
        InputError: When a volume cannot be used, a file says another modality than the task, both sources are one
            series or of two patients, or the modality of a source is not known.
    """
    wanted_a, wanted_b = modalities_of(study.task) if study.task else (Modality.MRI, None)
    a = read_volume(study.source_a, wanted_a if study.series_a is None else None, study.series_a)
    series_b = study.series_b or (_only_other_series(study.source_b) if study.task is None else None)
    b = read_volume(study.source_b, wanted_b if series_b is None else None, series_b)
    if study.task is None:
        if b.modality is None:
            raise InputError("Source B is a file that does not say its modality. Name it, such as --task PET-MRI.")
        wanted_a, wanted_b = a.modality or Modality.MRI, b.modality
        if wanted_a is not Modality.MRI and wanted_b is Modality.MRI:
            raise InputError(f"Expected the MRI as source A, got {wanted_a} as A and MRI as B. Swap the two.")
    if a.headers and b.headers and a.headers[0].SeriesInstanceUID == b.headers[0].SeriesInstanceUID:
        raise InputError(
            "Expected two series, found one and the same for A and B. Is the second one there? Name it with --series-b."
        )
    for name, volume, wanted in (("A", a, wanted_a), ("B", b, wanted_b)):
        if volume.modality is not None and volume.modality is not wanted:
            raise InputError(
                f"Source {name}: expected {wanted}, the file says {volume.modality}. Swap the two, or name the right "
                "modalities with --task OTHER-STRUCTURAL."
            )
    b = _of_the_same_patient(a, b, same_patient)
    a, b = (_black_outside(_in_hounsfield(volume, wanted)) for volume, wanted in ((a, wanted_a), (b, wanted_b)))
    return a, b, f"{wanted_b}-{wanted_a}"


def _of_the_same_patient(a: Volume, b: Volume, same_patient: bool) -> Volume:
    """Volume B, with a note where its patient is not surely that of A; the headers' values are never told."""
    if not (a.headers and b.headers):
        return b
    of_a, of_b = Patient.of(a.headers[0]), Patient.of(b.headers[0])
    differs, unknown = ", ".join(of_a.differs_in(of_b)), ", ".join(of_a.not_compared(of_b))
    if differs and not same_patient:
        raise InputError(
            f"Expected two series of one patient, the sources differ in {differs}. Choose the right series, or add "
            "--same-patient if these are two ids of one person."
        )
    if differs:
        return replace(b, notes=(*b.notes, f"{differs} differs from source A, taken as one person (--same-patient)"))
    if unknown:
        return replace(b, notes=(*b.notes, f"not compared with source A's patient, for lack of it: {unknown}"))
    return b


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
    if level <= lowest or not outside[corners].all() or outside.mean() < CUT_OUT:
        return volume
    from scipy import ndimage

    labels, _ = ndimage.label(outside)
    filled = np.where(np.isin(labels, np.unique(labels[corners])), np.float32(lowest), values)
    return replace(volume, values=filled, notes=(*volume.notes, f"background of {level:g} set to {lowest:g}"))


def _only_other_series(path: str) -> str | None:
    """UID of the one series of a DICOM folder that is CT, PET or SPECT; None where there is none, or more."""
    if is_nifti(path) or not Path(path).is_dir():
        return None
    others = [DICOM_MODALITIES[modality] for modality in (Modality.CT, Modality.PET, Modality.SPECT)]
    found = [series.uid for series in list_series(path) if series.modality in others and not series.localizer]
    return found[0] if len(found) == 1 else None
