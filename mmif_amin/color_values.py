"""Reading functional values back from the colors of a fused picture or volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .scripts.data.nifti import read_stored, write_nifti
from .scripts.data.pictures import read_source
from .scripts.data.study_report import REPORT_NAME, StudyReport
from .scripts.utils.checks import InputError
from .scripts.utils.enums import ColorMap
from .scripts.utils.files import is_nifti, write_atomically
from .scripts.utils.perceptual import SHAPES, read_values

__all__ = ["write_values"]

COLORED = "fused_color.nii.gz"


def write_values(
    source: Path,
    output: Path,
    colormap: ColorMap | str | None = None,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """Read the functional values of a picture or volume that was colored with ember or gold, and write them.

    Values are NaN where CIELAB L* is below 15 or above 90.

    Args:
        source: a picture; an RGB NIfTI volume; or the folder of a fused study. Beside a volume its ``report.json`` says
            map and range, if it is there.
        output: TIFF of 32-bit floats for a picture, NIfTI for a volume.
        colormap: its map. Defaults to None: what the report says, else ember.
        low: value of the lowest color. Defaults to None: what the report says, else 0.
        high: value of the highest color. Defaults to None: what the report says, else 1.

    Returns:
        The values, (H, W) or (X, Y, Z) float32.

    Raises:
        InputError: When the source cannot be read or has no colors, the values of its map cannot be read, or the range
            or the output is no good; nothing is written then.
    """
    volume = source.is_dir() or is_nifti(source)
    if volume != is_nifti(output) or (not volume and output.suffix.lower() not in (".tif", ".tiff")):
        raise InputError(f"{output}: expected a name ending in {'.nii.gz' if volume else '.tif'} for the values.")
    file = source / COLORED if source.is_dir() else source
    if volume and (file.parent / REPORT_NAME).is_file():
        report = StudyReport.read(file.parent / REPORT_NAME)
        colormap = report.colormap if colormap is None else colormap
        window = report.sources.b.window
        low, high = window[0] if low is None else low, window[1] if high is None else high
    name = ColorMap(colormap or ColorMap.EMBER)
    if name not in SHAPES:
        raise InputError(f"{file}: expected colors of {' or '.join(SHAPES)}, those of {name} do not say their values.")
    low, high = 0.0 if low is None else low, 1.0 if high is None else high
    if not low < high:
        raise InputError(f"--low and --high: expected the lower value first, got {low:g} and {high:g}.")
    rgb, affine = _colors_of_volume(file) if volume else (_colors_of_picture(file), None)
    values = low + (high - low) * read_values(rgb, name)
    if affine is None:
        from PIL import Image

        write_atomically(output, lambda path: Image.fromarray(values).save(path, format="TIFF"))
    else:
        write_nifti(output, values[None], affine)
    return values


def _colors_of_picture(path: Path) -> np.ndarray:
    rgb = read_source(path).rgb
    if rgb is None:
        raise InputError(f"{path}: expected a color picture, got a gray one. Fuse with --colormap ember or gold.")
    return np.rint(rgb * 255).astype(np.uint8)


def _colors_of_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: expected a volume in color, found nothing there. Only PET and SPECT have colors.")
    data, affine = read_stored(path)
    if data.dtype.names is None or not set("RGB") <= set(data.dtype.names):
        raise InputError(f"{path}: expected a volume in color, got numbers. Name {COLORED} of a fused study.")
    return np.stack([data[channel] for channel in "RGB"]), affine
