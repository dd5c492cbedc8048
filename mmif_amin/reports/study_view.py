"""A fused study as one self-contained HTML page that shows its volumes with NiiVue."""

from __future__ import annotations

import colorsys
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..scripts.data.study_report import REPORT_NAME, StudyReport
from ..scripts.utils.checks import InputError
from ..scripts.utils.color import colormap_table, scale_colors
from ..scripts.utils.files import write_atomically
from .html import content_policy, fill_template, json_for_script
from .study_presets import window_presets
from .study_preview import preview_picture
from .study_volumes import pack_labels, pack_volume, read_volume

__all__ = ["write_study_view"]

VIEW = Path(__file__).with_name("view")
ASSETS = Path(__file__).with_name("assets")
SCRIPTS = ("study", "volumes", "windows", "modes", "contours", "link", "keys", "start")
REQUIRED = ("fused", "source_a", "source_b")
OPTIONAL = ("fused_color", "source_b_unregistered", "loss_a", "loss_b")
CARRIED = "carried/carried.json"  # names of the structures as they were drawn
DRAWN = ("carried/*.nii.gz", "labels*.nii.gz")  # label volumes on the grid of the fused one
COLORS = 255  # of labels; NiiVue's contours hold one byte a voxel
SHOWN = ("version", "task", "grid", "sources", "registration", "metrics", "loss")  # of the report

Volumes = dict[str, np.ndarray]


def write_study_view(folder: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Write one page that needs nothing else: linked planes, overlay, curtain, windows, values, loss maps, contours.

    The volumes are embedded whole, whatever their size: 1 byte a voxel for the fused image, each loss map and each
    label volume, 1 or 2 for a source, 3 for colors, gzipped. The browser first shows pictures of the middle slices,
    then unpacks what they show, then the rest. It holds 12 to 16 bytes of graphics memory a voxel besides, 0.8 GB for
    512 x 512 x 200; an axis longer than the graphics card takes, at least 256 and mostly 2048 voxels, cannot be shown,
    and the page says so.

    The label volumes ``carried/<number>_<name>.nii.gz``, which ``--carry`` wrote, and ``labels*.nii.gz`` are shown as
    contours. Their titles are the names in ``carried/carried.json``, with the source they were drawn on, else those of
    the files.

    Args:
        folder: folder written by ``mmif-amin fuse STUDY_A STUDY_B -o OUT``.
        path: HTML file. Defaults to ``view.html`` in the folder.

    Returns:
        The page.

    Raises:
        InputError: When the folder lacks the report, the fused image or a source, one of them is damaged or of a newer
            version, the volumes are not all on one grid, a carried volume holds no whole labels, or ``carried.json`` is
            damaged.
    """
    folder = Path(folder)
    report = StudyReport.read(folder / REPORT_NAME)
    names = [*REQUIRED, *(name for name in OPTIONAL if (folder / f"{name}.nii.gz").is_file())]
    drawn = [file.relative_to(folder).as_posix() for pattern in DRAWN for file in sorted(folder.glob(pattern))]
    carried = [name.removesuffix(".nii.gz") for name in drawn]
    read = {name: read_volume(folder / f"{name}.nii.gz") for name in [*names, *carried]}
    affine = read["fused"][1]
    volumes = {name: values for name, (values, _) in read.items()}
    _check_grids(folder, volumes)
    indices = _label_indices(folder, {name: volumes[name] for name in carried})
    titles = _titles(folder)
    told = report.to_dict()
    sources = {"source_a": report.sources.a, "source_b": report.sources.b}
    study = {
        **{key: told[key] for key in SHOWN},
        "shape": volumes["fused"].shape,
        "toVoxel": np.linalg.inv(affine).tolist(),
        "volumes": names,
        "carried": [_legend(titles.get(name, name), indices[name]) for name in carried],
        "presets": {name: window_presets(source, volumes[name]) for name, source in sources.items()},
        "colormaps": {
            "functional": _colormap(report.colormap),
            "overlay": _colormap(report.colormap or "hot"),
            "fused": _in_niivues_form(scale_colors(report.colormap)) if report.colormap else _colormap(None),
            "loss": _colormap("inferno"),
        },
    }
    packed = [pack_volume(name, volumes[name], affine) for name in _first_shown_first(names)]
    packed += [pack_labels(f"carried-{i}", volumes[n], affine, indices[n]) for i, n in enumerate(carried)]
    page = _page(study, _previews(report, volumes, affine), packed)
    target = folder / "view.html" if path is None else Path(path)
    return write_atomically(target, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def _page(study: dict[str, Any], previews: dict[str, str], packed: list[str]) -> str:
    """The page, and the policy with which a browser runs its own scripts and fetches nothing."""
    script = "".join((VIEW / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    view = "\n" + fill_template(script, {"/*STUDY*/null": json_for_script(study)}) + "\n"
    niivue = (ASSETS / "niivue.umd.js").read_text(encoding="utf-8")
    style = (VIEW / "page.css").read_text(encoding="utf-8")
    contents = {
        "/*POLICY*/": content_policy([niivue, view], style),
        "/*STYLE*/": style,
        **{f"<!--PREVIEW-{panel.upper()}-->": picture for panel, picture in previews.items()},
        "<!--LICENSE-->": (ASSETS / "niivue.LICENSE.txt").read_text(encoding="utf-8"),
        "/*NIIVUE*/": niivue,
        "\n/*VIEW*/\n": view,
        "<!--VOLUMES-->": "\n".join(packed),
    }
    return fill_template((VIEW / "page.html").read_text(encoding="utf-8"), contents)


def _first_shown_first(names: list[str]) -> list[str]:
    """The volumes in the order in which the page needs them."""
    first = ["fused_color" if "fused_color" in names else "fused", "source_a", "source_b"]
    return [*first, *(name for name in names if name not in first)]


def _check_grids(folder: Path, volumes: Volumes) -> None:
    shape = volumes["fused"].shape
    for name, values in volumes.items():
        if values.shape != shape:
            raise InputError(
                f"{folder / name}.nii.gz: expected the grid of fused.nii.gz {shape}, found {values.shape}. "
                "Run mmif-amin fuse STUDY_A STUDY_B -o OUT again."
            )


def _label_indices(folder: Path, carried: Volumes) -> dict[str, dict[int, int]]:
    """For each carried volume, label to its number in the page; more than 255 labels share numbers."""
    indices: dict[str, dict[int, int]] = {}
    count = 0
    for name, values in carried.items():
        found = np.unique(values) if values.dtype.names is None else np.array([0.5])
        if (found != np.rint(found)).any():
            raise InputError(f"{folder / name}.nii.gz: expected whole numbers as labels. Remove or replace the file.")
        labels = [int(label) for label in found if label != 0]
        indices[name] = {label: 1 + (count + i) % COLORS for i, label in enumerate(labels)}
        count += len(labels)
    return indices


def _titles(folder: Path) -> dict[str, str]:
    """For each volume that ``--carry`` wrote, the source and the structure's name."""
    path = folder / CARRIED
    if not path.is_file():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["structures"]
        written = [row for row in rows if row["volume"]]
        return {
            f"carried/{row['volume']}".removesuffix(".nii.gz"): f"{row['source']}: {row['name']}" for row in written
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected the structures that --carry wrote, it is damaged. Remove it.") from error


def _legend(name: str, indices: dict[int, int]) -> dict[str, Any]:
    """What the page says of one label volume; neighboring numbers have hues far apart."""
    labels = []
    for label, index in indices.items():
        color = [round(255 * part) for part in colorsys.hls_to_rgb(0.33 + 0.618034 * (index - 1), 0.6, 1.0)]
        labels.append({"text": str(label) if len(indices) > 1 else "", "index": index, "color": color})
    return {"name": re.sub(r"^carried/(\d+_)?", "", name), "labels": labels}


def _previews(report: StudyReport, volumes: Volumes, affine: np.ndarray) -> dict[str, str]:
    """The picture of each panel's middle slices."""
    a = _levels(volumes["source_a"], report.sources.a.window)
    b = np.stack([_colormap(report.colormap)[letter] for letter in "RGB"], axis=-1).astype(np.uint8)[
        _levels(volumes["source_b"], report.sources.b.window)
    ]
    color = volumes.get("fused_color")
    fused = (
        _levels(volumes["fused"], (0.0, 1.0))
        if color is None
        else np.stack([color[letter] for letter in "RGB"], axis=-1)
    )
    return {key: preview_picture(levels, affine) for key, levels in (("a", a), ("b", b), ("fused", fused))}


def _levels(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    return np.rint((values.clip(low, high) - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _colormap(name: str | None) -> dict[str, list[int]]:
    """256 colors in NiiVue's form, gray without a name; the lowest is black, so that air is."""
    table = colormap_table(name) if name else np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)
    return _in_niivues_form(np.concatenate([np.zeros((1, 3)), table[1:]]))


def _in_niivues_form(colors: np.ndarray) -> dict[str, list[int]]:
    levels = np.rint(colors * 255).astype(int)
    return dict(zip("RGB", levels.T.tolist(), strict=True))
