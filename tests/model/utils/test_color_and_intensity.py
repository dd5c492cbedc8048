from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scripts.utils.checks import InputError
from scripts.utils.color import apply_colormap, colorize, colormap_table, is_gray, luminance
from scripts.utils.enums import ColorMap
from scripts.utils.intensity import check_finite, intensity_window, normalize_intensity, otsu_threshold

from tests.conftest import BUNDLE


def random_rgb(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((3, 32, 32)).astype(np.float32)


def test_luminance_is_pillows_up_to_rounding():
    rgb = random_rgb()
    pixels = np.rint(rgb * 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"), dtype=float)
    assert np.abs(luminance(pixels.astype(np.float32) / 255)[0] * 255 - expected).max() <= 1


def test_colorize_keeps_the_fused_luminance_exactly():
    rgb, fused = random_rgb(), np.random.default_rng(1).random((1, 32, 32)).astype(np.float32)
    colored = colorize(fused, rgb)
    assert np.abs(luminance(colored) - fused).max() < 1e-5
    assert colored.min() >= 0
    assert colored.max() <= 1


def test_colorize_with_its_own_luminance_restores_the_image():
    rgb = random_rgb()
    assert np.abs(colorize(luminance(rgb), rgb) - rgb).max() < 1e-5


def test_colorize_keeps_the_hue():
    """Chroma is scaled, never turned: the result's chroma is parallel to the source's."""
    rgb, fused = random_rgb(), np.full((1, 32, 32), 0.9, np.float32)
    old = rgb - luminance(rgb)
    new = colorize(fused, rgb) - fused
    cross = np.cross(old.reshape(3, -1).T, new.reshape(3, -1).T)
    assert np.abs(cross).max() < 1e-5
    assert (old * new).sum(axis=0).min() >= -1e-6


def test_black_and_white_stay():
    rgb = random_rgb()
    for level in (0.0, 1.0):
        fused = np.full((1, 32, 32), level, np.float32)
        assert np.abs(colorize(fused, rgb) - level).max() < 1e-6


@pytest.mark.parametrize("name", list(ColorMap))
def test_colormaps_survive(name):
    """Each color of a map keeps its own color at its own luminance."""
    rgb = colormap_table(name).T.reshape(3, 1, 256)
    assert np.abs(colorize(luminance(rgb), rgb) - rgb).max() < 1e-5


def test_pet_color_table_survives(shared_harvard):
    """The same for the 128 colors of the Harvard PET images."""
    table = np.array(json.loads((shared_harvard / "color_maps.json").read_text())["pet_fdg_lut_128"], dtype=np.float32)
    rgb = (table / 255).T.reshape(3, 1, 128)
    assert np.abs(colorize(luminance(rgb), rgb) - rgb).max() < 1e-5


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="Expected shapes"):
        colorize(np.zeros((1, 4, 4)), np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match=r"\(3, H, W\)"):
        luminance(np.zeros((1, 4, 4)))


@pytest.mark.parametrize(
    ("name", "colors"),
    [
        pytest.param("hot", {0: (0.0416, 0, 0), 255: (1, 1, 1)}, id="hot"),
        pytest.param("inferno", {0: (0.0015, 0.0005, 0.0139), 255: (0.9884, 0.9984, 0.6449)}, id="inferno"),
        pytest.param("pet-rainbow", {0: (0, 0, 0), 255: (1, 1, 1)}, id="pet-rainbow"),
    ],
)
def test_colormap_tables(name, colors):
    """Ends of matplotlib's tables (_cm.py, _cm_listed.py) and of DICOM's PET palette (PS3.6, table B.1.1)."""
    table = colormap_table(name)
    assert table.shape == (256, 3)
    for level, color in colors.items():
        assert np.abs(table[level] - color).max() < 1e-4
    assert np.abs(apply_colormap(np.array([[0.0, 1.0]]), name) - table[[0, 255]].T[:, None]).max() == 0


def test_unknown_colormap():
    with pytest.raises(ValueError, match="jet"):
        colormap_table("jet")


def test_is_gray():
    assert is_gray(np.ones((3, 2, 2)))
    assert not is_gray(random_rgb())


def test_ct_window_in_hu():
    values = np.array([-1024, -20, 35, 80, 180, 3000], dtype=np.int16)
    assert normalize_intensity(values, "CT").tolist() == pytest.approx([0, 0, 0.275, 0.5, 1, 1])


def test_mr_percentiles_ignore_outliers_and_keep_black():
    values = np.concatenate([np.zeros(5000), np.linspace(100, 900, 10000), [1e6]])
    scaled = normalize_intensity(values, "MRI")
    assert scaled[:5000].max() == 0
    assert scaled[10000] == pytest.approx(0.5, abs=0.03)
    assert scaled.max() == 1


def test_noise_of_an_mr_background_becomes_black():
    rng = np.random.default_rng(0)
    air, tissue = rng.rayleigh(8, 20000), rng.normal(500, 80, 20000)
    scaled = normalize_intensity(np.concatenate([air, tissue]), "MRI")
    assert (scaled[:20000] == 0).mean() > 0.95
    assert (scaled[20000:] > 0.2).mean() > 0.99


def test_dark_tissue_is_not_taken_for_noise():
    """Cropped to tissue, half of it dark: what is cut off stays below 5 % of the range."""
    values = np.random.default_rng(0).uniform(100, 900, 50000)
    low, high = intensity_window(values, "MRI")
    assert low < 100 + 0.06 * (high - 100)


def test_otsu_threshold_splits_two_classes():
    """scikit-image's value for the same two normal classes."""
    from skimage.filters import threshold_otsu

    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 3, 5000), rng.normal(60, 9, 2000)])
    assert otsu_threshold(values) == pytest.approx(threshold_otsu(values), abs=1e-9)


def test_pet_starts_at_zero():
    values = np.array([-3.0, 0.0, *np.linspace(0, 10, 1001)])
    scaled = normalize_intensity(values, "PET")
    assert scaled[:2].tolist() == [0, 0]
    assert scaled[2 + 500] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("modality", ["MRI", "CT", "PET", "SPECT"])
@pytest.mark.parametrize("level", [0, 7])
def test_constant_images_stay_finite(modality, level):
    scaled = normalize_intensity(np.full((4, 4), level), modality)
    assert np.isfinite(scaled).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1


def test_range_does_not_depend_on_the_scanners_unit():
    values = np.random.default_rng(0).gamma(2, 100, (16, 16, 16))
    assert np.allclose(normalize_intensity(values, "MRI"), normalize_intensity(values * 40, "MRI"), atol=1e-5)


def test_unknown_modality():
    with pytest.raises(ValueError, match="XRAY"):
        normalize_intensity(np.zeros(3), "XRAY")


def test_unknown_window():
    with pytest.raises(ValueError, match="liver"):
        intensity_window(np.zeros(3), "CT", "liver")


def test_values_that_are_not_finite():
    check_finite("v.nii", np.zeros(3))
    with pytest.raises(InputError, match=r"v.nii: expected finite values, 2 of 3 are NaN or infinite"):
        check_finite("v.nii", np.array([np.nan, 0, -np.inf]))


def test_sample_volumes_have_black_outsides():
    from scripts.data.pictures import read_source

    for name, modality in (("t1", "MRI"), ("ct", "CT"), ("pet", "PET")):
        gray = read_source(BUNDLE / "sample_data" / f"{name}.nii.gz", modality).gray
        assert (gray == 0).mean() > 0.2, name
        assert gray.max() == 1, name
