"""Mosaics of Siemens and grids of UIH: one image that holds all slices of a volume, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.checks import InputError
from ..utils.limits import MOST_FRAMES
from .header import private_value, require, values_of

__all__ = ["CSA_TAGS", "TILE_TAGS", "headers_of_tiles", "is_tiled"]

SIEMENS, SIEMENS_XA, UIH = "SIEMENS MR HEADER", "SIEMENS MR SDI 02", "Image Private Header"
COUNT, NORMAL = 0x01, 0x02  # elements of SIEMENS_XA: how many slices, and their direction
BLOCKS = (0x10, 0x11, 0x12)  # that private elements may be in
CSA_TAGS = tuple(0x00290000 + block * 0x100 + 0x10 for block in BLOCKS)  # the image's CSA header
TILE_TAGS: tuple[str | int, ...] = (  # private creators, and the elements that is_tiled and headers_of_tiles look at
    *(group * 0x10000 + block for group in (0x0019, 0x0021, 0x0029, 0x0065) for block in BLOCKS),
    *CSA_TAGS,
    *(0x00210000 + block * 0x100 + element for block in BLOCKS for element in (COUNT, NORMAL)),
    0x0019100A,
    0x00651050,
    0x00651051,
    "SpacingBetweenSlices",
    "SliceThickness",
)


def is_tiled(header: Any) -> bool:
    """Whether an image is a mosaic or a grid of slices, by its ImageType."""
    return bool({"MOSAIC", "VFRAME"} & set(values_of(header, "ImageType")))


def headers_of_tiles(header: Any, who: str, notes: list[str]) -> list[tuple[Any, tuple[int, int]]]:
    """A flat header for each slice of a tiled image, and the row and column where its tile begins.

    The tiles lie from left to right and from top to bottom: with Siemens in a square, whose last rows of tiles may be
    empty, with UIH in as many columns but only as many rows as are needed. Siemens gives the position that one slice of
    the size of the whole mosaic would have, and the direction of the slices in its CSA header, or, with Numaris X, in
    private elements; UIH gives the position of each slice.

    Args:
        header: of the file.
        who: folder and series, for messages.
        notes: what had to be decided is added to it.

    Raises:
        InputError: When the header does not say how many slices there are, or where they lie.

    Reference: nibabel, nicom.dicomwrappers.MosaicWrapper; for UIH github.com/rordenlab/dcm2niix/issues/225.
    """
    placed = _frames_of_uih(header)
    count = len(placed) or _count_of_siemens(header)
    across = int(np.ceil(np.sqrt(abs(count))))
    down = -(-count // across) if placed else across
    if not 1 <= count <= MOST_FRAMES or header.Rows % down or header.Columns % across:
        raise InputError(
            f"{who}: expected a mosaic that says how many slices it holds and where they lie, it does not. Export it "
            "as single slices or as enhanced DICOM, or convert it to NIfTI."
        )
    rows, columns = header.Rows // down, header.Columns // across
    placed = placed or _frames_of_siemens(header, count, rows, columns, who, notes)
    return [
        (_overlaid(header, part, rows, columns), (k // across * rows, k % across * columns))
        for k, part in enumerate(placed)
    ]


def _overlaid(header: Any, part: dict[str, Any], rows: int, columns: int) -> Any:
    flat, own = require("pydicom").Dataset(), require("pydicom").Dataset()
    for keyword, value in (part | {"Rows": rows, "Columns": columns}).items():
        setattr(own, keyword, value)  # not of the flat one, which shares its elements with the file's header
    flat.update(header)
    flat.update(own)
    return flat


def _frames_of_uih(header: Any) -> list[dict[str, Any]]:
    """Position and orientation of each slice; empty where the header has no sequence of them."""
    for element in (0x51, 0x50):
        items = private_value(header, 0x0065, UIH, element)
        if isinstance(items, require("pydicom").Sequence) and items:
            keywords = ("ImagePositionPatient", "ImageOrientationPatient")
            found = [{word: list(item[word].value) for word in keywords if word in item} for item in items]
            return found if all("ImagePositionPatient" in part for part in found) else []
    return []


def _count_of_siemens(header: Any) -> int:
    count = private_value(header, 0x0019, SIEMENS, 0x0A) or private_value(header, 0x0021, SIEMENS_XA, COUNT)
    if isinstance(count, bytes):
        count = int.from_bytes(count[:2], "little")
    return int(count or _csa(header).get("NumberOfImagesInMosaic", [0])[0])


def _frames_of_siemens(
    header: Any, count: int, rows: int, columns: int, who: str, notes: list[str]
) -> list[dict[str, Any]]:
    step = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)
    if not step or len(header.get("ImagePositionPatient") or []) != 3:
        raise InputError(
            f"{who}: expected a mosaic with SpacingBetweenSlices and ImagePositionPatient, got one without."
        )
    if not header.get("SpacingBetweenSlices"):
        notes.append("slice spacing taken from SliceThickness")
    along_row, along_column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    told = _csa(header).get("SliceNormalVector", []) or private_value(header, 0x0021, SIEMENS_XA, NORMAL) or []
    if private_value(header, 0x0021, SIEMENS_XA, COUNT):
        notes.append("mosaic of Numaris X, its position read as that of older mosaics: compare it with another series")
    if isinstance(told, bytes):
        told = np.frombuffer(told, "<f8")
    if len(told) == 3 and normal @ np.array(told, float) < 0:
        normal = -normal
    between_rows, between_columns = map(float, header.PixelSpacing)
    first = np.array(header.ImagePositionPatient, float)
    first += along_row * between_columns * (header.Columns - columns) / 2
    first += along_column * between_rows * (header.Rows - rows) / 2
    return [{"ImagePositionPatient": (first + k * step * normal).tolist()} for k in range(count)]


def _csa(header: Any) -> dict[str, list[Any]]:
    """Values of the CSA header by their names; empty where there is none that can be read."""
    from nibabel.nicom import csareader

    raw = private_value(header, 0x0029, "SIEMENS CSA HEADER", 0x10)
    try:
        return {name: tag["items"] or [0] for name, tag in csareader.read(raw)["tags"].items()} if raw else {}
    except Exception:  # nibabel raises many types for damaged ones
        return {}
