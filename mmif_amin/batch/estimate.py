"""How much memory a study will need, from the headers of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from ..scripts.data.nifti import open_nifti
from ..scripts.data.study import Study
from ..scripts.dicom.find import Series, list_series
from ..scripts.dicom.header import read_header
from ..scripts.transforms.grid import BASE_BYTES, ChooseGrid
from ..scripts.utils.enums import FusionGrid
from ..scripts.utils.files import is_nifti

__all__ = ["study_bytes"]


def study_bytes(study: Study, options: Mapping[str, Any]) -> float:
    """Estimate the memory of the process that fuses a study, bytes; no voxel is read.

    It is the estimate of :class:`~scripts.transforms.grid.ChooseGrid`. Of a folder of DICOM the largest series counts
    that the study may mean. A study whose headers cannot be read gets the smallest estimate: whoever fuses it will say
    what is wrong with it.

    Args:
        study: its two volumes.
        options: overrides of ``inference_volume.json``; only ``grid`` counts.
    """
    try:
        volumes = [_empty(study.source_a, study.series_a), _empty(study.source_b, study.series_b)]
        return ChooseGrid(options.get("grid", FusionGrid.REFERENCE)).bytes_needed(*volumes)
    except Exception:
        return BASE_BYTES


def _empty(path: str, series: str | None) -> MetaTensor:
    """A volume with the shape and the voxel size of a file, without memory of its own."""
    shape, affine = _nifti_geometry(path) if is_nifti(path) else _dicom_geometry(path, series)
    return MetaTensor(torch.zeros(1).expand(1, *shape), affine=torch.from_numpy(affine))


def _nifti_geometry(path: str) -> tuple[tuple[int, ...], np.ndarray]:
    image = open_nifti(Path(path))
    return image.shape[:3], np.asarray(image.affine, dtype=np.float64)


def _dicom_geometry(path: str, wanted: str | None) -> tuple[tuple[int, ...], np.ndarray]:
    found = list_series(Path(path))
    series = max([s for s in found if wanted in (s.uid, str(s.number))] or found, key=_voxels)
    header = read_header(series.files[0], ["Columns", "SpacingBetweenSlices", "SliceThickness"])
    between = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0)
    return (*series.size, series.images), np.diag([*(series.spacing or (1.0, 1.0)), between, 1.0])


def _voxels(series: Series) -> int:
    return series.size[0] * series.size[1] * series.images
