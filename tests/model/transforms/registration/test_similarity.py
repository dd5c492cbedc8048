from __future__ import annotations

import numpy as np
import pytest
from scripts.transforms.registration.search import shift
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.similarity import normalized_mutual_information, overlap, similarity_between
from scripts.transforms.registration.volumes import PreparedVolume, prepare

from tests.model.transforms.registration.phantom import head, volume

FOUR = np.repeat([0.0, 1.0, 2.0, 3.0], 100)
SETTINGS = SearchSettings()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(FOUR, FOUR, 2.0, id="equal"),
        pytest.param(FOUR, np.tile([0.0, 1.0], 200), 1.0, id="independent"),
        pytest.param(FOUR, FOUR // 2, (2 + 1) / 2, id="one bit of two is shared"),
        pytest.param(FOUR, np.zeros(400), 1.0, id="one is constant"),
        pytest.param(np.zeros(400), np.zeros(400), 1.0, id="both are constant"),
    ],
)
def test_normalized_mutual_information_by_hand(a, b, expected):
    assert normalized_mutual_information(a, b) == pytest.approx(expected)
    assert normalized_mutual_information(b, a) == pytest.approx(expected)


def test_similarity_is_highest_where_the_heads_meet():
    pair = [prepare(volume(head(contrast)), "x", 2.0, SETTINGS) for contrast in ("mr", "t2")]
    similarity = similarity_between(*pair, SETTINGS, seed=0)
    here = similarity(np.eye(4))
    assert here == similarity(np.eye(4))  # the same samples each time
    assert all(similarity(shift(sign * np.eye(3)[axis] * 8)) < here for axis in range(3) for sign in (-1, 1))


def box(shape: tuple[int, int, int], part: tuple[slice, slice, slice]) -> PreparedVolume:
    """A foreground of a known size; voxels of 1 mm."""
    foreground = np.zeros(shape, dtype=bool)
    foreground[part] = True
    return PreparedVolume(foreground.astype(np.float32), np.eye(4), foreground, foreground)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        pytest.param(0, 1.0, id="inside"),
        pytest.param(10, 0.5, id="half"),
        pytest.param(30, 0.0, id="apart"),
    ],
)
def test_overlap_of_boxes(offset, expected):
    large = box((60, 60, 60), (slice(5, 45), slice(5, 45), slice(5, 45)))
    small = box((60, 60, 60), (slice(15, 35), slice(15, 35), slice(15, 35)))
    away = shift(np.array([10 + offset, 0, 0]) * (offset > 0))
    assert overlap(large, small, np.linalg.inv(away), SETTINGS, 0) == pytest.approx(expected, abs=0.03)
    assert overlap(small, large, away, SETTINGS, 0) == pytest.approx(expected, abs=0.03)
