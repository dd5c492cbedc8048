from __future__ import annotations

import numpy as np
import pytest
from scripts.metrics.detection.lesions import (
    KINDS,
    LESIONS,
    ROOM,
    SPACING,
    STANDARD,
    Lesion,
    find_sites,
    lesion_kind,
    place_lesions,
    plant,
)
from scripts.utils.checks import InputError


def head(size: int = 160) -> np.ndarray:
    """Two sources that show something in a disc, the second one only in its left half; a white spot in the first."""
    y, x = np.mgrid[:size, :size] - size // 2
    inside = np.hypot(y, x) < 0.45 * size
    first, second = np.where(inside, 0.5, 0.0), np.where(inside & (x < 0), 0.3, 0.0)
    first[size // 2 - 8 : size // 2 + 8, 30:46] = 1.0
    return np.stack([first, second])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lesions_lie_where_both_sources_show_something_and_apart(kind):
    sources = head(320)
    sites = find_sites(sources, kind, np.random.default_rng(0))
    assert 2 <= len(sites) <= LESIONS
    y, x = np.mgrid[:320, :320]
    for row, column in sites:
        disc = np.hypot(y - row, x - column) <= kind.radius
        assert np.all((sources[:, disc] > ROOM) & (sources[:, disc] < 1 - ROOM))
    gaps = np.hypot(*(sites[:, None] - sites).T)[~np.eye(len(sites), dtype=bool)]
    assert gaps.min() >= SPACING * kind.radius


def test_there_are_no_sites_where_one_source_is_black_or_white():
    for other in (0.0, 1.0):
        assert find_sites(np.stack([np.full((64, 64), 0.5), np.full((64, 64), other)]), STANDARD, None).shape == (0, 2)


def test_figures_of_all_versions_are_of_the_same_kinds():
    assert [kind.name for kind in KINDS] == [
        "gaussian-2.5-10",
        "gaussian-1.5-10",
        "gaussian-5-10",
        "gaussian-2.5-5",
        "gaussian-2.5-20",
        "ring-2.5-10",
        "streak-1.5-10",
    ]


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_a_kind_is_read_from_its_name(name):
    assert lesion_kind(name) in KINDS


@pytest.mark.parametrize("word", ["", "gaussian", "star-2-10", "ring-0.5-10", "ring-2-0", "ring-2-60", "ring-nan-5"])
def test_another_word_is_no_kind(word):
    with pytest.raises(InputError, match="expected SHAPE-SIGMA-CONTRAST such as gaussian-2.5-10"):
        lesion_kind(word)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_peak_is_the_contrast_and_nothing_else_changes(kind, sign):
    image = np.full((161, 161), 0.4, dtype=np.float32)
    planted = plant(image, kind, [Lesion(80, 80, sign, 1)])
    change = planted - np.rint(image * 255) / 255
    assert (change * sign).max() == pytest.approx(kind.contrast / 100, abs=1.01 / 255)
    assert (change * sign).min() >= 0
    y, x = np.mgrid[:161, :161]
    assert np.abs(change[np.hypot(y - 80, x - 80) > 3.5 * kind.radius]).max() == 0
    assert np.array_equal(planted * 255, np.rint(planted * 255))


def test_a_gaussian_has_its_sigma():
    """The volume of a Gaussian is 2 pi sigma^2 times its peak, and half a sigma off it has exp(-1/8) of it."""
    kind = lesion_kind("gaussian-4-40")
    change = plant(np.full((101, 101), 0.4, np.float32), kind, [Lesion(50, 50, 1)]) - np.rint(0.4 * 255) / 255
    assert change.sum() == pytest.approx(0.4 * 2 * np.pi * 16, rel=0.01)
    assert change[50, 52] / change[50, 50] == pytest.approx(np.exp(-1 / 8), rel=0.02)


def test_a_streak_lies_in_its_direction_and_a_ring_is_hollow():
    flat = np.full((101, 101), 0.5, np.float32)
    ring = plant(flat, lesion_kind("ring-4-20"), [Lesion(50, 50, 1)]) - plant(flat, STANDARD, [])
    assert ring[50, 50] == 0
    assert ring[50, 58] == pytest.approx(0.2, abs=1.01 / 255)
    for angle, ends in enumerate([(50, 62), (58, 58), (62, 50), (58, 42)]):
        streak = plant(flat, lesion_kind("streak-2-20"), [Lesion(50, 50, 1, angle)]) - plant(flat, STANDARD, [])
        assert streak[ends] > 0.05
        assert streak[tuple(reversed((100 - ends[0], ends[1])))] < 0.05 or angle % 2


def test_lesions_at_the_border_are_cut_and_bright_ones_clipped():
    planted = plant(np.full((40, 40), 0.95, np.float32), lesion_kind("gaussian-3-20"), [Lesion(0, 39, 1)])
    assert planted.shape == (40, 40)
    assert planted[0, 39] == 1.0


def test_the_draws_depend_on_the_seed_and_the_words_alone():
    first = place_lesions(head(), STANDARD, 0, ["CT-MRI", "1", "a", "0"])
    assert first == place_lesions(head(), STANDARD, 0, ["CT-MRI", "1", "a", "0"])
    assert first != place_lesions(head(), STANDARD, 1, ["CT-MRI", "1", "a", "0"])
    assert first != place_lesions(head(), STANDARD, 0, ["CT-MRI", "2", "a", "0"])
    assert {lesion.sign for n in range(5) for lesion in place_lesions(head(), STANDARD, 0, [str(n)])} == {1, -1}
