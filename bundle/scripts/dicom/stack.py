"""The slices of a series that can make volumes: parallel and of one size, without localizers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..utils.checks import InputError
from .frames import Plane, has_geometry
from .geometry import directions
from .header import is_localizer

__all__ = ["parallel_slices"]

COSINE_TOLERANCE = 2e-3  # direction cosines are often written with three decimals
STRAY_SHARE = 5  # slices of other orientations are a localizer's when they are at most one in five


def parallel_slices(planes: Sequence[Plane], who: str, notes: list[str]) -> list[Plane]:
    """The parallel slices of one size, sorted along their normal, without the localizers among them.

    Args:
        planes: all slices of the series.
        who: folder and series, for messages.
        notes: what was left out is added to it.

    Raises:
        InputError: When a slice is in color or without geometry, or orientations, sizes or spacings differ.
    """
    kept = [plane for plane in planes if not is_localizer(plane.header)] or planes
    for plane in kept:
        _check_plane(plane, who)
    stacks = _by_orientation(kept)
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
    normal = np.cross(*directions(kept))
    return sorted(kept, key=lambda plane: float(plane.position @ normal))


def _by_orientation(planes: Sequence[Plane]) -> list[list[Plane]]:
    stacks: list[list[Plane]] = []
    for plane in planes:
        for stack in stacks:
            if np.abs(stack[0].orientation - plane.orientation).max() < COSINE_TOLERANCE:
                stack.append(plane)
                break
        else:
            stacks.append([plane])
    return stacks


def _form(header: Any) -> str:
    spacing = "x".join(f"{float(s):.4g}" for s in header.PixelSpacing)
    return f"{header.Rows}x{header.Columns} pixels of {spacing} mm"


def _check_plane(plane: Plane, who: str) -> None:
    header = plane.header
    if not str(header.get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
        raise InputError(
            f"{who}: expected gray images (MONOCHROME), got {header.get('PhotometricInterpretation', 'nothing')}. "
            "Choose the series with the original values."
        )
    if not has_geometry(header):
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
