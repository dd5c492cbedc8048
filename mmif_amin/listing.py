"""What a DICOM folder holds, and which of its series could be fused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .scripts.data.found_study import may_be_fused
from .scripts.dicom.choose import modality_of
from .scripts.dicom.find import Scan, Series, scan_folder
from .scripts.dicom.header import DICOM_MODALITIES, collecting_no_garbage
from .scripts.dicom.read import open_series
from .scripts.dicom.structure import structural_one
from .scripts.utils.checks import InputError, in_words, printable

__all__ = ["Listing", "PairRow", "SeriesRow", "list_folder"]

SHOWN_PAIRS = 20
SHOWN_VOLUMES = 12
SHOWN_REASONS = 8
NAMELESS = "without number and UID"
NUMBER_DIGITS = 2  # decimals of millimeters


@dataclass(frozen=True)
class SeriesRow:
    """One series, without anything that names the patient.

    Args:
        name: how ``--series-a`` names it: SeriesNumber, or the end of the UID where there is none or several share it.
        number: SeriesNumber, None where there is none.
        uid: SeriesInstanceUID.
        patient: ``"P1"``, ``"P2"``, ...
        date: of the study, empty where there is none.
        modality: DICOM's code.
        description: of the series, unless it names the patient.
        images: how many images its files hold.
        size: columns, rows and slices of one volume; None where it cannot be read.
        spacing: of columns, rows and slices, mm; None where it cannot be read.
        volumes: how many volumes it holds; None where it cannot be read.
        labels: what tells each of several volumes apart, such as ``{"b": "1000"}``, as ``--volume-a`` takes it; empty
            where there is only one.
        frame_of_reference: ``"F1"``, ``"F2"``, ..., empty where there is none.
        localizer: whether it is a localizer.
        problem: why it cannot be fused, empty where it can.
    """

    name: str
    number: int | None
    uid: str
    patient: str
    date: str
    modality: str
    description: str
    images: int
    size: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    volumes: int | None
    labels: tuple[dict[str, str], ...]
    frame_of_reference: str
    localizer: bool
    problem: str


@dataclass(frozen=True)
class PairRow:
    """Two series that could be fused.

    Args:
        task: modalities of B and A.
        series_a: SeriesInstanceUID of A.
        series_b: SeriesInstanceUID of B.
        same_frame_of_reference: whether they lie in one frame of reference, so that they need no registration.
    """

    task: str
    series_a: str
    series_b: str
    same_frame_of_reference: bool


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Args:
        series: its series, by number.
        pairs: those that could be fused.
        unreadable: how many files were passed over because they cannot be used.
        unreadable_because: how many of them for each reason.
    """

    series: tuple[SeriesRow, ...]
    pairs: tuple[PairRow, ...]
    unreadable: int
    unreadable_because: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """A table for a terminal, which no text of the headers can steer."""
        head = ("series", "patient", "date", "what", "size", "spacing mm", "frame", "description", "")
        rows = [head, *(tuple(map(_one_line, _cells(row))) for row in self.series)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        for row in self.series:
            if row.problem and not row.localizer:
                lines.append(_one_line(f"series {row.name or NAMELESS}: {row.problem}"))
            elif any(row.labels):
                lines.append(_one_line(f"series {row.name or NAMELESS}: volumes {_volumes(row.labels)}"))
        names = {row.uid: row.name for row in self.series}
        for pair in self.pairs[:SHOWN_PAIRS]:
            place = "one frame of reference" if pair.same_frame_of_reference else "to be registered"
            lines.append(
                _one_line(f"{pair.task}: --series-a {names[pair.series_a]} --series-b {names[pair.series_b]} ({place})")
            )
        if len(self.pairs) > SHOWN_PAIRS:
            lines.append(f"and {len(self.pairs) - SHOWN_PAIRS} more pairs, see --json")
        if not self.pairs:
            several = len({row.patient for row in self.series}) > 1
            hint = "; if two patients here are one person, fuse has --same-patient" if several else ""
            lines.append(f"no two series of one patient could be fused{hint}")
        if self.unreadable:
            told = (f"{count} unreadable: {reason}" for reason, count in self.unreadable_because.items())
            lines += [*map(_one_line, told), f"unreadable files passed over: {self.unreadable}"]
        return lines


@collecting_no_garbage()
def list_folder(path: str | os.PathLike, progress: Callable[[list[Path]], Iterable[Path]] = iter) -> Listing:
    """List the series of a DICOM folder from its headers, each of which is read once.

    Args:
        path: folder, searched with the folders in it, or a file.
        progress: wraps the files, such as tqdm. Defaults to nothing.

    Raises:
        InputError: When nothing is there, or no DICOM images, or a folder cannot be read.
    """
    scan = scan_folder(path, progress)
    if not scan.series:
        raise InputError(f"{path}: expected DICOM images, found none.{scan.passed_over()} Give another folder.")
    rows = [_row(series, scan) for series in scan.series]
    usable = [(series, row) for series, row in zip(scan.series, rows, strict=True) if not row.problem]
    pairs = _pairs([series for series, _ in usable])
    reasons = Counter(text.removeprefix(f"{file}: ") for file, text in scan.unreadable.items())
    return Listing(tuple(rows), tuple(pairs), len(scan.unreadable), dict(reasons.most_common(SHOWN_REASONS)))


def _row(series: Series, scan: Scan) -> SeriesRow:
    size = spacing = volumes = None
    labels: tuple[dict[str, str], ...] = ()
    problem = "localizer" if series.localizer else ""
    if modality_of(series) is None:
        known = in_words(list(DICOM_MODALITIES.values()))
        problem = (
            f"{series.modality} is not fused, only {known}" if series.modality else f"no modality, expected {known}"
        )
    try:
        opened = open_series(series, scan, volume="1")
    except InputError as error:
        problem = problem or _reason(error, scan)
    else:
        grid, volumes = opened.grids[0], len(opened.volumes)
        labels = tuple(one.label for one in opened.volumes) if volumes > 1 else ()
        size = (*grid.size, round(float(grid.heights[-1])) + 1)
        spacing = tuple(np.linalg.norm(grid.affine[:3, :3], axis=0).round(NUMBER_DIGITS).tolist())
    return SeriesRow(
        name=series.name,
        number=series.number,
        uid=series.uid,
        patient=series.patient,
        date=series.date,
        modality=series.modality,
        description=series.description,
        images=series.images,
        size=size,
        spacing=spacing,  # type: ignore[arg-type]
        volumes=volumes,
        labels=labels,
        frame_of_reference=series.frame,
        localizer=series.localizer,
        problem=problem,
    )


def _reason(error: InputError, scan: Scan) -> str:
    """Why a series cannot be read, in one line and without the folder's name, which may be the patient's."""
    text = str(error).removesuffix(scan.passed_over()).splitlines()[0]
    return text.split(": ", 1)[-1]


def _pairs(series: Sequence[Series]) -> list[PairRow]:
    """Pairs of one patient, those of two modalities first; of two MRI the structural one is A, as ``fuse`` takes it."""
    found = []
    for i, first in enumerate(series):
        for j, second in enumerate(series):
            of_two = modality_of(first), modality_of(second)
            if first.patient != second.patient or not may_be_fused(*of_two) or (of_two[0] is of_two[1] and i >= j):
                continue
            turned = of_two[0] is of_two[1] and structural_one((first, second)) is second
            a, b = (second, first) if turned else (first, second)
            alike = bool(a.frame) and a.frame == b.frame
            found.append(PairRow(f"{modality_of(b)}-{modality_of(a)}", a.uid, b.uid, alike))
    return sorted(found, key=lambda pair: len(set(pair.task.split("-"))) == 1)


def _volumes(labels: Sequence[dict[str, str]]) -> str:
    """The volumes of a series, each with its number and what tells it apart."""
    told = [
        f"{k}: {', '.join(f'{name}={value}' for name, value in label.items())}" for k, label in enumerate(labels, 1)
    ]
    return "; ".join(told[:SHOWN_VOLUMES]) + (f"; ... {told[-1]}" if len(told) > SHOWN_VOLUMES else "")


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ")


def _cells(row: SeriesRow) -> tuple[str, ...]:
    size = "x".join(map(str, row.size)) if row.size else f"{row.images} image{'s' if row.images != 1 else ''}"
    if row.volumes and row.volumes > 1:
        size += f", {row.volumes} volumes"
    return (
        row.name or "-",
        row.patient,
        row.date or "-",
        row.modality or "-",
        size,
        "x".join(f"{s:g}" for s in row.spacing) if row.spacing else "-",
        row.frame_of_reference or "-",
        row.description,
        "localizer" if row.localizer else "not usable" if row.problem else "",
    )
