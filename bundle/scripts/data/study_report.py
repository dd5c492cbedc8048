"""The report of a fused study, ``report.json``: what is in it, writing it and reading it.

The reader is written by hand: pydantic would do the same, but would be one more dependency of the model for forty
lines.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..utils.checks import InputError
from ..utils.enums import ColorMap, Modality, Precision, Runtime
from ..utils.files import write_atomically

__all__ = [
    "NOTICE",
    "REPORT_NAME",
    "SCHEMA_VERSION",
    "GridReport",
    "LossReport",
    "NetworkReport",
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
    """

    metric: str
    kind: str
    matrix: Matrix
    rotation_deg: Triple
    translation_mm: Triple
    before: float
    after: float
    overlap: float
    spread_mm: float
    gain: float
    seconds: float

    @classmethod
    def from_dict(cls, figures: dict[str, Any]) -> RegistrationReport:
        """The report of ``Registration.to_dict()``."""
        return _typed_object(cls, figures, "registration")


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
        settings: option of the fusion to its value, as text; empty in reports of schema 1.
        task: modalities of B and A, such as ``"PET-MRI"``.
        grid: voxel grid of the fused volume.
        sources: what the two sources are.
        colormap: colors of the functional source; None where the fused volume has no colors.
        registration: None where the two were not registered.
        metrics: metric to its mean over slices that show both sources; empty where the slices are too small.
        loss: None where no loss maps were asked for.
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
    settings: dict[str, str]
    task: str
    grid: GridReport
    sources: SourcesReport
    colormap: ColorMap | None
    registration: RegistrationReport | None
    metrics: dict[str, float]
    loss: LossReport | None
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
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: expected JSON, got: {error}. Fuse the study again.") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
        try:
            return _typed(cls, _in_this_schema(data), "")
        except _ReportError as error:
            raise InputError(f"{path}: {error}") from error


class _ReportError(Exception):
    """What is wrong with a report, without its path."""


def _wrong(key: str, expected: str, value: Any) -> _ReportError:
    """The error for a value that is not what it must be."""
    got = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
    return _ReportError(f"key '{key}': expected {expected}, got {got}. Fuse the study again.")


def _in_this_schema(data: Any) -> dict[str, Any]:
    """A report as read from JSON, with the keys and meanings of today's schema."""
    if not isinstance(data, dict):
        raise _ReportError(f"expected a JSON object, got {type(data).__name__}. Fuse the study again.")
    version = _typed(int, data.get("schema_version", 1), "schema_version")
    if version > SCHEMA_VERSION:
        raise _ReportError(
            f"key 'schema_version': expected at most {SCHEMA_VERSION}, got {version}. Read it with the version of "
            "mmif-amin that wrote it, or fuse the study again."
        )
    if version < SCHEMA_VERSION:
        data = {**data, "schema_version": SCHEMA_VERSION, "settings": {}, "peak_memory_gb": None}
    return data


def _typed(kind: Any, value: Any, key: str) -> Any:
    """A value from JSON as the dataclass, tuple, dictionary, text or number that an annotation names.

    Args:
        kind: the annotation.
        value: from JSON.
        key: where it stands in the report, for errors.

    Raises:
        _ReportError: When it is of another type, or an object lacks a key.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if type(None) in inner:
        return None if value is None else _typed(inner[0], value, key)
    if is_dataclass(kind) or origin is dict:
        if not isinstance(value, dict):
            raise _wrong(key, "an object", value)
        if origin is dict:
            return {name: _typed(inner[1], item, f"{key}.{name}") for name, item in value.items()}
        return _typed_object(kind, value, key)
    if origin is tuple:
        any_length = inner[-1] is Ellipsis
        if not isinstance(value, list) or not (any_length or len(value) == len(inner)):
            raise _wrong(key, "a list" if any_length else f"a list of {len(inner)}", value)
        return tuple(_typed(inner[0 if any_length else i], item, f"{key}.{i}") for i, item in enumerate(value))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        if value not in list(kind):
            raise _ReportError(f"key '{key}': expected one of {', '.join(kind)}, got {value!r}. Fuse the study again.")
        return kind(value)
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise _wrong(key, {str: "a text", int: "a whole number", float: "a number"}[kind], value)
    return value


def _typed_object(kind: Any, value: dict[str, Any], key: str) -> Any:
    values = {}
    for name, hint in get_type_hints(kind).items():
        place = f"{key}.{name}" if key else name
        if name not in value:
            raise _ReportError(f"expected the key '{place}', it is missing. Fuse the study again.")
        values[name] = _typed(hint, value[name], place)
    return kind(**values)
