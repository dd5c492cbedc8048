"""Reading one DICOM series, in its own units and its own geometry: first what its headers say, then its pixels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volume import Volume
from ..data.volume_choice import choose_volumes, volume_note
from ..utils.checks import InputError, in_words
from ..utils.enums import Modality
from .choose import choose_series, modality_of
from .find import Scan, Series, scan_folder
from .frames import Plane, planes_of
from .geometry import Grid, grid_of
from .header import blaming, read_header
from .patient import IDENTITY_TAGS, Patient
from .pixels import TruncatedError, read_values, transfer_syntax
from .privacy import BURNED_IN, burned_in, quiet_pydicom
from .several import OneVolume, volumes_of
from .stack import parallel_slices
from .suv import unit_and_factor

__all__ = ["OpenedSeries", "open_series", "read_dicom_volume"]


@dataclass
class OpenedSeries:
    """A series whose headers are checked, and whose pixels are not.

    Args:
        series: which one.
        scan: of its folder; of its series, only this one is kept.
        choice: which of several volumes, as the user says it.
        who: folder and series, for messages.
        headers: of its files.
        volumes: the volumes that it holds.
        chosen: which of them are to be read; several ones for their mean.
        grids: where the slices of each chosen one lie.
        notes: what had to be decided.
    """

    series: Series
    scan: Scan
    choice: str | None
    who: str
    headers: Mapping[Path, Any]
    volumes: Sequence[OneVolume]
    chosen: list[int]
    grids: list[Grid]
    notes: list[str]

    @property
    def modality(self) -> Modality | None:
        """What the header says."""
        return modality_of(self.series)

    @quiet_pydicom()
    def read(self) -> Volume:
        """Read the headers whole, and the pixels.

        Raises:
            InputError: When they are damaged or the pixels not finite.
        """
        headers = {file: read_header(file) for file in self.series.files}
        return _opened(self.series, self.scan, self.choice, headers)._read_pixels()

    def _read_pixels(self) -> Volume:
        notes = list(self.notes)
        parts = [self.volumes[k].planes for k in self.chosen]
        total: Any = 0
        with blaming(self.series.files[0].parent):
            for planes, grid in zip(parts, self.grids, strict=True):
                values = read_values(planes, grid, self.series.modality, self.who, notes)
                total = values if len(parts) == 1 else total + values.astype(np.float64) / len(parts)
            all_headers = [plane.header for volume in self.volumes for plane in volume.planes]
            unit, factor = unit_and_factor(self.series.modality, all_headers, notes)
        values = (total * np.float32(factor)).astype(np.float32, copy=False)
        headers = [self.headers[plane.path] for plane in parts[0]]
        several_slices_a_file = len({id(header) for header in headers}) < len(headers)
        several_frames = any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers)
        if self.grids[0].shift.any() or len(headers) != values.shape[2] or several_slices_a_file or several_frames:
            headers = headers[:1]
        notes = list(dict.fromkeys(notes))
        return Volume(values, self.grids[0].affine, self.modality, unit, tuple(notes), tuple(headers), factor)


@quiet_pydicom()
def open_series(series: Series, scan: Scan, volume: str | None = None) -> OpenedSeries:
    """Check what the scan has read of a series, so that all that headers decide is known before more is read.

    Args:
        series: which one.
        scan: of its folder.
        volume: which of several volumes, see ``choose_volumes``. Defaults to None: the only one.

    Raises:
        InputError: When a file is damaged or cannot be decoded, the geometry is missing, mixed, or has gaps, several
            volumes are there and none is chosen, the pixels are in color, or the files name several patients.
    """
    headers = dict(zip(series.files, series.headers, strict=True))
    return _opened(series, replace(scan, series=[series]), volume, headers)


def _opened(series: Series, scan: Scan, volume: str | None, headers: Mapping[Path, Any]) -> OpenedSeries:
    who = f"{scan.path}, series {series.name}"
    notes: list[str] = []
    if scan.unreadable:
        notes.append(f"unreadable files in the folder passed over: {len(scan.unreadable)}")
    planes = _planes(headers, _names_of_images(series, headers, who, notes), who, notes)
    try:
        with blaming(scan.path):
            volumes = volumes_of(parallel_slices(planes, who, notes), who, notes)
            labels = [one.label for one in volumes]
            chosen = choose_volumes(who, labels, volume)
            grids = [grid_of(volumes[k].planes, who, notes) for k in chosen]
    except InputError as error:
        if scan.unreadable:  # they may be the slices that are missing
            raise InputError(f"{error}{scan.passed_over()}") from error
        raise
    if len(volumes) > 1:
        notes.append(volume_note(labels, chosen))
    if any(grid.size != grids[0].size or len(grid.heights) != len(grids[0].heights) for grid in grids):
        raise InputError(f"{who}: expected volumes of one size for their mean, got different ones. Choose one volume.")
    return OpenedSeries(series, scan, volume, who, headers, volumes, chosen, grids, list(dict.fromkeys(notes)))


def _names_of_images(series: Series, headers: Mapping[Path, Any], who: str, notes: list[str]) -> dict[Path, str]:
    """SOPInstanceUID of each file, or its path; text that is burned in is noted.

    Raises:
        InputError: When a file is damaged, or the files name several patients; it names the tags, never their values.
    """
    names, differing, burned = {}, set(), False
    for file, header in headers.items():
        with blaming(file):
            names[file] = str(header.get("SOPInstanceUID") or file)
            differing |= set(series.identity.differs_in(Patient.of(header)))
            burned = burned or burned_in([header])
    if burned:
        notes.append(BURNED_IN)
    if differing:
        tags = in_words([tag for tag in IDENTITY_TAGS if tag in differing])
        raise InputError(
            f"{who}: expected the images of one patient, they differ in {tags}. Split the series by patient."
        )
    return names


def _planes(headers: Mapping[Path, Any], names: Mapping[Path, str], who: str, notes: list[str]) -> list[Plane]:
    """All slices of the files, without truncated copies of images that are there whole."""
    planes: list[Plane] = []
    copies = Counter(names.values())
    for file, header in headers.items():
        with blaming(file):
            try:
                syntax = transfer_syntax(file, header)
            except TruncatedError:
                copies[names[file]] -= 1
                if not copies[names[file]]:
                    raise
                continue
            planes += planes_of(file, header, syntax, who, notes)
    cut = len(headers) - copies.total()
    if cut:
        notes.append(f"truncated copies of images passed over: {cut}")
    return planes


def read_dicom_volume(
    path: str | os.PathLike,
    modality: Modality | str | None = None,
    series: str | None = None,
    volume: str | None = None,
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
        volume: which volume of a series of several, see ``choose_volumes``. Defaults to None: the only one.

    Returns:
        The volume.

    Raises:
        InputError: When no series or several fit (they are listed), a file of it is damaged or cannot be decoded, the
            geometry is missing, mixed or has gaps, it holds several volumes and none is chosen, or the pixels are in
            color.

    Reference: see :func:`suv_factor` for SUV.
    """
    scan = scan_folder(path)
    chosen = choose_series(scan, None if modality is None else Modality(modality), series)
    return open_series(chosen, scan, volume).read()
