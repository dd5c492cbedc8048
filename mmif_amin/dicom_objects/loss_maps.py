"""Loss maps as DICOM Parametric Maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scripts.data.volume import Volume
from ..scripts.dicom.header import require
from ..scripts.dicom.write_common import SeriesOffset, body_part, check_grid
from .common import grid_volume, named_source, object_identity, source_images

__all__ = ["loss_map_object"]


def loss_map_object(values: np.ndarray, affine: np.ndarray, reference: Volume, letter: str, modality: str = "") -> Any:
    """Make the Parametric Map of one loss map.

    Args:
        values: (X, Y, Z) in [0, 1], see ``loss_maps``.
        affine: (4, 4) voxel to world, mm, RAS+, with perpendicular axes.
        reference: source A, with DICOM headers.
        letter: of the source that the map is about, ``"a"`` or ``"b"``.
        modality: of that source, as DICOM calls it, for the description. Defaults to "": it is not said.

    Returns:
        The pydicom dataset, of class Parametric Map Storage: one frame a slice, 32-bit floating-point values.

    Raises:
        ValueError: When ``reference`` has no headers or axes are not perpendicular.
    """
    highdicom, codes = require("highdicom"), require("pydicom.sr.codedict").codes
    check_grid(affine, reference)
    headers = source_images(reference)
    meaning = f"share of source {letter.upper()} that the fused image lacks"
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=f"LOSS_{letter.upper()}",
        lut_explanation=meaning,
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1,
        intercept=0,
    )
    number = "ab".index(letter) + 1
    made = highdicom.pm.ParametricMap(
        headers,
        grid_volume(values.astype(np.float32), affine, headers[0].FrameOfReferenceUID),
        **object_identity(headers[0], SeriesOffset.LOSS_MAPS, f"loss map of {named_source(letter, modality)}", number),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[highdicom.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label=f"LOSS_{letter.upper()}",
        content_description=meaning,
    )
    made.update(body_part(headers[0]))
    return made
