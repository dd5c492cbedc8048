"""A picture of a fused study."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.color import apply_colormap
from ..scripts.utils.contact_sheet import write_contact_sheet

__all__ = ["write_preview"]

ROWS = 4
SIDE = 256  # pixels; smaller slices are enlarged
HEAD = 0.25  # of the brightest slice's mean; a slice that reaches it goes through the head


def write_preview(study: Path, path: Path) -> Path:
    """Write slices of both sources and of the fused volume side by side, as a viewer shows the MR series.

    The sources have the window with which they were fused, PET and SPECT their colors. No text names the patient.

    Args:
        study: folder that ``fuse_study`` wrote.
        path: PNG file.

    Returns:
        The path.
    """
    report = StudyReport.read(study / REPORT_NAME)
    other, structural = report.task.split("-")
    fused, a, b = (_read(study / f"{name}.nii.gz") for name in ("fused", "source_a", "source_b"))
    a, b = _windowed(a, *report.sources.a.window), _windowed(b, *report.sources.b.window)
    shown = fused[None]
    if report.colormap:
        color = _read(study / "fused_color.nii.gz")
        shown = np.stack([color[channel] for channel in "RGB"]) / np.float32(255)
    amount = fused.mean(axis=(0, 1))
    head = np.flatnonzero(amount >= HEAD * amount.max())
    scale = max(1, -(-SIDE // max(fused.shape[:2])))
    rows, names = [], []
    for k in np.unique(np.linspace(head[0], head[-1], ROWS + 2)[1:-1].round().astype(int)):
        source = b[None, :, :, k]
        if report.colormap:  # whose lowest color is not black
            source = apply_colormap(b[:, :, k], report.colormap) * (np.rint(source * 255) > 0)
        pictures = (a[None, :, :, k], source, shown[..., k])
        rows.append([picture.swapaxes(1, 2).repeat(scale, 1).repeat(scale, 2) for picture in pictures])
        names.append(f"slice {k + 1} of {len(amount)}")
    return write_contact_sheet(path, rows, [structural, other, "fused, not for diagnosis"], names)


def _read(path: Path) -> np.ndarray:
    import nibabel

    return np.asanyarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]


def _windowed(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((values - low) / (high - low)).clip(0, 1)
