"""A fused study as one self-contained HTML page that shows its volumes with NiiVue."""

from __future__ import annotations

import base64
import gzip
import os
from pathlib import Path

import numpy as np

from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.checks import InputError
from ..scripts.utils.color import colormap_table
from ..scripts.utils.files import write_atomically
from .html import fill_template, json_for_script

__all__ = ["write_study_view"]

TEMPLATE = Path(__file__).with_name("study_view.html")
SCRIPT = Path(__file__).with_name("study_view.js")
ASSETS = Path(__file__).with_name("assets")
REQUIRED = ("fused", "source_a", "source_b")
OPTIONAL = ("fused_color", "source_b_unregistered", "loss_a", "loss_b")
UNIT_INTERVAL = ("fused", "loss_a", "loss_b")
SHOWN = ("version", "task", "grid", "sources", "registration", "metrics", "loss")  # of the report


def write_study_view(folder: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Write one page that needs nothing else: linked planes, curtain, blend, windows, values, registration, loss map.

    The volumes are embedded whole, whatever their size: 1 byte a voxel for the fused image and each loss map, 1 or 2
    for a source, 3 for colors, gzipped. The browser unpacks them and holds 12 to 16 bytes of graphics memory a voxel
    besides, 0.8 GB for 512 x 512 x 200; an axis longer than the graphics card takes, at least 256 and mostly 2048
    voxels, cannot be shown, and the page says so.

    Args:
        folder: folder written by ``mmif-amin fuse STUDY_A STUDY_B -o OUT``.
        path: HTML file. Defaults to ``view.html`` in the folder.

    Returns:
        The page.

    Raises:
        InputError: When the folder lacks the report, the fused image or a source, one of them is damaged or of a newer
            version, or the volumes are not all on one grid.
    """
    folder = Path(folder)
    report = StudyReport.read(folder / REPORT_NAME)
    names = [*REQUIRED, *(name for name in OPTIONAL if (folder / f"{name}.nii.gz").is_file())]
    volumes = {name: _read_volume(folder / f"{name}.nii.gz") for name in names}
    shape, affine = volumes["fused"][0].shape, volumes["fused"][1]
    for name, (values, _) in volumes.items():
        if values.shape != shape:
            raise InputError(
                f"{folder / name}.nii.gz: expected the grid of fused.nii.gz {shape}, found {values.shape}. "
                "Run mmif-amin fuse STUDY_A STUDY_B -o OUT again."
            )
    told = report.to_dict()
    study = {
        **{key: told[key] for key in SHOWN},
        "shape": shape,
        "toVoxel": np.linalg.inv(affine).tolist(),
        "volumes": names,
        "colormaps": {"functional": _colormap(report.colormap), "loss": _colormap("inferno")},
    }
    embedded = {name: _embed(name, values, affine) for name, (values, _) in volumes.items()}
    script = fill_template(SCRIPT.read_text(encoding="utf-8"), {"/*STUDY*/null": json_for_script(study)})
    contents = {
        "/*VIEW*/": script,
        "<!--LICENSE-->": (ASSETS / "niivue.LICENSE.txt").read_text(encoding="utf-8"),
        "/*NIIVUE*/": (ASSETS / "niivue.umd.js").read_text(encoding="utf-8"),
        "<!--FUSED-->": embedded.pop("fused"),
        "<!--VOLUMES-->": "\n".join(embedded.values()),
    }
    page = fill_template(TEMPLATE.read_text(encoding="utf-8"), contents)
    target = folder / "view.html" if path is None else Path(path)
    return write_atomically(target, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def _read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values as stored, scaled, and the affine."""
    import nibabel

    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(
            f"{path}: expected a volume of a fused study, found {found} there, run mmif-amin fuse STUDY_A STUDY_B "
            "-o OUT first."
        )
    try:
        image = nibabel.load(path)
        return np.asanyarray(image.dataobj), image.affine  # type: ignore[attr-defined]
    except Exception as error:  # nibabel, gzip and numpy raise many types for damaged files
        raise InputError(f"{path}: expected a readable NIfTI file, got: {error}. Fuse the study again.") from error


def _quantize(values: np.ndarray, low: float, high: float, levels: int) -> tuple[np.ndarray, float]:
    """Integers from 0 to ``levels`` for the values from ``low`` to ``high``, and the step between them."""
    step = (high - low) / levels or 1.0
    return np.rint((np.clip(values, low, high) - low) / step).astype(np.uint8 if levels < 256 else np.int16), step


def _embed(name: str, values: np.ndarray, affine: np.ndarray) -> str:
    """A volume as a script element of gzipped NIfTI; its header holds nothing but the geometry and the scaling.

    A source takes 8 bits where they hold its values to 1/4096 of its range, else 12; colors stay as they are.
    """
    import nibabel

    low, step = 0.0, 1.0
    if name in UNIT_INTERVAL:
        values, step = _quantize(values, 0.0, 1.0, 255)
    elif values.dtype.names is None:
        low, high = float(values.min()), float(values.max())
        integers, step = _quantize(values, low, high, 255)
        if np.abs(integers * step + low - values).max() > (high - low) / 8192:
            integers, step = _quantize(values, low, high, 4095)
        values = integers
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_slope_inter(step, low)
    data = base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode()
    return f'<script type="application/gzip" id="{name}">{data}</script>'


def _colormap(name: str | None) -> dict[str, list[int]]:
    """256 colors in NiiVue's form, gray without a name; the lowest is black, so that air is."""
    table = colormap_table(name) if name else np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)
    levels = np.rint(table * 255).astype(int)
    levels[0] = 0
    return dict(zip("RGB", levels.T.tolist(), strict=True))
