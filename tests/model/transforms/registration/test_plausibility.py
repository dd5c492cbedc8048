from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.transforms.registration.plausibility import Limits, check_plausible, gain, rotation_and_stretch, spread
from scripts.transforms.registration.search import shift
from scripts.utils.checks import InputError

from tests.model.transforms.registration.phantom import FOUND

GOOD = replace(FOUND, before=1.2, after=1.3)


def turned(degrees: float, stretch: float = 1.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() * stretch
    return matrix


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"matrix": turned(60).tolist()}, "it turns by 60 degrees", id="turned"),
        pytest.param({"matrix": turned(0, 1.5).tolist()}, "it stretches by 1.50 to 1.50", id="stretched"),
        pytest.param({"overlap": 0.2}, "only 20% of the heads overlap", id="apart"),
        pytest.param({"spread_mm": float("inf")}, "other starts end inf mm away", id="a restart failed"),
        pytest.param({"after": 1.1}, "the metric fell from 1.2000 to 1.1000", id="worse"),
        pytest.param({"gain": 0.001}, "a 10 mm shift costs 0.1% of the metric", id="flat"),
    ],
)
def test_each_limit(change, message):
    with pytest.raises(InputError, match=message):
        check_plausible(replace(GOOD, **change), Limits(), 10)
    check_plausible(GOOD, Limits(), 10)


def test_all_broken_limits_are_named():
    with pytest.raises(InputError, match=r"only 20% .* shift costs 0.0% .* before, 1.3000 after"):
        check_plausible(replace(GOOD, overlap=0.2, gain=0), Limits(), 10)


def test_limits_can_be_wider():
    check_plausible(replace(GOOD, matrix=turned(60).tolist()), Limits(rotation=90), 10)


def test_rotation_and_stretch():
    rotation, stretch = rotation_and_stretch(turned(30) @ np.diag([1.1, 1.1, 0.9, 1]))
    assert np.allclose(rotation, turned(30)[:3, :3])
    assert np.allclose(sorted(stretch), (0.9, 1.1, 1.1))


def test_spread():
    points = np.array([[0.0, 0, 0, 1], [10, 0, 0, 1]])
    assert spread(np.eye(4), [shift([3, 4, 0]), shift([1, 0, 0])], points) == pytest.approx(5.0)
    assert spread(np.eye(4), [None, np.eye(4)], points) == np.inf


def test_gain():
    """A metric that falls from 1.5 by 0.01 a millimeter, but along x only by 0.005."""
    similarity = lambda m: 1.5 - 0.01 * float(np.abs(m[:3, 3] * [0.5, 1, 1]).sum())  # noqa: E731
    assert gain(similarity, np.eye(4), 10) == pytest.approx(0.05 / 0.5)
