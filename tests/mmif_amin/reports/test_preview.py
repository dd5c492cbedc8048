"""The preview of a fused study."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.utils.contact_sheet import GAP, HEADER
from PIL import Image

from mmif_amin.reports.preview import SIDE, write_preview
from mmif_amin.reports.scale_bar import BAND, MARGIN, WIDTH
from tests.mmif_amin.reports.made_up_study import SHAPE, oblique_affine, write_study
from tests.model.data.study_reports import BARE, FULL

CT_MRI = replace(BARE, task="CT-MRI")


def panels(path, columns: int, rows: int, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """The twelve pictures, (4, 3, rows, columns, 3), and what stands to their right, of this width."""
    sheet = np.asarray(Image.open(path)).astype(int)
    assert sheet.shape == (HEADER + 4 * (rows + GAP), 3 * (columns + GAP) + width, 3)
    slices = sheet[HEADER:, :-width].reshape(4, rows + GAP, 3, columns + GAP, 3)
    return slices[:, :rows, :, :columns].swapaxes(1, 2), sheet[:, -width:]


@pytest.mark.parametrize(
    ("report", "colored"), [pytest.param(FULL, True, id="PET"), pytest.param(CT_MRI, False, id="CT")]
)
def test_preview(tmp_path, report, colored):
    path = write_preview(write_study(tmp_path, report=report), tmp_path / "preview.png")
    sides = np.array(SHAPE[:2]) * np.linalg.norm(oblique_affine()[:3, :2], axis=0)
    columns, rows = (round(side * SIDE / sides.max()) for side in sides)
    pictures, legend = panels(path, columns, rows, 2 * WIDTH if colored else WIDTH)
    pictures = pictures[:, :, 16:]  # below the names
    assert np.ptp(pictures[:, 0], axis=-1).max() == 0
    for k in (1, 2):
        assert ((np.ptp(pictures[:, k], axis=-1) > 40).mean() > 0.05) == colored
    assert pictures[:, 2].std() > 20
    band = legend[:, MARGIN + BAND // 2]
    assert (np.ptp(band, axis=-1).max() > 100) == colored  # a scale in color, or in gray
    if colored:  # each brightest color of source B is on its scale, which is not that of the fused image
        brightest = pictures[:, 1].reshape(-1, 3)[pictures[:, 1].sum(axis=-1).argmax()]
        assert np.abs(band - brightest).max(axis=-1).min() <= 3
        assert np.abs(band - legend[:, WIDTH + MARGIN + BAND // 2]).max() > 40


AXIAL, SAGITTAL = np.eye(3), np.eye(3)[:, [1, 2, 0]]


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
@pytest.mark.parametrize(
    ("axes", "corner"),
    [
        pytest.param(AXIAL, (-1, 1), id="axial: left and front"),
        pytest.param(AXIAL[:, [1, 0, 2]], (-1, 1), id="axial, rows and columns swapped"),
        pytest.param(np.eye(3)[:, [0, 2, 1]], (-1, 1), id="coronal: left and top"),
        pytest.param(SAGITTAL, (-1, 1), id="sagittal: back and top"),
    ],
)
def test_as_radiologists_look_at_it(tmp_path, axes, corner, flips):
    """The bright corner, of low x or y and high y or z, is at the top right, whatever the order of the voxels."""
    affine = np.eye(4)
    affine[:3, :3] = axes * flips * [1, 2, 3]
    seen = np.sort(np.abs(axes).argmax(axis=0)[:2])  # axes of the world from left to right and from bottom to top
    places = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij"), -1)
    world = places @ affine[:3, :3].T
    bright = np.logical_and(*(world[..., axis] * side > 0 for axis, side in zip(seen, corner, strict=True)))
    study = write_study(tmp_path, report=CT_MRI)
    for name in ("fused", "source_a", "source_b"):
        nibabel.save(nibabel.Nifti1Image(bright.astype(np.float32) * 1000, affine), study / f"{name}.nii.gz")
    sheet = np.asarray(Image.open(write_preview(study, tmp_path / "preview.png"))).astype(int)
    fused = sheet[HEADER:-GAP, :-WIDTH].reshape(-1, 3, (sheet.shape[1] - WIDTH) // 3, 3)[:, 2, :-GAP, 0]
    rows = (sheet.shape[0] - HEADER) // 4 - GAP
    half = [fused[:rows][part].mean() for part in (np.s_[: rows // 2], np.s_[rows // 2 :])]
    sides = [fused[:rows][:, part].mean() for part in (np.s_[: fused.shape[1] // 2], np.s_[fused.shape[1] // 2 :])]
    assert half[0] > 10 * half[1]
    assert sides[1] > 10 * sides[0]
