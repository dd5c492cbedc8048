"""Perceptual color: laws of the colors, equal steps, and values read back from 8-bit pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scripts.utils.color import color_fused, colormap_table, luminance, scale_colors
from scripts.utils.enums import ColorMap, Lightness
from scripts.utils.lab import srgb_to_lab
from scripts.utils.perceptual import (
    READABLE,
    SHAPES,
    color_table,
    composition_table,
    map_colors,
    oklab,
    read_values,
    to_linear,
)
from skimage.color import deltaE_ciede2000, rgb2lab

from tests.acceptance import golden

PERCEPTUAL = tuple(SHAPES)
LIGHTNESS = np.arange(READABLE[0], READABLE[1] + 1, 5)
GRAY = np.arange(256) / 255
# Severity 1.0, for linear sRGB: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color
# vision deficiency", IEEE TVCG 2009, doi 10.1109/TVCG.2009.113, table 1.
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen_by(kind: str, colors: np.ndarray) -> np.ndarray:
    return oklab((to_linear(colors) @ np.array(DICHROMATS[kind]).T).clip(0, 1))


def made_up_pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Texture in all grays under a smooth function with all values, and black air; (1, 128, 128) each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128] / 127
    head = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.2
    anatomy = np.where(head, (0.5 + 0.5 * np.sin(40 * x + 25 * y**2)) * rng.uniform(0.8, 1, x.shape), 0)
    return anatomy[None], np.where(head, 0.5 + 0.5 * np.cos(9 * x * y + seed), 0)[None]


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        pytest.param((1, 1, 1), (1, 0, 0), id="white"),
        pytest.param((1, 0, 0), (0.627955, 0.224863, 0.125846), id="red"),
        pytest.param((0, 1, 0), (0.866440, -0.233888, 0.179498), id="green"),
        pytest.param((0, 0, 1), (0.452014, -0.032457, -0.311528), id="blue"),
    ],
)
def test_oklab(color, expected):
    """Values of the definition's author, as CSS Color 4 and culori give them."""
    assert oklab(np.array(color, float)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_colors_of_one_lightness_have_one_luminance_inside_the_gamut(name):
    table = color_table(name)
    assert table.min() >= 0
    assert table.max() <= 1
    lab = rgb2lab(table)
    gray = rgb2lab(np.repeat(GRAY[:, None, None], 3, axis=2))
    assert np.abs(lab[..., 0] - gray[..., 0]).max() < 0.01
    inside = table[20:250, 5:]
    assert ((inside > 0) & (inside < 1)).all()  # nothing was clipped


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_the_maps_stay_what_they_are(name):
    """Pictures that were written before must still be read: the values of tests/acceptance/golden.json."""
    kept = json.loads(golden.FILE.read_text())
    for kind, difference in golden.largest_difference(color_table(name), kept["colors"][name]).items():
        assert difference <= kept["tolerance"]["colors"][kind]


@pytest.mark.parametrize("name", PERCEPTUAL)
@pytest.mark.parametrize("lightness", LIGHTNESS)
def test_steps_are_equal_at_each_lightness(name, lightness):
    steps = np.linalg.norm(np.diff(oklab(to_linear(map_colors(name, lightness))), axis=0), axis=1)
    assert np.abs(steps / steps.mean() - 1).max() < 0.1
    assert np.abs(srgb_to_lab(map_colors(name, lightness))[:, 0] - lightness).max() < 0.5


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_each_value_has_a_color_of_its_own(name):
    """Colors of values that differ by 10 % of the range differ by a CIEDE2000 of 1 at any lightness."""
    for lightness in LIGHTNESS:
        lab = rgb2lab(map_colors(name, lightness)[::13])
        far = np.triu(np.ones((len(lab),) * 2, bool), 2)
        assert deltaE_ciede2000(lab[:, None], lab[None])[far].min() > 1, lightness


@pytest.mark.parametrize("kind", list(DICHROMATS))
@pytest.mark.parametrize("lightness", LIGHTNESS)
def test_gold_is_safe_for_the_color_blind(kind, lightness):
    """To them too a higher value is farther from gray, in steps that are at least half of the mean one."""
    seen = seen_by(kind, map_colors("gold", lightness)[::17])
    from_gray = np.linalg.norm(seen - seen[0], axis=1)
    steps = np.diff(from_gray)
    assert steps.min() > 0.5 * steps.mean()
    normal = oklab(to_linear(map_colors("gold", lightness)[::17]))
    assert from_gray[-1] > 0.8 * np.linalg.norm(normal[-1] - normal[0])


@pytest.mark.parametrize("name", PERCEPTUAL)
@pytest.mark.parametrize("lightness", ["structural", "fused"])
def test_laws_of_the_composition(name, lightness):
    table = composition_table(name, lightness)
    levels = np.arange(256)
    assert (table[:, 0] == levels[:, None]).all()  # no function: the gray of the anatomy
    assert (table[0, 0] == 0).all()
    seen = srgb_to_lab(table / 255)[..., 0]
    assert (np.diff(seen, axis=0) > -0.6).all()  # more gray is never darker, up to rounding
    if lightness == "structural":
        assert seen[0, 255] > 35  # a hot spot shows on black ground
        assert (np.diff(seen[0].astype(float)) > -0.6).all()


@pytest.mark.parametrize("name", PERCEPTUAL)
@pytest.mark.parametrize("lightness", ["structural", "fused"])
def test_values_are_read_back(name, lightness):
    anatomy, values = made_up_pair()
    picture = color_fused(np.maximum(anatomy, values), anatomy, values, name, lightness)
    read = read_values(picture, name)
    level = srgb_to_lab(np.moveaxis(picture, 0, -1) / 255)[..., 0]
    readable = (level >= 15) & (level <= 90)
    assert readable.mean() > 0.4
    assert (np.isnan(read) == ~readable).all()
    error = np.abs(read - values[0])[readable]
    assert np.median(error) < 0.03
    assert np.quantile(error, 0.95) < 0.08


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_the_ends_of_a_scale_are_read_as_0_and_1(name):
    """And the values between them in equal steps, at the lightness of the scale."""
    colors = np.rint(map_colors(name, 65) * 255).astype(np.uint8).T
    read = read_values(colors, name)
    assert read[0] == 0
    assert np.abs(read - GRAY).max() < 2.01 / 255
    assert np.abs(255 * read - np.rint(255 * read)).max() < 1e-4  # levels of 255, the last of which is 1
    outside = np.rint(np.array([0.14, 0.15, 0.88, 0.89]) * 255).astype(np.uint8)  # L* of 14.2, 15.2, 89.2, 90.2
    assert np.isnan(read_values(outside[None].repeat(3, axis=0), name)).tolist() == [True, False, False, True]


@pytest.mark.parametrize("name", PERCEPTUAL)
@pytest.mark.parametrize("task", ["PET-MRI", "SPECT-MRI"])
def test_values_are_read_back_from_real_pairs(shared_harvard, name, task):
    from scripts.data.datalist import fusion_datalist
    from scripts.data.pictures import read_source

    errors = []
    for item in fusion_datalist(shared_harvard, "validation", [task])[::5]:
        anatomy, values = (read_source(item[key]).gray for key in ("source_a", "source_b"))
        read = read_values(color_fused(anatomy, anatomy, values, name), name)
        shown = (anatomy[0] > 0) & np.isfinite(read)
        errors.append(np.abs(read - values[0])[shown])
    errors = np.concatenate(errors)
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.95) < 0.08


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_values_survive_noise_of_two_levels(name):
    """Where there is color enough, a picture that was changed a little still says its values."""
    anatomy, values = made_up_pair(1)
    picture = color_fused(anatomy, anatomy, values, name).astype(int)
    noisy = (picture + np.random.default_rng(0).integers(-2, 3, picture.shape)).clip(0, 255).astype(np.uint8)
    read = read_values(noisy, name)
    error = np.abs(read - values[0])[np.isfinite(read)]
    assert np.median(error) < 0.03


def test_reading_checks_its_picture():
    with pytest.raises(ValueError, match="uint8 of shape"):
        read_values(np.zeros((3, 4, 4)), "ember")
    with pytest.raises(KeyError):
        read_values(np.zeros((3, 4, 4), np.uint8), "hot")


def test_a_volume_is_colored_as_its_slices_are():
    anatomy, values = (np.stack([made_up_pair(k)[i] for k in range(3)], axis=-1) for i in (0, 1))
    volume = color_fused(anatomy, anatomy, values, "ember")
    assert volume.shape == (3, 128, 128, 3)
    for k in range(3):
        slices = (image[..., k] for image in (anatomy, anatomy, values))
        assert np.array_equal(volume[..., k], color_fused(*slices, "ember"))


def test_which_image_the_lightness_is():
    fused, structural, values = np.array([[[0.7]], [[0.3]], [[0.0]]])[:, None]
    for name in ColorMap:
        auto = structural if name in SHAPES else fused
        for word, base in (("auto", auto), ("structural", structural), ("fused", fused)):
            picture = color_fused(fused, structural, values, name, Lightness(word))
            assert luminance(picture / 255).item() == pytest.approx(base.item(), abs=2 / 255), (name, word)


def test_shapes_and_words_are_checked():
    image = np.zeros((1, 4, 4))
    with pytest.raises(ValueError, match="one shape"):
        color_fused(image, image, image[:, :3], "ember")
    with pytest.raises(ValueError, match="jet"):
        color_fused(image, image, image, "jet")
    with pytest.raises(ValueError, match="from 0 to 100, got 120"):
        map_colors("ember", 120)


@pytest.mark.parametrize("name", list(ColorMap))
def test_scale_colors(name):
    colors = scale_colors(name, 70)
    assert colors.shape == (256, 3)
    if name in SHAPES:
        assert np.abs(srgb_to_lab(colors)[:, 0] - 70).max() < 0.5
    else:
        assert np.array_equal(colors[1:], colormap_table(name)[1:])
        assert (colors[0] == 0).all()


@pytest.mark.parametrize("name", PERCEPTUAL)
def test_the_table_for_one_value_gets_lighter_from_black(name):
    lightness = srgb_to_lab(colormap_table(name))[:, 0]
    assert lightness[0] == 0
    assert (np.diff(lightness) > -1e-4).all()
    assert lightness[-1] > 85
