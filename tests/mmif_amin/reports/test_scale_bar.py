"""The scale of colors: its colors stand at their values, and its numbers are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from mmif_amin.scripts.utils.color import apply_colormap, colormap_table, luminance

from mmif_amin.reports.scale_bar import (
    BAND,
    LENGTH_HEIGHT,
    MARGIN,
    WIDTH,
    colors_of_picture,
    length_bar,
    scale_bar,
    with_scale_bar,
)


@pytest.mark.parametrize("height", [120, 256, 999])
def test_the_bar_runs_from_the_highest_color_to_the_lowest(height):
    colors = colormap_table("hot")
    bar = scale_bar(colors, 0, 12.4, "SUVbw", height)
    assert bar.shape == (3, height, WIDTH)
    assert (bar.min(), bar.max()) >= (0, 0)
    band = bar[:, :, MARGIN + BAND // 2]
    top, bottom = 3 * MARGIN + 12, height - 2 * MARGIN
    np.testing.assert_allclose(band[:, top], colors[-1], atol=1 / 255)
    np.testing.assert_allclose(band[:, bottom - 1], colors[0], atol=1 / 255)
    middle = (top + bottom - 1) // 2
    np.testing.assert_allclose(band[:, middle], colors[127], atol=0.05)


def test_the_numbers_of_the_unit_are_drawn():
    """Two bars of other values differ in their numbers alone, and the unit stands above."""
    colors = colormap_table("hot")
    one, other = (scale_bar(colors, 0, high, "SUVbw", 200) for high in (8, 9))
    differs = (one != other).any(axis=(0, 1))
    assert differs[MARGIN + BAND + 1 :].any()
    assert not differs[: MARGIN + BAND].any()
    without = scale_bar(colors, 0, 8, "", 200)
    assert (one != without)[:, : 2 * MARGIN + 12].any()
    assert not (one != without)[:, 3 * MARGIN + 12 :].any()


@pytest.mark.parametrize(("low", "high", "count"), [(0, 7.67, 5), (-20, 180, 6), (0, 4.02, 5)])
def test_both_ends_and_round_values_have_ticks(low, high, count):
    """0, 2, 4, 6 and 7.67; -20, 0, 50, 100, 150 and 180; but no 4 beside 4.02."""
    bar = scale_bar(colormap_table("hot"), low, high, "", 400)
    ticks = np.flatnonzero((bar[:, :, MARGIN + BAND + 3] == 1).all(axis=0))
    assert len(ticks) == count
    assert np.diff(ticks).min() >= 14
    assert (ticks[0], ticks[-1]) == (3 * MARGIN + 12, 400 - 2 * MARGIN - 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param((5, 5, "", 200), "`high` must be above `low`, got 5 and 5", id="no-range"),
        pytest.param((0, 5, "", 20), "`height` must be at least 120, got 20", id="too-small"),
    ],
)
def test_refused(given, message):
    with pytest.raises(ValueError, match=message):
        scale_bar(colormap_table("hot"), *given)


@pytest.mark.parametrize(("pixels_per_mm", "length"), [(0.5, 100), (1.4, 50), (8.4, 10), (30.0, 2)])
def test_the_length_is_as_long_as_it_says(pixels_per_mm, length):
    """The longest of 1, 2 and 5 times a power of ten that fits."""
    bar = length_bar(pixels_per_mm)
    assert bar.shape == (3, LENGTH_HEIGHT, WIDTH)
    lit = (bar[0] == 1).sum(axis=1).max()
    assert lit == round(length * pixels_per_mm)


@pytest.mark.parametrize("pixels_per_mm", [0.0, -1.0, 85.0])
def test_no_length(pixels_per_mm):
    with pytest.raises(ValueError, match="must be above 0 and at most 84"):
        length_bar(pixels_per_mm)


def test_colors_of_a_picture_are_those_of_its_color_map():
    values = np.random.default_rng(0).random((40, 40))
    picture = apply_colormap(values, "hot")
    colors = colors_of_picture(picture)
    table = colormap_table("hot")
    brightness = luminance(table.T[:, None])[0, 0]
    for level in (40, 120, 200):
        nearest = table[np.abs(brightness - level / 255).argmin()]
        np.testing.assert_allclose(colors[level], nearest, atol=0.02)
    np.testing.assert_allclose(luminance(colors.T[:, None])[0, 0], np.linspace(0, 1, 256), atol=0.01)


@pytest.mark.parametrize(("low", "high"), [(100, 120), (200, 120)])
def test_a_picture_and_its_bar_stand_side_by_side(low, high):
    both = with_scale_bar(np.full((3, low, 50), 0.5), np.ones((3, high, 96)))
    assert both.shape == (3, max(low, high), 146)
    assert (both[:, :low, :50] == 0.5).all()
    assert (both[:, :high, 50:] == 1).all()
    assert both[:, low:, :50].sum() == both[:, high:, 50:].sum() == 0
