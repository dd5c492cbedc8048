"""Studies: the two volumes of one patient, from files, DICOM folders, a folder of studies or a CSV table."""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..dicom.read import DICOM_MODALITIES, is_dicom_folder, list_series, read_dicom_volume
from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.files import IMAGE_SUFFIXES, NIFTI_SUFFIXES, is_nifti
from .datalist import modalities_of
from .volume import Volume, read_nifti_volume

__all__ = ["Study", "find_studies", "is_volume", "read_study", "read_volume"]

AIR = -1000.0  # HU
CUT_OUT = 0.1  # share of the voxels that a cut-out background has at least
COLUMNS = ("name", "source_a", "source_b", "task", "series_a", "series_b")


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
        series: SeriesInstanceUID or number, chooses among them too. Defaults to None.

    Raises:
        InputError: When it cannot be used; see ``read_nifti_volume`` and ``read_dicom_volume``.
    """
    return read_nifti_volume(path, modality) if is_nifti(path) else read_dicom_volume(path, modality, series)


def read_study(study: Study) -> tuple[Volume, Volume, str]:
    """Read both volumes and settle their modalities.

    Returns:
        Volume A, volume B, and the task, such as ``"PET-MRI"``.

    Raises:
        InputError: When a volume cannot be used, a file says another modality than the task, or none is known.
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
    a, b = (_black_outside(_in_hounsfield(volume, wanted)) for volume, wanted in ((a, wanted_a), (b, wanted_b)))
    return a, b, f"{wanted_b}-{wanted_a}"


def _in_hounsfield(volume: Volume, modality: Modality | None) -> Volume:
    """A CT that does not say its unit is taken to be in HU where it has negative values."""
    if modality is not Modality.CT or volume.unit != "arbitrary" or volume.headers or volume.values.min() >= 0:
        return volume
    return replace(volume, unit="HU", notes=(*volume.notes, "negative values, so taken as Hounsfield units"))


def _black_outside(volume: Volume) -> Volume:
    """Give a cut-out background the lowest value: air in HU, else the volume's smallest.

    A brain cut out of its head often lies on zeros, which are water in HU and the mean after standardization: gray.
    Background is what holds exactly the value of all eight corners and touches one of them.
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


def find_studies(path: str | os.PathLike) -> list[Study]:
    """Studies of a batch.

    Args:
        path: a CSV table with the columns ``source_a``, ``source_b`` and, if wanted, ``name``, ``task``, ``series_a``,
            ``series_b`` (paths relative to it); or a folder with one folder for each study. In such a folder lie two
            NIfTI files, ``a.nii.gz`` and ``b.nii.gz`` (or ``source_a``, ``source_b``), two folders ``a`` and ``b``, or
            DICOM of one MR and one other series.

    Raises:
        InputError: When nothing is there, a column is missing or unknown, or a name is given twice or is a path.
    """
    path = Path(path)
    if path.is_dir():
        studies = [_folder_study(folder) for folder in sorted(path.iterdir()) if folder.is_dir()]
    elif path.suffix.lower() == ".csv" and path.is_file():
        studies = _table(path)
    else:
        raise InputError(f"{path}: expected a folder of studies or a .csv table, found nothing of the kind there.")
    if not studies:
        raise InputError(f"{path}: expected at least one study, found none.")
    names = [study.name for study in studies]
    odd = [name for name in names if Path(name).name != name or name in (".", "..") or is_nifti(name)]
    if odd:
        raise InputError(f"{path}: expected a plain name for each study, without .nii, got '{odd[0]}'.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected each name once, '{twice[0]}' is there {names.count(twice[0])} times.")
    return studies


def _folder_study(folder: Path) -> Study:
    sources = []
    for letter in "ab":
        names = [f"{stem}{suffix}" for stem in (letter, f"source_{letter}") for suffix in ("", *NIFTI_SUFFIXES)]
        sources.append(next((folder / name for name in names if (folder / name).exists()), folder))
    return Study(str(sources[0]), str(sources[1]), folder.name)


def _table(path: Path) -> list[Study]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a table in UTF-8, got another encoding. Save it as CSV UTF-8.") from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    fields = {field.strip() for field in reader.fieldnames or ()}
    missing, unknown = {"source_a", "source_b"} - fields, fields - set(COLUMNS)
    if missing or unknown:
        raise InputError(
            f"{path}: expected the columns source_a and source_b, and perhaps name, task, series_a, series_b, parted "
            f"by commas; {'missing' if missing else 'unknown'}: {', '.join(sorted(missing or unknown))}."
        )
    studies = []
    for number, line in enumerate(reader, start=1):
        if None in line:
            raise InputError(f"{path}: row {number}: expected {len(fields)} columns, there are more.")
        row = {key.strip(): value.strip() for key, value in line.items() if value and value.strip()}
        if not row:
            continue
        if not {"source_a", "source_b"} <= set(row):
            raise InputError(f"{path}: row {number}: expected source_a and source_b, one of them is empty.")
        sources = {key: str(path.parent / row.pop(key)) for key in ("source_a", "source_b")}
        studies.append(Study(**{"name": f"study-{number:03d}", **row, **sources}))
    return studies
