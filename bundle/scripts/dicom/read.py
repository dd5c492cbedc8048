"""Reading one DICOM series, in its own units and its own geometry."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..data.volume import Volume
from ..utils.enums import Modality
from .choose import choose_series
from .find import list_series
from .frames import Plane, headers_of_frames
from .geometry import grid_of
from .header import DICOM_MODALITIES, blaming, read_header
from .pixels import read_values, transfer_syntax
from .privacy import quiet_pydicom
from .stack import one_image_a_position, parallel_slices
from .suv import unit_and_factor

__all__ = ["read_dicom_volume"]


@quiet_pydicom()
def read_dicom_volume(
    path: str | os.PathLike, modality: Modality | str | None = None, series: str | None = None
) -> Volume:
    r"""Read one series as a volume.

    ``values[i, j, k]`` is column i, row j of slice k; slices are sorted along the cross product of the row and column
    cosines, and nothing else is reordered. Slice spacing is measured from positions. Each slice is rescaled by its own
    slope and intercept. PET in Bq/ml becomes SUVbw where the header has all that it takes:

    .. math:: SUV_{bw} = C \cdot weight / (dose \cdot 2^{-(t_{scan} - t_{injection}) / t_{1/2}})

    with :math:`t_{scan}` the series' time, or the earliest acquisition where the series was made later, and no decay
    for DecayCorrection ADMIN. MONOCHROME1 asks for an inverted display: quantities (CT, PET, SPECT) keep their values;
    an MR image is inverted, because its values mean only what they look like.

    Args:
        path: a folder, searched with the folders in it, or a single file.
        modality: chooses the series where ``series`` does not. Defaults to None: the only series.
        series: SeriesInstanceUID, its start or end, or series number. Defaults to None.

    Returns:
        The volume.

    Raises:
        InputError: When no series or several fit (they are listed), a file is damaged or cannot be decoded, the
            geometry is missing, mixed or uneven, several images lie at one position, or the pixels are in color.

    Reference: see :func:`suv_factor` for SUV.
    """
    path = Path(path)
    chosen = choose_series(str(path), list_series(path), None if modality is None else Modality(modality), series)
    who = f"{path}, series {chosen.uid if chosen.number is None else chosen.number}"
    headers_of = {file: read_header(file) for file in chosen.files}
    notes: list[str] = []
    planes: list[Plane] = []
    for file, header in headers_of.items():
        with blaming(file):
            syntax = transfer_syntax(file, header)
            frames = headers_of_frames(header, who, notes)
            planes += [Plane(file, k, frame, syntax) for k, frame in enumerate(frames)]
    with blaming(path):
        planes = parallel_slices(planes, who, notes)
        planes = one_image_a_position(planes, who, notes)
        grid = grid_of(planes, who, notes)
        values = read_values(planes, grid, chosen.modality, who, notes)
        unit, factor = unit_and_factor(chosen.modality, [plane.header for plane in planes], notes)
    values *= np.float32(factor)
    headers = [headers_of[plane.path] for plane in planes]
    if grid.shift.any() or any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers):
        headers = headers[:1]
    known = {code: name for name, code in DICOM_MODALITIES.items()}
    return Volume(values, grid.affine, known.get(chosen.modality), unit, tuple(notes), tuple(headers))
