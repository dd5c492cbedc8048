"""Pictures of the middle slices, which the page of a study shows until its volumes are unpacked."""

from __future__ import annotations

import base64
import io

import numpy as np

__all__ = ["preview_picture"]

GAP = 4  # pixels between the planes


def preview_picture(levels: np.ndarray, affine: np.ndarray) -> str:
    """The middle axial, coronal and sagittal slice, one below the other, as an image element.

    Args:
        levels: (X, Y, Z) or (X, Y, Z, 3) uint8.
        affine: (4, 4), voxel index to millimeters, RAS+.

    Returns:
        The element; the patient's left is on the right, the nose on the left, voxels are square.
    """
    import nibabel
    from PIL import Image

    turns = nibabel.io_orientation(affine)
    levels = nibabel.apply_orientation(levels, turns)
    order = [int(np.flatnonzero(turns[:, 0] == axis)[0]) for axis in range(3)]
    x, y, z = (np.linalg.norm(affine[:3, axis]) for axis in order)
    i, j, k = (size // 2 for size in levels.shape[:3])
    planes = (
        (levels[::-1, ::-1, k], x, y),
        (levels[::-1, j, ::-1], x, z),
        (levels[i, ::-1, ::-1], y, z),
    )
    finest = min(x, y, z)
    pictures = []
    for plane, across, down in planes:
        picture = Image.fromarray(np.ascontiguousarray(np.swapaxes(plane, 0, 1)))
        size = (round(picture.width * across / finest), round(picture.height * down / finest))
        pictures.append(picture.resize(size))
    width, height = max(p.width for p in pictures), sum(p.height + GAP for p in pictures) - GAP
    sheet = Image.new(pictures[0].mode, (width, height))
    top = 0
    for picture in pictures:
        sheet.paste(picture, ((width - picture.width) // 2, top))
        top += picture.height + GAP
    file = io.BytesIO()
    sheet.save(file, "png")
    return f'<img class="preview" alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
