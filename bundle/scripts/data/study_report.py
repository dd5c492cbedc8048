"""The report of a fused study, ``report.json``: what is in it, writing it and reading it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import ColorMap, Modality, Precision, Runtime
from ..utils.files import write_atomically
from ..utils.json_files import read_json
from .typed_json import ReportError, typed, typed_object

__all__ = [
    "NOTICE",
    "REPORT_NAME",
    "SCHEMA_VERSION",
    "AlignmentReport",
    "DeformationReport",
    "GridReport",
    "LossReport",
    "NetworkReport",
    "RefinementReport",
    "RegistrationReport",
    "SourceReport",
    "SourcesReport",
    "StudyReport",
]

REPORT_NAME = "report.json"
NOTICE = "Research use only, not for diagnosis."
SCHEMA_VERSION = 2  # 1: version 0.4.0, which did not write it. 2: the memory is that of the study, not of the process

Triple = tuple[float, float, float]
Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


@dataclass(frozen=True, kw_only=True)
class NetworkReport:
    """How the network ran.

    Args:
        runtime: what ran it.
        precision: of its weights and features.
    """

    runtime: Runtime
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class RefinementReport:
    """What the refinement after the network did.

    Args:
        steps: of each image.
        images: how many were refined: slices that show something, and tiles of large ones.
        loss_before: mean loss of the network's images.
        loss_after: mean loss of the refined ones.
        seconds: how long it took.
    """

    steps: int
    images: int
    loss_before: float
    loss_after: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"refined with {self.steps} steps: loss {self.loss_before:.4f} to {self.loss_after:.4f}, "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True, kw_only=True)
class GridReport:
    """The voxel grid of the fused volume.

    Args:
        shape: number of voxels along each axis.
        spacing: voxel size along each axis, millimeters.
        affine: voxel index to world, millimeters, RAS+.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    affine: Matrix


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """One source.

    Args:
        modality: of the images.
        unit: of its values, such as ``"HU"`` or ``"SUVbw"``.
        window: the two values, in ``unit``, that became 0 and 1.
        notes: what reading it had to decide; no note names the patient.
    """

    modality: Modality
    unit: str
    window: tuple[float, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourcesReport:
    """Both sources; ``a`` is the structural one."""

    a: SourceReport
    b: SourceReport


@dataclass(frozen=True, kw_only=True)
class DeformationReport:
    """The deformation of a registration.

    Args:
        mean_mm: mean length of the displacements over the body, millimeters.
        largest_mm: largest one.
        least_jacobian: smallest local change of the volume; at 0 it would fold.
        largest_jacobian: largest one.
    """

    mean_mm: float
    largest_mm: float
    least_jacobian: float
    largest_jacobian: float


@dataclass(frozen=True, kw_only=True)
class AlignmentReport:
    """Why the two sources lie as they do in the fused volume; the fields are those of ``Alignment``.

    Args:
        metric: name of the metric that ``value`` and ``peak`` are values of.
        reason: ``"registered"``, ``"transform file"``, ``"same grid"``, ``"same frame of reference"`` or ``"--register
            none"``.
        value: metric as the sources were fused; None where it could not be measured.
        peak: metric at the best place nearby that a coarse search found; None where none was made.
        peak_away_mm: mean distance to that place, millimeters.
        warning: what a person must know before the fused volume is used; None where there is nothing.
    """

    metric: str
    reason: str
    value: float | None
    peak: float | None
    peak_away_mm: float | None
    warning: str | None

    @classmethod
    def from_dict(cls, figures: dict[str, Any]) -> AlignmentReport:
        """The report of ``Alignment.to_dict()``."""
        return typed_object(cls, figures, "alignment")


@dataclass(frozen=True, kw_only=True)
class RegistrationReport:
    """How source B was moved onto source A; the fields are those of ``Registration`` in transforms/registration.

    Args:
        metric: name of the metric that ``before`` and ``after`` are values of.
        kind: family of the transform, such as ``"rigid"``.
        matrix: a point of source A to the same point of source B, RAS+, millimeters.
        rotation_deg: about the x, y and z axes, degrees.
        translation_mm: of the center of A's foreground, millimeters.
        before: metric with the geometry of the files.
        after: metric with this transform.
        overlap: share of the smaller foreground that lies in the other one.
        spread_mm: mean distance between the results of independent starts, millimeters.
        gain: relative loss of ``after - 1`` at the best of some shifts.
        seconds: how long the registration took.
        method: which way of searching found it. Defaults to ``"whole"``, the only one of version 0.4.0.
        beyond_limits: the limits that it breaks, one phrase each; it was accepted by hand. Defaults to none.
        deformed: figures of the deformation; None where there is none. Defaults to None.
    """

    metric: str
    kind: str
    matrix: Matrix
    rotation_deg: Triple
    translation_mm: Triple
    before: float
    after: float
    overlap: float
    spread_mm: float | None
    gain: float
    seconds: float
    method: str = "whole"
    beyond_limits: tuple[str, ...] = ()
    deformed: DeformationReport | None = None

    @property
    def turn_deg(self) -> float:
        """The angle, degrees, by which the matrix turns about its axis; no single one of ``rotation_deg`` says it."""
        u, _, v = np.linalg.svd(np.array(self.matrix)[:3, :3])
        return float(np.degrees(np.arccos(np.clip((np.trace(u @ v) - 1) / 2, -1.0, 1.0))))

    @classmethod
    def from_dict(cls, figures: dict[str, Any]) -> RegistrationReport:
        """The report of ``Registration.to_dict()``."""
        return typed_object(cls, figures, "registration")


@dataclass(frozen=True, kw_only=True)
class LossReport:
    """Mean of each source's loss map, from 0, where the fused volume holds all of the source, to 1."""

    a: float
    b: float


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """Everything that the report of a fused study says; the names are the keys of ``report.json``.

    A change of a key or of its meaning raises ``SCHEMA_VERSION``.

    Args:
        version: of the model that fused the study.
        network: how the network ran.
        refinement: what came after the network. Defaults to None: nothing.
        settings: option of the fusion to its value, as text; empty in reports of schema 1.
        task: modalities of B and A, such as ``"PET-MRI"``.
        grid: voxel grid of the fused volume.
        sources: what the two sources are.
        colormap: colors of the functional source; None where the fused volume has no colors.
        registration: None where the two were not registered.
        alignment: why the two lie as they do. Defaults to None, as in reports of version 0.4.0.
        metrics: metric to its mean over slices that show both sources; empty where the slices are too small.
        loss: None where no loss maps were asked for.
        patient_differs_in: tags in which the patients of the two sources differ, and which the user said to be one
            person's (``--same-patient``); empty where nothing differs, and in reports of schema 1.
        seconds: how long loading, registration, fusion and writing took.
        peak_memory_gb: by how many gigabytes (2**30 bytes) the study raised the resident size of the process at most,
            see ``utils.memory.PeakMemory``; None in reports of schema 1, which held the peak of the whole process.
        schema_version: of the report. Defaults to today's.
        notice: what the result must not be used for. Defaults to ``NOTICE``.
    """

    schema_version: int = SCHEMA_VERSION
    notice: str = NOTICE
    version: str
    network: NetworkReport
    refinement: RefinementReport | None = None
    settings: dict[str, str]
    task: str
    grid: GridReport
    sources: SourcesReport
    colormap: ColorMap | None
    registration: RegistrationReport | None
    alignment: AlignmentReport | None = None
    metrics: dict[str, float]
    loss: LossReport | None
    patient_differs_in: tuple[str, ...] = ()
    seconds: float
    peak_memory_gb: float | None

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    def write(self, path: str | os.PathLike) -> Path:
        """Write the report as JSON.

        Returns:
            The path.

        Raises:
            InputError: When it cannot be written.
        """
        text = json.dumps(self.to_dict(), indent=4) + "\n"
        return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, path: str | os.PathLike) -> StudyReport:
        """Read and check a report.

        Reports of version 0.4.0 are read too; their ``peak_memory_gb`` becomes None. Keys that are not known are passed
        over.

        Args:
            path: ``report.json`` of a fused study.

        Raises:
            InputError: When nothing is there, it is not JSON or of a newer schema, or a key is missing or holds another
                type.
        """
        path = Path(path)
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise InputError(
                f"{path}: expected the report of a fused study, found {found} there, run mmif-amin fuse STUDY_A "
                "STUDY_B -o OUT first."
            )
        data = read_json(path, "JSON")
        try:
            return typed(cls, _in_this_schema(data), "")
        except ReportError as error:
            raise InputError(f"{path}: {error}") from error


def _in_this_schema(data: Any) -> dict[str, Any]:
    """A report as read from JSON, with the keys and meanings of today's schema."""
    if not isinstance(data, dict):
        raise ReportError(f"expected a JSON object, got {type(data).__name__}. Fuse the study again.")
    version = typed(int, data.get("schema_version", 1), "schema_version")
    if version > SCHEMA_VERSION:
        raise ReportError(
            f"key 'schema_version': expected at most {SCHEMA_VERSION}, got {version}. Read it with the version of "
            "mmif-amin that wrote it, or fuse the study again."
        )
    if version < SCHEMA_VERSION:
        new: dict[str, Any] = {"settings": {}, "peak_memory_gb": None, "patient_differs_in": []}
        data = {**data, "schema_version": SCHEMA_VERSION, **new}
    return data
