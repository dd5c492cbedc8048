"""A picture of pairs and what was made of them, one row a pair."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["contact_sheet_height", "write_contact_sheet"]

GAP = 4
HEADER = 16


def contact_sheet_height(rows: Sequence[Sequence[np.ndarray]]) -> int:
    """Height of the sheet of these rows, pixels."""
    return HEADER + (max(picture.shape[1] for row in rows for picture in row) + GAP) * len(rows)


def write_contact_sheet(
    path: str | os.PathLike,
    rows: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    names: Sequence[str],
    legend: np.ndarray | None = None,
) -> Path:
    """Write a PNG with one row a pair and one column a picture.

    Args:
        path: PNG file.
        rows: pictures of each row, (1, H, W) or (3, H, W) in [0, 1], any sizes.
        columns: title of each column.
        names: name of each row, written into its first picture.
        legend: picture to the right of all, (3, height of the sheet, W) in [0, 1]. Defaults to None: none.

    Returns:
        The path.

    Raises:
        ValueError: When there is no row, or a row has not one picture a column.
    """
    from PIL import Image, ImageDraw

    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"Each row must have {len(columns)} pictures, got {[len(row) for row in rows]}.")
    height = max(picture.shape[1] for row in rows for picture in row)
    width = max(picture.shape[2] for row in rows for picture in row)
    beside = 0 if legend is None else legend.shape[2]
    sheet = Image.new("RGB", ((width + GAP) * len(columns) + beside, contact_sheet_height(rows)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(columns):
        draw.text(((width + GAP) * column + 2, 2), title, fill=(255, 255, 255))
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        top = HEADER + (height + GAP) * number
        for column, picture in enumerate(row):
            sheet.paste(_image(picture), ((width + GAP) * column, top))
        draw.text((2, top + 2), name, fill=(255, 255, 0))
    if legend is not None:
        sheet.paste(_image(legend), ((width + GAP) * len(columns), 0))
    return write_atomically(path, sheet.save)


def _image(picture: np.ndarray) -> Image.Image:
    """Pillow's image of a gray or color picture."""
    from PIL import Image

    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)))
