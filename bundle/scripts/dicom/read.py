"""Reading one DICOM series, in its own units and its own geometry."""

from __future__ import annotations

import importlib
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volume import Volume
from ..utils.checks import InputError
from ..utils.enums import Modality

__all__ = [
    "DICOM_MODALITIES",
    "Series",
    "is_dicom_folder",
    "list_series",
    "quiet_pydicom",
    "read_dicom_volume",
    "require",
]

DICOM_MODALITIES = {Modality.MRI: "MR", Modality.CT: "CT", Modality.PET: "PT", Modality.SPECT: "NM"}
COSINE_TOLERANCE = 2e-3  # direction cosines are often written with three decimals
SAME_POSITION = 0.01  # mm; slices closer than this lie at one position
GRID_TOLERANCE = (0.01, 0.1)  # of the slice spacing; mm: one decimal puts both a slice and the first one 0.05 mm off
TILT_TOLERANCE = 0.01  # sideways part of the step between slices, 0.6 degrees; more is a gantry tilt
PART_OF_UID = 6  # characters; fewer are a series number
STRAY_SHARE = 5  # slices of other orientations are a localizer's when they are at most one in five
UNRECONSTRUCTED = ("STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "TOMO", "GATED TOMO", "RECON GATED TOMO")  # of NM

PATIENT_TAGS = ("PatientName", "PatientID")
LISTED_TAGS = (
    *PATIENT_TAGS,
    "SOPClassUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "ImageType",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
)
TELLING_TAGS = (  # what can tell images at one position apart, the most telling first
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "EchoTime",
    "EffectiveEchoTime",
    "InversionTime",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "FrameReferenceTime",
    "ComplexImageComponent",
    "ConvolutionKernel",
    "ImageType",
    "FrameType",
    "AcquisitionNumber",
    "AcquisitionTime",
)


@dataclass
class Series:
    """One series of images.

    Args:
        uid: SeriesInstanceUID.
        modality: as the tag has it: ``"MR"``, ``"CT"``, ``"PT"``, ``"NM"``, ...
        number: SeriesNumber, None where there is none.
        description: SeriesDescription.
        files: its files, sorted by name.
        images: how many slices they hold together.
        size: columns and rows of the first one.
        spacing: its pixel spacing, mm: along a row, along a column; empty where the tag is missing.
        localizer: whether every image is a localizer (scout).
    """

    uid: str
    modality: str
    number: int | None
    description: str
    files: tuple[Path, ...]
    images: int
    size: tuple[int, int]
    spacing: tuple[float, ...]
    localizer: bool

    def __str__(self) -> str:
        spacing = "x".join(f"{s:g}" for s in self.spacing) + " mm" if self.spacing else "no pixel spacing"
        kind = f"{self.modality} localizer" if self.localizer else self.modality
        return (
            f"{'-' if self.number is None else self.number}: {kind}, {self.images} images of "
            f"{self.size[0]}x{self.size[1]}, {spacing}, '{self.description}', UID {self.uid}"
        )


@dataclass
class _Plane:
    """One slice: the file and frame that hold it, and its header with the frame's own elements at the top level."""

    path: Path
    frame: int
    header: Any
    syntax: Any

    @property
    def position(self) -> np.ndarray:
        return np.array(self.header.ImagePositionPatient, dtype=np.float64)

    @property
    def orientation(self) -> np.ndarray:
        return np.array(self.header.ImageOrientationPatient, dtype=np.float64)


@dataclass
class _Grid:
    """Where the slices lie.

    Args:
        affine: (4, 4) voxel to world, mm, RAS+.
        size: columns and rows.
        shift: pixels along a row and along a column by which the content of a slice lies beside that of the one
            before it, zero without a gantry tilt.
        start: the same for the first slice in the grid.
    """

    affine: np.ndarray
    size: tuple[int, int]
    shift: np.ndarray
    start: np.ndarray


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Hold back what pydicom and highdicom warn and log: they quote values of the header, the patient's among them."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def require(name: str) -> Any:
    """Import a DICOM package, or say how to install it.

    Raises:
        InputError: When it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"DICOM needs {name}, which is not installed: pip install pydicom highdicom.") from error


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Make one error that names ``path`` of the many that pydicom and its decoders raise for damaged files.

    pydicom converts a value when it is first asked for, so a malformed one can show anywhere.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}: expected whole and valid DICOM, it is truncated or damaged. Copy it again or take it away."
    )


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its magic, or, without a preamble, by a readable SOPClassUID."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}. Check its permissions.") from error
    if head[128:] == b"DICM":
        return True
    if head[:2] not in (b"\x02\x00", b"\x08\x00"):  # the group that a file without a preamble starts with
        return False
    try:
        header = require("pydicom").dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        return bool(header.get("SOPClassUID"))
    except InputError:
        raise
    except Exception:  # whatever it is, it is not DICOM
        return False


def _read_header(path: Path, tags: Sequence[str] | None = None) -> Any:
    """Read a DICOM file up to its pixels.

    Raises:
        InputError: When the header is damaged, or ends before it describes the image that its class promises.
    """
    pydicom = require("pydicom")
    with _blaming(path):
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=tags)
        kind = pydicom.uid.UID(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))
        if "Columns" not in header and (not kind or "Image Storage" in kind.name):
            raise _damaged(path)
        return header


def _files(path: Path) -> Iterable[Path]:
    return [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())


@quiet_pydicom()
def is_dicom_folder(path: str | os.PathLike) -> bool:
    """Whether a folder, or a folder in it, holds at least one DICOM file, whatever its name; or a file is one.

    Args:
        path: any path.

    Raises:
        InputError: When a file cannot be read, or needs pydicom to tell and that is not installed.
    """
    return any(map(_is_dicom, _files(Path(path))))


@quiet_pydicom()
def list_series(path: str | os.PathLike) -> list[Series]:
    """List the series of images in a folder and the folders in it; what is not a DICOM image is passed over.

    Args:
        path: folder, or one file.

    Returns:
        The series, by number.

    Raises:
        InputError: When nothing is there, a DICOM file is damaged, or pydicom is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: expected a DICOM folder or file, found nothing there.")
    members: dict[str, list[tuple[Path, Any]]] = {}
    for file in filter(_is_dicom, sorted(_files(path))):
        header = _read_header(file, LISTED_TAGS)
        with _blaming(file):
            if "Columns" in header:
                members.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    found = [_describe(uid, *zip(*pairs, strict=True)) for uid, pairs in members.items()]
    return sorted(found, key=lambda series: (series.number or 0, series.uid))


def _describe(uid: str, files: tuple[Path, ...], headers: tuple[Any, ...]) -> Series:
    with _blaming(files[0]):
        first = _overlay(headers[0], _groups(headers[0].get("SharedFunctionalGroupsSequence", [])))
        return Series(
            uid=uid,
            modality=str(first.get("Modality", "")),
            number=None if first.get("SeriesNumber") is None else int(first.SeriesNumber),
            description=_public(str(first.get("SeriesDescription", "")), first),
            files=files,
            images=sum(int(header.get("NumberOfFrames") or 1) for header in headers),
            size=(int(first.Columns), int(first.Rows)),
            spacing=tuple(float(s) for s in reversed(first.get("PixelSpacing") or [])),
            localizer=all(map(_is_localizer, headers)),
        )


def _words(header: Any) -> set[str]:
    text = " ".join(str(header.get(tag) or "") for tag in PATIENT_TAGS).lower()
    return {word for word in re.split(r"[\W_]+", text) if len(word) >= 3}


def _public(text: str, header: Any) -> str:
    """A text without the patient's name and id."""
    return "(names the patient)" if any(word in text.lower() for word in _words(header)) else text


@quiet_pydicom()
def patient_words(path: str | os.PathLike) -> set[str]:
    """Words that name the patient of a DICOM file or folder: of name and id, lower case, at least three letters.

    Args:
        path: any path; damaged files are passed over, and what is not DICOM names nobody.
    """
    for file in filter(_is_dicom, sorted(_files(Path(path)))):
        try:
            header = require("pydicom").dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=list(PATIENT_TAGS)
            )
        except Exception:  # pydicom raises many types; a damaged file is refused where it is used
            continue
        if words := _words(header):
            return words
    return set()


def _listed(header: Any, keyword: str) -> list[str]:
    """All values of a text tag, which pydicom gives as None, a string or a list."""
    value = header.get(keyword) or []
    return [value] if isinstance(value, str) else list(value)


def _is_localizer(header: Any) -> bool:
    return "LOCALIZER" in (_listed(header, "FrameType") or _listed(header, "ImageType"))


def _choose(who: str, found: list[Series], modality: Modality | None, series: str | None) -> Series:
    if not found:
        raise InputError(f"{who}: expected DICOM images, found none. Give the folder that the scanner exported.")
    if series is not None:
        hits = (
            [s for s in found if s.uid == series]
            or [s for s in found if str(s.number) == series]
            or [s for s in found if len(series) >= PART_OF_UID and (s.uid.startswith(series) or s.uid.endswith(series))]
        )
        if len(hits) > 1 and modality is not None:
            hits = [s for s in hits if s.modality == DICOM_MODALITIES[modality]]
        wanted = f"one series '{series}'"
    else:
        codes = list(DICOM_MODALITIES.values()) if modality is None else [DICOM_MODALITIES[modality]]
        hits = [s for s in found if s.modality in codes]
        hits = [s for s in hits if not s.localizer] or hits
        wanted = f"one series of modality {' or '.join(codes)}"
    if len(hits) != 1:
        listing = "".join(f"\n  {s}" for s in found)
        raise InputError(
            f"{who}: expected {wanted}, found {len(hits)}. Choose with --series-a/--series-b by number or UID:{listing}"
        )
    return hits[0]


def _groups(items: Iterable[Any]) -> list[Any]:
    """What the functional groups of a frame, or those that all frames share, hold."""
    return [group.value[0] for item in items for group in item if group.VR == "SQ" and group.value]


def _overlay(header: Any, parts: Iterable[Any]) -> Any:
    """A copy of a header, its top level overlaid by the elements of ``parts``."""
    flat = require("pydicom").Dataset()
    for part in (header, *parts):
        flat.update(part)
    return flat


def _frames(header: Any, who: str, notes: list[str]) -> list[Any]:
    """One flat header for each frame of a file.

    Raises:
        InputError: When a multi-frame file does not say where its frames are, or holds projections.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if "PerFrameFunctionalGroupsSequence" in header:
        shared = _groups(header.get("SharedFunctionalGroupsSequence", []))
        return [_overlay(header, shared + _groups([own])) for own in header.PerFrameFunctionalGroupsSequence]
    if header.get("Modality") == DICOM_MODALITIES[Modality.SPECT]:
        return _nuclear_frames(header, count, who, notes)
    if count > 1:
        raise InputError(f"{who}: expected a position for each of {count} frames, got none. Export single slices.")
    return [header]


def _nuclear_frames(header: Any, count: int, who: str, notes: list[str]) -> list[Any]:
    """Frames of an NM image; SpacingBetweenSlices is signed: negative stacks against the normal (PS3.3 C.8.4.15)."""
    kind = (*_listed(header, "ImageType"), "", "", "")[2]
    if kind in UNRECONSTRUCTED:
        raise InputError(f"{who}: expected reconstructed slices (RECON TOMO), got an NM image of type {kind}.")
    first = _overlay(header, header.get("DetectorInformationSequence", [])[:1])
    step = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)
    if count > 1 and not header.get("SpacingBetweenSlices"):
        notes.append("slice spacing taken from SliceThickness")
    if count == 1 or not step or not _has_geometry(first):
        return [first] * count  # refused later, with what is missing
    normal = np.cross(*np.array(first.ImageOrientationPatient, dtype=np.float64).reshape(2, 3))
    frames = []
    for k in range(count):
        place = require("pydicom").Dataset()
        place.ImagePositionPatient = (np.array(first.ImagePositionPatient, float) + k * step * normal).tolist()
        frames.append(_overlay(first, [place]))
    return frames


def _has_geometry(header: Any) -> bool:
    lengths = (("PixelSpacing", 2), ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6))
    try:
        return all(np.array(header[keyword].value, float).shape == (length,) for keyword, length in lengths)
    except (KeyError, TypeError, ValueError):
        return False


@quiet_pydicom()
def read_dicom_volume(
    path: str | os.PathLike, modality: Modality | str | None = None, series: str | None = None
) -> Volume:
    r"""Read one series as a volume.

    ``values[i, j, k]`` is column i, row j of slice k; slices are sorted along the cross product of the row and column
    cosines, and nothing else is reordered. Slice spacing is measured from positions. Rescaling is that of each slice.
    PET in Bq/ml becomes SUVbw where the header has all that it takes:

    .. math:: SUV_{bw} = C \cdot weight / (dose \cdot 2^{-(t_{scan} - t_{injection}) / t_{1/2}})

    with :math:`t_{scan}` the series' time, or the earliest acquisition where the series was made later, and no decay
    for DecayCorrection ADMIN. MONOCHROME1 is a wish for display: quantities (CT, PET, SPECT) keep their values, an MR
    image, whose values mean only what they look like, is inverted.

    Args:
        path: a folder, searched with the folders in it, or a single file.
        modality: chooses the series where ``series`` does not. Defaults to None: the only series.
        series: SeriesInstanceUID, its start or end, or series number. Defaults to None.

    Returns:
        The volume.

    Raises:
        InputError: When no series or several fit (they are listed), a file is damaged or cannot be decoded, the
            geometry is missing, mixed or uneven, several images lie at one position, or the pixels are in color.

    Reference: QIBA, "SUV: vendor-neutral pseudo-code for calculation of Standardized Uptake Value, happy path only",
        qibawiki.rsna.org/index.php/Standardized_Uptake_Value_(SUV).
    """
    path = Path(path)
    chosen = _choose(str(path), list_series(path), None if modality is None else Modality(modality), series)
    who = f"{path}, series {chosen.uid if chosen.number is None else chosen.number}"
    headers_of = {file: _read_header(file) for file in chosen.files}
    notes: list[str] = []
    planes: list[_Plane] = []
    for file, header in headers_of.items():
        with _blaming(file):
            syntax = _transfer_syntax(file, header)
            planes += [_Plane(file, k, frame, syntax) for k, frame in enumerate(_frames(header, who, notes))]
    with _blaming(path):
        planes = _one_stack(planes, who, notes)
        planes = _one_image_a_position(planes, who, notes)
        grid = _grid(planes, who, notes)
        values = _read_values(planes, grid, chosen.modality, who, notes)
        unit, factor = _unit(chosen.modality, [plane.header for plane in planes], notes)
    values *= np.float32(factor)
    headers = [headers_of[plane.path] for plane in planes]
    if grid.shift.any() or any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers):
        headers = headers[:1]
    known = {code: name for name, code in DICOM_MODALITIES.items()}
    return Volume(values, grid.affine, known.get(chosen.modality), unit, tuple(notes), tuple(headers))


def _one_stack(planes: list[_Plane], who: str, notes: list[str]) -> list[_Plane]:
    """The parallel slices of one size, sorted along their normal, without the localizers among them."""
    kept = [plane for plane in planes if not _is_localizer(plane.header)] or planes
    for plane in kept:
        _check_plane(plane, who)
    stacks: list[list[_Plane]] = []
    for plane in kept:
        for stack in stacks:
            if np.abs(stack[0].orientation - plane.orientation).max() < COSINE_TOLERANCE:
                stack.append(plane)
                break
        else:
            stacks.append([plane])
    kept = max(stacks, key=len)
    others = sum(map(len, stacks)) - len(kept)
    if others * STRAY_SHARE > len(kept):
        counts = " + ".join(str(len(stack)) for stack in stacks)
        raise InputError(f"{who}: expected parallel slices, got {counts} of different orientations. Split the series.")
    if len(kept) < len(planes):
        notes.append(f"localizer images in the series left out: {len(planes) - len(kept)}")
    forms = Counter(_form(plane.header) for plane in kept)
    if len(forms) > 1:
        listing = ", ".join(f"{count} of {form}" for form, count in forms.most_common())
        raise InputError(f"{who}: expected slices of one size and pixel spacing, got {listing}. Split the series.")
    normal = np.cross(*_directions(kept))
    return sorted(kept, key=lambda plane: float(plane.position @ normal))


def _form(header: Any) -> str:
    spacing = "x".join(f"{float(s):.4g}" for s in header.PixelSpacing)
    return f"{header.Rows}x{header.Columns} pixels of {spacing} mm"


def _check_plane(plane: _Plane, who: str) -> None:
    header = plane.header
    if not str(header.get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
        raise InputError(
            f"{who}: expected gray images (MONOCHROME), got {header.get('PhotometricInterpretation', 'nothing')}. "
            "Choose the series with the original values."
        )
    if "MOSAIC" in _listed(header, "ImageType"):
        raise InputError(f"{who}: expected one slice an image, got mosaics. Convert them to NIfTI first.")
    if not _has_geometry(header):
        raise InputError(
            f"{who}: expected PixelSpacing, ImagePositionPatient and ImageOrientationPatient in each image, not all "
            "are there or can be read. Export the series again with its geometry; none is assumed."
        )
    axes = plane.orientation.reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > COSINE_TOLERANCE:
        raise InputError(
            f"{who}: expected an ImageOrientationPatient of two perpendicular unit vectors, got {axes.tolist()}."
        )
    if not (np.isfinite(plane.position).all() and min(header.PixelSpacing) > 0):
        raise InputError(f"{who}: expected finite positions and a PixelSpacing above 0, got {_form(header)}.")


def _directions(planes: list[_Plane]) -> np.ndarray:
    """Unit vectors along a row and along a column, LPS, (2, 3), exactly perpendicular."""
    row, column = np.mean([plane.orientation for plane in planes], axis=0).reshape(2, 3)
    row /= np.linalg.norm(row)
    column -= row * (row @ column)
    return np.stack([row, column / np.linalg.norm(column)])


def _one_image_a_position(planes: list[_Plane], who: str, notes: list[str]) -> list[_Plane]:
    """Drop exact copies; images that differ at one position are several volumes."""
    along = np.array([plane.position for plane in planes]) @ np.cross(*_directions(planes))
    kept = planes[:1]
    for plane, step in zip(planes[1:], np.diff(along), strict=True):
        if step > SAME_POSITION:
            kept.append(plane)
            continue
        one, other = (values for _, values, _ in _decode([kept[-1], plane]))
        if not np.array_equal(one, other):
            positions = 1 + int((np.diff(along) > SAME_POSITION).sum())
            raise InputError(
                f"{who}: expected one image at each of {positions} positions, got {len(planes)} images; "
                f"{_what_differs(kept[-1].header, plane.header, planes)}. Export the one volume to fuse."
            )
    if len(kept) < len(planes):
        notes.append(f"exact copies of slices left out: {len(planes) - len(kept)}")
    return kept


def _what_differs(one: Any, other: Any, planes: list[_Plane]) -> str:
    for keyword in TELLING_TAGS:
        if one.get(keyword) != other.get(keyword):
            values = Counter(str(plane.header.get(keyword)) for plane in planes)
            listed = sorted(values.items(), key=lambda pair: (len(pair[0]), pair[0]))
            shown = ", ".join(f"{value} ({count} images)" for value, count in listed[:12])
            return f"{keyword} has {len(values)} values: {shown}"
    return "no tag tells them apart"


def _grid(planes: list[_Plane], who: str, notes: list[str]) -> _Grid:
    """The grid of evenly spaced slices; an upright one around them where they are sheared by a gantry tilt."""
    header = planes[0].header
    axes = _directions(planes)
    normal = np.cross(*axes)
    pixel = np.array([float(s) for s in reversed(header.PixelSpacing)])
    positions = np.array([plane.position for plane in planes])
    thickness = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
    if len(planes) > 1:
        step = (positions[-1] - positions[0]) / (len(planes) - 1)
    elif thickness:
        step = normal * abs(float(thickness))
        notes.append(f"a single slice, {abs(float(thickness)):g} mm thick by its header")
    else:
        raise InputError(f"{who}: expected several slices, or one with a SliceThickness, got one without.")
    _check_even(positions, step, who)

    shift, start, size = np.zeros(2), np.zeros(2), np.array([int(header.Columns), int(header.Rows)])
    sideways = axes @ step
    if np.linalg.norm(sideways) > TILT_TOLERANCE * np.linalg.norm(step):
        shift = sideways / pixel
        reach = np.round(shift * (len(planes) - 1), 3)
        start = -np.floor(np.minimum(reach, 0))
        size += np.ceil(np.abs(reach)).astype(int)
        angle = np.degrees(np.arctan2(np.linalg.norm(sideways), step @ normal))
        notes.append(f"gantry tilt of {angle:.1f} degrees straightened by linear interpolation")
        step = normal * (step @ normal)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([axes[0] * pixel[0], axes[1] * pixel[1], step], axis=1)
    affine[:3, 3] = positions[0] - affine[:3, :2] @ start
    affine[:2] *= -1  # LPS to RAS
    return _Grid(affine, (int(size[0]), int(size[1])), shift, start)


def _check_even(positions: np.ndarray, step: np.ndarray, who: str) -> None:
    """Refuse slices that lie off the regular grid, as around a missing one.

    What counts is how far a voxel would be misplaced, so offsets from the grid are judged, not single gaps.
    """
    off = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    allowed = max(GRID_TOLERANCE[0] * float(np.linalg.norm(step)), GRID_TOLERANCE[1])
    if off.max() <= allowed:
        return
    steps = np.diff(positions, axis=0)
    usual = np.median(steps, axis=0)
    deviation = np.linalg.norm(steps - usual, axis=1)
    worst = [k for k in np.argsort(-deviation)[:3] if deviation[k] > min(allowed, deviation.max() / 2)]
    gaps = "; ".join(
        f"{np.linalg.norm(steps[k]):.2f} mm from {np.round(positions[k], 2).tolist()} "
        f"to {np.round(positions[k + 1], 2).tolist()}"
        for k in sorted(worst)
    )
    raise InputError(
        f"{who}: expected evenly spaced slices, got {len(positions)} that are mostly {np.linalg.norm(usual):.2f} mm "
        f"apart, but {gaps} (ImagePositionPatient). Copy the missing slices, or export a complete series."
    )


def _transfer_syntax(path: Path, header: Any) -> Any:
    """How the pixels are encoded.

    Raises:
        InputError: When no installed decoder reads it.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, _ = header.original_encoding
    guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian  # of a file without a preamble
    syntax = header.file_meta.get("TransferSyntaxUID", guess)
    try:
        if get_decoder(syntax).is_available and not syntax.is_deflated:  # pydicom reads no frames of deflated files
            return syntax
    except NotImplementedError:
        pass
    raise InputError(
        f"{path}: expected pixels that can be decoded, got transfer syntax {syntax.name} ({syntax}) without a decoder. "
        "Install one: pip install mmif-amin[decoders], or export the series uncompressed."
    )


def _decode(planes: Sequence[_Plane]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, file by file, the index of a plane, its rescaled values (rows, columns) and where they are padding.

    Raises:
        InputError: When the pixels are damaged or a value is not finite.
    """
    from pydicom.pixels import apply_modality_lut, iter_pixels

    files: dict[Path, list[int]] = {}
    for k, plane in enumerate(planes):
        files.setdefault(plane.path, []).append(k)
    for path, members in files.items():
        frames = [planes[k].frame for k in members]
        with _blaming(path):
            images = iter_pixels(path, indices=frames, transfer_syntax_uid=planes[members[0]].syntax)
            for k, stored in zip(members, images, strict=True):
                values = apply_modality_lut(stored, planes[k].header).astype(np.float32)
                bad = values.size - int(np.isfinite(values).sum())
                if bad:
                    raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite.")
                yield k, values, _padding(stored, planes[k].header)


def _padding(stored: np.ndarray, header: Any) -> np.ndarray:
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([first, header.get("PixelPaddingRangeLimit", first)]).astype(stored.dtype)  # wraps -2000 as US
    return (stored >= ends.min()) & (stored <= ends.max())


def _read_values(planes: list[_Plane], grid: _Grid, code: str, who: str, notes: list[str]) -> np.ndarray:
    """Rescaled values of the slices on the grid, (X, Y, Z); padding and what no slice reaches get the minimum."""
    columns, rows = grid.size
    values = np.empty((len(planes), rows, columns), dtype=np.float32)
    lowest, highest = np.inf, -np.inf
    for k, image, padded in _decode(planes):
        if not padded.all():
            lowest = min(lowest, float(image[~padded].min()))
            highest = max(highest, float(image[~padded].max()))
        image[padded] = np.nan
        if grid.shift.any():
            from scipy import ndimage

            offset = -(grid.start + k * grid.shift)[::-1]
            image = ndimage.affine_transform(image, np.eye(2), offset, (rows, columns), order=1, cval=np.nan)
        values[k] = image
    if lowest > highest:
        raise InputError(f"{who}: expected an image, every pixel has the PixelPaddingValue.")
    if planes[0].header.PhotometricInterpretation == "MONOCHROME1":
        if code == DICOM_MODALITIES[Modality.MRI]:
            np.subtract(lowest + highest, values, out=values)
            notes.append("MONOCHROME1: inverted, so that bright is as shown")
        else:
            notes.append("MONOCHROME1: values kept, it only asks for an inverted display")
    for image in values:
        np.nan_to_num(image, copy=False, nan=lowest)
    return values.T


def _unit(code: str, headers: list[Any], notes: list[str]) -> tuple[str, float]:
    """Unit of the values and the factor that brings them there."""
    if code == DICOM_MODALITIES[Modality.SPECT]:
        return "counts", 1.0
    if code == DICOM_MODALITIES[Modality.CT]:
        kind = headers[0].get("RescaleType") or "HU"
        if kind == "HU" and "RescaleSlope" in headers[0]:
            return "HU", 1.0
        notes.append(f"not in Hounsfield units: RescaleType {kind}" if kind != "HU" else "no RescaleSlope, so no HU")
    if code == DICOM_MODALITIES[Modality.PET]:
        units = headers[0].get("Units") or "missing"
        if units == "BQML":
            try:
                factor = _suv_factor(headers)
            except ValueError as error:
                notes.append(f"kept in Bq/ml, no SUV: {error}")
                return "Bq/ml", 1.0
            notes.append("Bq/ml brought to SUVbw by dose, half-life, weight and times of the header")
            return "SUVbw", factor
        if units == "GML" and headers[0].get("SUVType", "BW") == "BW":
            return "SUVbw", 1.0
        notes.append(f"no SUV: Units is {units}")
        if units == "CNTS":
            return "counts", 1.0
    return "arbitrary", 1.0


def _suv_factor(headers: list[Any]) -> float:
    """What Bq/ml is multiplied with to give SUVbw.

    Raises:
        ValueError: When the header lacks what the formula needs; says what.
    """
    first = headers[0]
    missing = {"ATTN", "DECY"} - set(_listed(first, "CorrectedImage"))
    if missing:
        raise ValueError(f"CorrectedImage lacks {' and '.join(sorted(missing))}")
    doses = first.get("RadiopharmaceuticalInformationSequence") or []
    if len(doses) != 1:
        raise ValueError(f"RadiopharmaceuticalInformationSequence has {len(doses)} items")
    weight = _positive(first, "PatientWeight")  # kg
    dose = _positive(doses[0], "RadionuclideTotalDose")  # Bq
    correction = first.get("DecayCorrection") or "missing"
    if correction not in ("START", "ADMIN"):
        raise ValueError(f"DecayCorrection is {correction}")
    if correction == "START":
        half_life = _positive(doses[0], "RadionuclideHalfLife")  # s
        scan = min(_moment(first, "Series"), *(_moment(header, "Acquisition") for header in headers))
        waited = (scan - _injection(doses[0], scan)).total_seconds()
        if not 0 <= waited < 10 * half_life:
            raise ValueError(f"the injection lies {waited:.0f} s before the scan")
        dose *= 2 ** (-waited / half_life)
    return 1000 * weight / dose


def _positive(header: Any, keyword: str) -> float:
    try:
        value = float(header.get(keyword) or 0)
    except (TypeError, ValueError):
        value = 0.0
    if not value > 0:
        raise ValueError(f"{keyword} is missing or malformed")
    return value


def _moment(header: Any, name: str) -> datetime:
    from pydicom.valuerep import DA, TM

    try:
        return datetime.combine(DA(header.get(f"{name}Date")), TM(header.get(f"{name}Time")))
    except (TypeError, ValueError):
        raise ValueError(f"{name}Date or {name}Time is missing or malformed") from None


def _injection(dose: Any, scan: datetime) -> datetime:
    """When the tracer was given; a time without a date is the last one before the scan."""
    from pydicom.valuerep import DT, TM

    try:
        if dose.get("RadiopharmaceuticalStartDateTime"):
            return DT(dose.RadiopharmaceuticalStartDateTime).replace(tzinfo=None)
        moment = datetime.combine(scan.date(), TM(dose.get("RadiopharmaceuticalStartTime")))
    except (TypeError, ValueError):
        raise ValueError("RadiopharmaceuticalStartTime is missing or malformed") from None
    return moment if moment <= scan else moment - timedelta(days=1)
