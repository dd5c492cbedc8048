"""A presentation state by which a viewer shows source B in color over source A."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..scripts.data.volume import Volume
from ..scripts.dicom.frames import headers_of_frames
from ..scripts.dicom.header import require
from ..scripts.dicom.write_common import SeriesOffset, body_part, complete_header
from ..scripts.utils.color import colormap_table
from ..scripts.utils.enums import ColorMap
from .common import named_source, object_identity

__all__ = ["blending_state"]

OPACITY = 0.5  # of both layers


def blending_state(
    reference: Volume,
    overlay: Sequence[Any],
    windows: Sequence[tuple[float, float]],
    colormap: ColorMap | str | None,
) -> Any | None:
    """Make an Advanced Blending Presentation State: A in gray, the resampled B over it in color, half and half.

    Args:
        reference: source A, with DICOM headers.
        overlay: headers of the written series of source B, in the same study and frame of reference.
        windows: what is black and white of A, and of B in the units of the written series.
        colormap: colors of B. Defaults to hot where it is None.

    Returns:
        The pydicom dataset; None where no such object can say it: the slices of a source are not all rescaled alike,
        or those of source A are not the images of its files, as in a mosaic or with a tilted gantry.

    Reference: DICOM PS3.3, A.33.7, C.11.33 and C.11.34.
    """
    highdicom = require("highdicom")
    frames = sum(int(header.get("NumberOfFrames") or 1) for header in reference.headers)
    if frames != reference.values.shape[2]:
        return None
    rescale = _rescale([frame for header in reference.headers for frame in headers_of_frames(header, "A", [])])
    rescale_overlay = _rescale(overlay)
    if rescale is None or rescale_overlay is None:
        return None
    first = [complete_header(header) for header in reference.headers]
    layers = (
        (first, rescale, np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)),
        (overlay, rescale_overlay, np.rint(colormap_table(colormap or ColorMap.HOT) * 255).astype(np.uint8)),
    )
    blended = [
        highdicom.pr.AdvancedBlending(
            images,
            number,
            modality_lut_transformation=highdicom.ModalityLUTTransformation(*linear, "US"),
            voi_lut_transformations=[
                highdicom.pr.SoftcopyVOILUTTransformation(
                    (low + high) / 2, max(high - low, 1e-6), voi_lut_function="LINEAR_EXACT"
                )
            ],
            palette_color_lut_transformation=_palette(table),
        )
        for number, ((images, linear, table), (low, high)) in enumerate(zip(layers, windows, strict=True), start=1)
    ]
    display = highdicom.pr.BlendingDisplay(
        "FOREGROUND", [highdicom.pr.BlendingDisplayInput(number) for number in (1, 2)], relative_opacity=OPACITY
    )
    a, b = (named_source(x, str(h.get("Modality") or "")) for x, h in (("A", first[0]), ("B", overlay[0])))
    state = highdicom.pr.AdvancedBlendingPresentationState(
        referenced_images=[*first, *overlay],
        blending=blended,
        blending_display=[display],
        **object_identity(first[0], SeriesOffset.BLENDING, f"{a} and {b} blended"),
        content_label="BLENDING",
        content_description="Source B in color over source A",
    )
    state.update(body_part(first[0]))
    return state


def _rescale(headers: Sequence[Any]) -> tuple[float, float] | None:
    """Intercept and slope of all images, None where they differ."""
    found = {(float(h.get("RescaleIntercept") or 0), float(h.get("RescaleSlope") or 1)) for h in headers}
    return found.pop() if len(found) == 1 else None


def _palette(table: np.ndarray) -> Any:
    highdicom = require("highdicom")
    colors = ("red", "green", "blue")
    luts = [highdicom.PaletteColorLUT(0, np.ascontiguousarray(table[:, k]), color) for k, color in enumerate(colors)]
    return highdicom.PaletteColorLUTTransformation(*luts)
