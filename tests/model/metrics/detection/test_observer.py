"""The observer against closed forms: signals in Gaussian noise, whose detectability is known."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.metrics.detection.lesions import KINDS, STANDARD, Lesion, lesion_kind, plant
from scripts.metrics.detection.observer import (
    CHANNELS,
    NOISE,
    Outputs,
    channels,
    detectability,
    internal_noise,
    look,
)
from scripts.utils.lab import srgb_to_lab

ONCE = np.ones((1, 1))


def gaussian(sigma: float, half: int) -> np.ndarray:
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.exp(-(x**2 + y**2) / (2 * sigma**2))


def hotelling_dprime(signal: np.ndarray, covariance: np.ndarray) -> float:
    """d'^2 = s^T K^-1 s; Barrett and Myers, "Foundations of image science", 2004, section 13.2.12."""
    return float(np.sqrt(signal @ np.linalg.solve(covariance, signal)))


def outputs(absent: np.ndarray, present: np.ndarray, noise: np.ndarray, sign: np.ndarray | None = None) -> Outputs:
    numbers = np.arange(len(absent))
    sign = np.ones(len(absent)) if sign is None else sign
    return Outputs(absent, present, sign, numbers % 2, np.zeros(len(absent), dtype=int), noise)


def test_the_channels_are_orthonormal():
    """Laguerre-Gauss functions are so by theory; sampling on pixels costs little."""
    u = channels(lesion_kind("gaussian-5-10")).reshape(-1, CHANNELS)
    assert u.T @ u == pytest.approx(np.eye(CHANNELS), abs=0.02)


def test_the_first_channel_is_a_gaussian_lesion():
    first = channels(STANDARD)[..., 0]
    assert first / first.max() == pytest.approx(gaussian(STANDARD.sigma, first.shape[0] // 2), abs=1e-12)


@pytest.mark.parametrize("angle", range(4))
def test_the_channels_of_a_streak_lie_as_it_does(angle):
    kind = lesion_kind("streak-2-20")
    first = channels(kind, angle)[..., 0]
    middle = first.shape[0] // 2
    streak = plant(np.zeros(first.shape, np.float32), kind, [Lesion(middle, middle, 1, angle)])
    assert np.corrcoef(first.ravel(), streak.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("deviation", [0.0, 3.0, 20.0])
def test_a_gaussian_in_white_noise_has_the_closed_form(deviation):
    r"""d'^2 = s^T K^-1 s; the first channel is the signal itself, so that is its energy over the noise in a pixel."""
    rng = np.random.default_rng(0)
    u = channels(STANDARD).reshape(-1, CHANNELS)
    signal = 2.0 * gaussian(STANDARD.sigma, channels(STANDARD).shape[0] // 2).ravel()
    absent = rng.multivariate_normal(np.zeros(CHANNELS), deviation**2 * u.T @ u, 20000)
    present = rng.multivariate_normal(signal @ u, deviation**2 * u.T @ u, 20000)
    inside = internal_noise(STANDARD, CHANNELS)
    theory = hotelling_dprime(signal @ u, deviation**2 * u.T @ u + inside)
    assert theory == pytest.approx(np.sqrt(signal @ signal / (deviation**2 + NOISE**2)), rel=1e-6)
    assert detectability(outputs(absent, present, inside), ONCE)[0] == pytest.approx(theory, rel=0.03)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lesions_in_a_noisy_picture_have_the_closed_form(kind):
    """The whole way: planted in white noise, 8 bit, CIELAB, channels, half and half; both signs."""
    rng = np.random.default_rng(1)
    size, deviation, count = channels(kind).shape[0], 12.0, 600
    middle = size // 2
    sign, angles = rng.choice([-1, 1], count), rng.integers(0, 4, count)
    absent, present = np.empty((2, count, CHANNELS))
    for number in range(count):
        image = (rng.normal(128, deviation, (size, size)) / 255).clip(0, 1)
        lesion = Lesion(middle, middle, int(sign[number]), int(angles[number]))
        for found, lesions in ((absent, []), (present, [lesion])):
            picture = np.rint(plant(image, kind, lesions) * 255).astype(np.uint8)
            found[number] = look(picture[None], kind, [lesion])[0]
    level = srgb_to_lab(np.array([[127.0] * 3, [129.0] * 3]) / 255)[:, 0]
    slope = (level[1] - level[0]) / 2  # units of lightness a gray level
    flat = np.full((size, size), 128 / 255, np.float32)
    u = channels(kind).reshape(-1, CHANNELS)
    signal = (plant(flat, kind, [Lesion(middle, middle, 1)]) - flat).ravel() * 255 * slope @ u
    inside = internal_noise(kind, CHANNELS)
    theory = hotelling_dprime(signal, (slope * deviation) ** 2 * u.T @ u + inside)
    assert detectability(outputs(absent, present, inside, sign), ONCE)[0] == pytest.approx(theory, rel=0.12)


def test_clutter_that_the_template_can_remove_costs_nothing():
    """Clutter in one direction alone: s^T K^-1 s tends to what is left of the signal beside that direction."""
    rng = np.random.default_rng(2)
    signal, clutter = np.array([3.0, 3, 0, 0, 0]), np.array([1.0, 0, 0, 0, 0])
    absent = 100 * rng.normal(size=(8000, 1)) * clutter
    noise = np.eye(5)
    found = detectability(outputs(absent, absent + signal, noise), ONCE)[0]
    assert found == pytest.approx(3.0, rel=0.02)


def test_dark_and_bright_lesions_share_a_template():
    rng = np.random.default_rng(3)
    sign = rng.choice([-1, 1], 4000)
    absent = rng.normal(50, 2, (4000, 5))
    seen = outputs(absent, absent + sign[:, None] * np.array([4.0, 0, 0, 0, 0]), np.zeros((5, 5)), sign)
    assert detectability(seen, ONCE)[0] == pytest.approx(2.0, rel=0.03)


def test_what_is_not_shown_is_not_found():
    rng = np.random.default_rng(4)
    absent = rng.normal(size=(400, 5))
    nothing = detectability(outputs(absent, absent + 1e-9 * rng.normal(size=(400, 5)), np.eye(5)), ONCE)[0]
    assert abs(nothing) < 1e-6


def test_a_template_that_fits_the_first_half_by_chance_gains_nothing_on_the_second():
    rng = np.random.default_rng(5)
    absent, present = rng.normal(size=(2, 60, 15))
    assert abs(detectability(outputs(absent, present, 0.01 * np.eye(15)), ONCE)[0]) < 0.6


def test_weights_of_a_draw_are_patients_repeated():
    rng = np.random.default_rng(6)
    absent, present = rng.normal(size=(200, 5)), rng.normal(0.7, 1, (200, 5))
    group = np.arange(200) // 100
    seen = Outputs(absent, present, np.ones(200), np.arange(200) % 2, group, np.eye(5))
    found = detectability(seen, np.array([[1, 1], [2, 2], [2, 0], [0, 0]]))
    assert found[0] == pytest.approx(found[1])
    assert found[2] != pytest.approx(found[0])
    assert np.isnan(found[3])


def test_too_few_lesions_have_no_figure():
    seen = outputs(np.zeros((38, 5)), np.ones((38, 5)), np.eye(5))
    assert np.isnan(detectability(seen, np.ones((3, 1)))).all()


def test_gray_and_the_same_gray_in_three_channels_are_seen_alike():
    rng = np.random.default_rng(7)
    picture = rng.integers(0, 256, (1, 80, 80), dtype=np.uint8)
    lesions = [Lesion(20, 60, 1), Lesion(0, 0, -1)]
    gray, color = look(picture, STANDARD, lesions), look(picture.repeat(3, axis=0), STANDARD, lesions)
    assert color.shape == (2, 3 * CHANNELS)
    assert color[:, :CHANNELS] == pytest.approx(gray)
    assert np.abs(color[:, CHANNELS:]).max() < 0.1
