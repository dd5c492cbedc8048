"""How much memory a study will need, from the headers of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
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
from ..scripts.transforms.registration.settings import SearchSettings
from ..scripts.transforms.registration.volumes import block_sizes
from ..scripts.utils.enums import FusionGrid
from ..scripts.utils.files import is_nifti

__all__ = ["study_bytes"]

# Peak of a registration beside BASE_BYTES, measured with volumes of 1 to 40 million voxels:
SOURCE_BYTES = 8  # for each voxel of the sources
REGISTERED_BYTES = 28  # for each voxel that is registered, after fine voxels were averaged; elastix has most of it


def study_bytes(study: Study, options: Mapping[str, Any]) -> float:
    """Estimate the memory that fusing a study takes, bytes, that of elastix's process with it; no voxel is read.

    It is the larger one of what the fusion needs, see :class:`~scripts.transforms.grid.ChooseGrid`, and what the
    registration before it needs, which counts unless it is ``"none"``. Of a folder of DICOM the largest series counts
    that the study may mean. A study whose headers cannot be read gets the smallest estimate: whoever fuses it will say
    what is wrong with it.

    Args:
        study: its two volumes.
        options: overrides of ``inference_volume.json``; only ``grid`` and ``register`` count.
    """
    try:
        volumes = [_empty(study.source_a, study.series_a), _empty(study.source_b, study.series_b)]
        fusion = ChooseGrid(options.get("grid", FusionGrid.REFERENCE)).bytes_needed(*volumes)
        return fusion if options.get("register") == "none" else max(fusion, _registration_bytes(volumes))
    except Exception:
        return BASE_BYTES


def _registration_bytes(volumes: Sequence[MetaTensor]) -> float:
    """Estimate the memory of this process and of elastix's while volumes are registered, bytes."""
    fine = SearchSettings().fine_voxel
    voxels = sum(volume.numel() for volume in volumes)
    registered = sum(
        volume.numel() / prod(block_sizes(volume.shape[1:], volume.affine.numpy(), fine)) for volume in volumes
    )
    return BASE_BYTES + SOURCE_BYTES * voxels + REGISTERED_BYTES * registered


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
