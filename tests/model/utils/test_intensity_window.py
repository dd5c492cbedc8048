"""The values that become black and white, by each rule, to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.utils import intensity
from scripts.utils.enums import CTWindow
from scripts.utils.intensity import intensity_window, otsu_threshold


@pytest.mark.parametrize(
    ("window", "level", "width"),
    [("head", 80, 200), ("brain", 40, 80), ("soft", 40, 400), ("bone", 500, 2000), ("lung", -600, 1500)],
)
def test_ct_windows_have_the_usual_levels_and_widths(window, level, width):
    values = np.linspace(-1000, 1000, 101)
    assert intensity_window(values, "CT", window) == (level - width / 2, level + width / 2)
    assert set(intensity.CT_WINDOWS) == set(CTWindow) - {CTWindow.AUTO}


@pytest.mark.parametrize("lowest", [0, 5])
def test_ct_without_negative_values_is_not_in_hu(lowest):
    values = np.concatenate([np.full(1000, lowest), np.linspace(lowest + 100, lowest + 200, 1001)]).astype(np.float64)
    low, high = intensity_window(values, "CT", "bone")
    assert low == pytest.approx(lowest + 101)  # the 1st percentile of what lies above the background
    assert high == pytest.approx(lowest + 199.5)


def test_infrared_leaves_a_thousandth_at_each_end():
    values = np.arange(10_001, dtype=np.float64)[::-1]
    assert intensity_window(values, "infrared") == pytest.approx((10.0, 9990.0))


def test_one_hot_spot_of_an_infrared_image_is_white():
    values = np.full(20_000, 7.0)
    values[123] = 9.0
    assert intensity_window(values, "infrared") == (7.0, 9.0)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_the_noise_of_the_background_ends_at_its_97th_percentile(offset):
    """Rayleigh noise of a magnitude image; the lower value is 2.25 medians of it, wherever the scale begins."""
    rng = np.random.default_rng(0)
    noise, tissue = rng.rayleigh(4.0, 40_000), rng.uniform(400, 600, 10_000)
    values = np.concatenate([[0.0], noise, tissue])
    low, high = intensity_window(values + offset, "MRI")
    assert low - offset == pytest.approx(2.25 * np.median(values[values < otsu_threshold(values) / 2]))
    assert low - offset == pytest.approx(np.percentile(noise, 97), rel=0.1)
    assert high - offset == pytest.approx(np.percentile(np.concatenate([noise, tissue]), 99.5), rel=1e-3)


def test_strong_noise_takes_a_twentieth_of_the_range_at_most():
    rng = np.random.default_rng(0)
    values = np.concatenate([[0.0], rng.rayleigh(40.0, 40_000), rng.uniform(400, 600, 10_000)])
    low, high = intensity_window(values, "MRI")
    assert low == pytest.approx(0.05 * high)


@pytest.mark.parametrize("modality", ["PET", "SPECT"])
def test_activity_counts_from_zero_to_the_percentile_of_what_is_positive(modality):
    values = np.concatenate([np.full(5000, -3.0), np.linspace(1, 201, 201)])
    assert intensity_window(values, modality) == (0.0, 200.0)


def test_of_very_many_voxels_each_nth_is_looked_at(monkeypatch):
    monkeypatch.setattr(intensity, "SAMPLES", 100)
    values = np.tile([0.0, 50.0, 900.0], 100)  # 300 values: each 4th
    chosen = values[::4]
    expected = np.percentile(chosen[chosen > 0], 99.5)
    assert intensity_window(values, "PET") == (0.0, expected)
    assert otsu_threshold(np.array([0.0, 1.0, 99.0, 100.0]), bins=100) < 99
