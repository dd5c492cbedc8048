"""A picture of a fused study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.color import apply_colormap, colormap_table, scale_colors
from ..scripts.utils.contact_sheet import contact_sheet_height, write_contact_sheet
from .scale_bar import LENGTH_HEIGHT, length_bar, scale_bar

__all__ = ["PREVIEW_NAME", "PreviewWriter", "write_preview"]

PREVIEW_NAME = "preview.png"

ROWS = 4
SIDE = 256  # pixels of the longer side of a slice, at least
HEAD = 0.25  # of the brightest slice's mean; a slice that reaches it goes through the head


def write_preview(study: Path, path: Path) -> Path:
    """Write slices of both sources and of the fused volume side by side, as radiologists look at them.

    The slices are those of the grid; the patient's left is on the right, or, in sagittal slices, the nose on the left.
    The sources have the window with which they were fused, PET and SPECT their colors. To the right stand the scale of
    source B's colors or grays, with its values and unit, that of the fused volume's colors, which have another
    lightness, and a length. No text names the patient.

    Args:
        study: folder that ``fuse_study`` wrote.
        path: PNG file.

    Returns:
        The path.
    """
    import nibabel

    report = StudyReport.read(study / REPORT_NAME)
    other, structural = report.task.split("-")
    windows = report.sources.a.window, report.sources.b.window
    affine = nibabel.load(study / "fused.nii.gz", mmap=False).affine  # type: ignore[attr-defined]
    fused, a, b = (_seen(_read(study / f"{name}.nii.gz"), affine) for name in ("fused", "source_a", "source_b"))
    a, b = (_windowed(values, *window) for values, window in zip((a, b), windows, strict=True))
    color = None
    unit = "" if report.sources.b.unit == "arbitrary" else f" {report.sources.b.unit}"
    tables = {f"{other}{unit}": np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)}
    if report.colormap:
        color = _seen(_read(study / "fused_color.nii.gz"), affine)
        tables = {f"{other}{unit}": colormap_table(report.colormap), "in fused": scale_colors(report.colormap)}
    amount = fused.mean(axis=(0, 1))
    head = np.flatnonzero(amount >= HEAD * amount.max())
    size, pixels_per_mm = _size(fused.shape, affine)
    rows, names = [], []
    for k in np.unique(np.linspace(head[0], head[-1], ROWS + 2)[1:-1].round().astype(int)):
        source, made = b[None, :, :, k], fused[None, :, :, k]
        if report.colormap and color is not None:
            source = apply_colormap(b[:, :, k], report.colormap) * (np.rint(source * 255) > 0)
            made = np.stack([color[channel][:, :, k] for channel in "RGB"]) / np.float32(255)
        rows.append([_picture(picture, size) for picture in (a[None, :, :, k], source, made)])
        names.append(f"slice {k + 1} of {len(amount)}")
    low, high = windows[1]
    height = contact_sheet_height(rows) - LENGTH_HEIGHT
    bars = np.concatenate([scale_bar(table, low, high, title, height) for title, table in tables.items()], axis=2)
    length = length_bar(pixels_per_mm)
    beside = np.broadcast_to(length[:, :1, :1], (*length.shape[:2], bars.shape[2] - length.shape[2]))
    legend = [bars, np.concatenate([length, beside], axis=2)]
    beyond = report.registration is not None and report.registration.beyond_limits
    titles = [structural, other, "registration beyond limits!" if beyond else "fused, not for diagnosis"]
    return write_contact_sheet(path, rows, titles, names, np.concatenate(legend, axis=1))


class PreviewWriter:
    """Writes ``preview.png`` into the folder of a fused study; a further writer of ``StudyWriter``."""

    def __call__(self, folder: Path, study: Mapping[str, Any]) -> None:
        """Write it, from what lies in the folder."""
        write_preview(folder, folder / PREVIEW_NAME)


def _read(path: Path) -> np.ndarray:
    import nibabel

    return np.asanyarray(nibabel.load(path, mmap=False).dataobj)  # type: ignore[attr-defined]


def _seen(values: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """A volume (X, Y, Z) whose first two axes are turned to columns from the left and rows from the top."""
    import nibabel

    turns = nibabel.io_orientation(affine)
    turned = values[tuple(slice(None, None, -1 if up > 0 else 1) for up in turns[:2, 1])]
    return turned if turns[0, 0] < turns[1, 0] else turned.swapaxes(0, 1)


def _size(shape: tuple[int, ...], affine: np.ndarray) -> tuple[tuple[int, int], float]:
    """Columns and rows of a picture of a slice with square pixels, and its pixels per mm.

    Args:
        shape: of the volume, as it is seen.
        affine: (4, 4) of the volume as it is stored.
    """
    import nibabel

    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    if np.diff(nibabel.io_orientation(affine)[:2, 0]) < 0:
        spacing = spacing[::-1]
    sides = np.array(shape[:2]) * spacing
    pixels_per_mm = max(SIDE / float(sides.max()), 1 / float(spacing.min()))
    columns, rows = (max(1, round(float(side) * pixels_per_mm)) for side in sides)
    return (columns, rows), pixels_per_mm


def _picture(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A slice (C, columns, rows) in [0, 1] as a picture (C, rows, columns) of this size."""
    from PIL import Image

    channels = [Image.fromarray(np.ascontiguousarray(channel.T, dtype=np.float32)) for channel in values]
    return np.stack([np.asarray(channel.resize(size, Image.Resampling.BILINEAR)) for channel in channels])


def _windowed(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((values - low) / (high - low)).clip(0, 1)
