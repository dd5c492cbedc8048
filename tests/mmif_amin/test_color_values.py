"""Colors of a named map for pictures, and the values that colors stand for, on the command line."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.data.nifti import write_nifti
from mmif_amin.scripts.data.study_report import REPORT_NAME
from mmif_amin.scripts.utils.checks import InputError
from mmif_amin.scripts.utils.color import color_fused, colorize, luminance
from PIL import Image

from mmif_amin.cli import main
from mmif_amin.color_values import write_values
from tests.model.data.study_reports import FULL

SIDE = 96


def call(*words) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def pair(tmp_path):
    """An MRI and a PET picture in gray and in color, with black air; and their values."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    head = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.2
    mri = np.where(head, 90 + 80 * np.sin(30 * x * y), 0).astype(np.uint8)
    pet = np.where(head, 255 * np.clip(1.2 - 2 * np.hypot(x - 0.4, y - 0.6), 0, 1), 0).astype(np.uint8)
    Image.fromarray(mri).save(tmp_path / "mri.png")
    Image.fromarray(pet).save(tmp_path / "pet.png")
    Image.fromarray(np.stack([pet, pet // 2, pet // 8], axis=-1)).save(tmp_path / "color.png")
    return tmp_path, mri, pet


@pytest.mark.parametrize("colormap", ["ember", "gold"])
def test_a_gray_pet_gets_colors_and_gives_its_values_back(pair, colormap):
    folder, mri, pet = pair
    fused, values = folder / "fused.png", folder / "values.tif"
    words = ("--task", "PET-MRI", "--colormap", colormap)
    assert call("fuse", folder / "mri.png", folder / "pet.png", "-o", fused, *words) == 0
    pixels = np.asarray(Image.open(fused)).astype(int)
    assert (pixels[pet == 0] == mri[pet == 0][:, None]).all()
    assert call("values", fused, "-o", values, "--colormap", colormap, "--high", 20) == 0
    read = np.asarray(Image.open(values))
    error = np.abs(read - pet / 255 * 20)[np.isfinite(read)]
    assert np.isfinite(read).mean() > 0.5
    assert np.median(error) < 0.03 * 20
    assert np.quantile(error, 0.95) < 0.08 * 20


def test_a_color_picture_keeps_its_colors_unless_a_map_is_named(pair):
    folder, mri, _ = pair
    rgb = np.asarray(Image.open(folder / "color.png")).transpose(2, 0, 1) / 255
    shown = {}
    for name, words in (
        ("own", ()),
        ("structural", ("--lightness", "structural")),
        ("map", ("--colormap", "ember")),
    ):
        path = folder / f"{name}.png"
        assert call("fuse", folder / "mri.png", folder / "color.png", "-o", path, "--task", "PET-MRI", *words) == 0
        shown[name] = np.asarray(Image.open(path)).transpose(2, 0, 1)
    own, anatomy = shown["own"] / 255, mri[None] / 255
    assert np.abs(colorize(luminance(own), rgb) - own).max() < 4 / 255  # hue and chroma of B
    assert np.abs(luminance(shown["structural"] / 255) - anatomy).max() < 1.5 / 255
    assert np.array_equal(shown["map"], color_fused(anatomy, anatomy, luminance(rgb), "ember"))


def test_a_gray_picture_with_itself_stays_gray(pair):
    folder, mri, _ = pair
    assert call("fuse", folder / "mri.png", folder / "mri.png", "-o", folder / "same.png", "--task", "PET-MRI") == 0
    same = Image.open(folder / "same.png")
    assert same.mode == "L"
    assert np.abs(np.asarray(same).astype(int) - mri).max() <= 1


def test_the_scale_stands_beside_the_colors_of_a_map(pair):
    folder, _, _ = pair
    words = ("fuse", folder / "mri.png", folder / "pet.png", "--colormap", "ember", "--scale-bar")
    assert call(*words, "-o", folder / "bar.png") == 0
    assert Image.open(folder / "bar.png").size == (SIDE + 96, 120)
    assert call(*words, "-o", folder / "gray.png", "--gray") == 2


def test_values_of_a_study_have_its_unit(tmp_path):
    rng = np.random.default_rng(0)
    anatomy, function = 0.3 + 0.4 * rng.random((1, 9, 8, 7)), rng.random((1, 9, 8, 7))
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    FULL.write(tmp_path / REPORT_NAME)
    low, high = FULL.sources.b.window
    write_nifti(tmp_path / "fused_color.nii.gz", color_fused(anatomy, anatomy, function, "gold"), affine)
    out = tmp_path / "values.nii.gz"
    assert call("values", tmp_path, "-o", out, "--colormap", "gold") == 0
    read = nibabel.load(out)
    assert np.array_equal(read.affine, affine)
    error = np.abs(read.get_fdata() - (low + (high - low) * function[0])) / (high - low)
    assert np.nanmedian(error) < 0.03


@pytest.mark.parametrize(
    ("source", "output", "settings", "message"),
    [
        pytest.param("mri.png", "v.tif", {}, "expected a color picture", id="gray"),
        pytest.param("none.png", "v.tif", {}, "found nothing", id="missing"),
        pytest.param("color.png", "v.png", {}, "ending in .tif", id="output of 8 bit"),
        pytest.param("color.png", "v.tif", {"low": 3, "high": 3}, "lower value first, got 3 and 3", id="no range"),
        pytest.param("color.png", "v.tif", {"colormap": "hot"}, "expected colors of ember or gold", id="hot"),
        pytest.param(".", "v.nii.gz", {}, "only PET and SPECT|Only PET and SPECT", id="no color volume"),
        pytest.param("numbers.nii.gz", "v.nii.gz", {}, "got numbers", id="gray volume"),
        pytest.param("broken.nii.gz", "v.nii.gz", {}, "readable NIfTI", id="damaged volume"),
    ],
)
def test_what_cannot_be_read_is_refused(pair, source, output, settings, message):
    folder, _, _ = pair
    write_nifti(folder / "numbers.nii.gz", np.zeros((1, 4, 4, 4), np.float32), np.eye(4))
    (folder / "broken.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=message):
        write_values(folder / source, folder / output, **settings)
    assert not (folder / output).exists()
