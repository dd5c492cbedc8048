"""Frames of single-frame, enhanced and nuclear medicine files: each gets a flat header of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.enums import Modality
from ..utils.limits import MOST_FRAMES
from .header import DICOM_MODALITIES, require, values_of
from .tiles import headers_of_tiles, is_tiled

__all__ = ["Plane", "has_geometry", "headers_of_frames", "planes_of", "with_shared_groups"]

UNRECONSTRUCTED = ("STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "TOMO", "GATED TOMO", "RECON GATED TOMO")  # of NM


@dataclass
class Plane:
    """One slice.

    Args:
        path: the file that holds it.
        frame: its number in the file, from 0.
        header: the header of the file, with the frame's own elements at the top level.
        syntax: transfer syntax of its pixels.
        tile: row and column of the image where the slice begins, in a mosaic. Defaults to None: it is the whole image.
    """

    path: Path
    frame: int
    header: Any
    syntax: Any
    tile: tuple[int, int] | None = None

    @cached_property
    def position(self) -> np.ndarray:
        """ImagePositionPatient, LPS+, mm, (3,)."""
        return np.array(self.header.ImagePositionPatient, dtype=np.float64)

    @cached_property
    def orientation(self) -> np.ndarray:
        """ImageOrientationPatient: direction cosines of a row and of a column, LPS+, (6,)."""
        return np.array(self.header.ImageOrientationPatient, dtype=np.float64)


def planes_of(path: Path, header: Any, syntax: Any, who: str, notes: list[str]) -> list[Plane]:
    """The slices of a file, each with a flat header of its own.

    Args:
        path: the file.
        header: of the file.
        syntax: transfer syntax of its pixels.
        who: folder and series, for messages.
        notes: what had to be decided is added to it.

    Raises:
        InputError: When a multi-frame file or a mosaic does not say where its slices are, or holds projections.
    """
    if is_tiled(header) and "PerFrameFunctionalGroupsSequence" not in header:
        tiles = headers_of_tiles(header, who, notes)
        return [Plane(path, 0, tile_header, syntax, tile) for tile_header, tile in tiles]
    frames = headers_of_frames(header, who, notes)
    return [Plane(path, k, frame, syntax) for k, frame in enumerate(frames)]


def headers_of_frames(header: Any, who: str, notes: list[str]) -> list[Any]:
    """One flat header for each frame of a file, whose slices are not tiled.

    Args:
        header: of the file.
        who: folder and series, for messages.
        notes: what had to be decided is added to it.

    Raises:
        InputError: When a multi-frame file does not say where its frames are, or holds projections.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if "PerFrameFunctionalGroupsSequence" in header:
        if len(header.PerFrameFunctionalGroupsSequence) > MOST_FRAMES:
            raise InputError(f"{who}: expected at most {MOST_FRAMES} frames in a file, got more. Split it.")
        shared = _groups(header.get("SharedFunctionalGroupsSequence", []))
        return [_overlaid(header, shared + _groups([own])) for own in header.PerFrameFunctionalGroupsSequence]
    if header.get("Modality") == DICOM_MODALITIES[Modality.SPECT]:
        return _nuclear_frames(header, count, who, notes)
    if count > 1:
        raise InputError(f"{who}: expected a position for each of {count} frames, got none. Export single slices.")
    return [header]


def with_shared_groups(header: Any) -> Any:
    """A copy of a header, with the elements that all its frames share at the top level."""
    return _overlaid(header, _groups(header.get("SharedFunctionalGroupsSequence", [])))


def has_geometry(header: Any) -> bool:
    """Whether PixelSpacing, ImagePositionPatient and ImageOrientationPatient are there and are numbers."""
    lengths = (("PixelSpacing", 2), ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6))
    try:
        return all(np.array(header[keyword].value, float).shape == (length,) for keyword, length in lengths)
    except (KeyError, TypeError, ValueError):
        return False


def _groups(items: Iterable[Any]) -> list[Any]:
    """Content of the functional groups of one frame, or of those that all frames share.

    Private sequences among them are no functional groups: Philips keeps a whole classic header in (2005,140F), with a
    position, orientation and rescaling of its own.
    """
    return [
        group.value[0]
        for item in items
        for group in item
        if group.VR == "SQ" and group.value and not group.tag.is_private
    ]


def _overlaid(header: Any, parts: Iterable[Any]) -> Any:
    """A copy of a header, its top level overlaid by the elements of ``parts``."""
    elements: dict[Any, Any] = {}  # a dataset's own update takes three times as long, for each of thousands of frames
    for part in (header, *parts):
        elements.update(part.items())
    return require("pydicom").Dataset(elements)


def _nuclear_frames(header: Any, count: int, who: str, notes: list[str]) -> list[Any]:
    """Frames of an NM image; SpacingBetweenSlices is signed: negative stacks against the normal (PS3.3 C.8.4.15)."""
    kind = (*values_of(header, "ImageType"), "", "", "")[2]
    if kind in UNRECONSTRUCTED:
        raise InputError(f"{who}: expected reconstructed slices (RECON TOMO), got an NM image of type {kind}.")
    first = _overlaid(header, header.get("DetectorInformationSequence", [])[:1])
    step = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)
    if count > 1 and not header.get("SpacingBetweenSlices"):
        notes.append("slice spacing taken from SliceThickness")
    if count == 1 or not step or not has_geometry(first):
        return [first] * count  # refused later, with what is missing
    normal = np.cross(*np.array(first.ImageOrientationPatient, dtype=np.float64).reshape(2, 3))
    frames = []
    for k in range(count):
        place = require("pydicom").Dataset()
        place.ImagePositionPatient = (np.array(first.ImagePositionPatient, float) + k * step * normal).tolist()
        frames.append(_overlaid(first, [place]))
    return frames
