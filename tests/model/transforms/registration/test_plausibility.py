from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.transforms.registration.deformation import Deformation
from scripts.transforms.registration.plausibility import (
    REGION_LIMITS,
    Limits,
    broken_limits,
    gain,
    refuse,
    rotation_and_stretch,
    spread,
)
from scripts.transforms.registration.search import shift
from scripts.utils.checks import InputError
from scripts.utils.enums import BodyRegion

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
        pytest.param({"overlap": 0.2}, "only 20% of the smaller body overlap", id="apart"),
        pytest.param({"spread_mm": float("inf")}, "other starts end inf mm away", id="a restart failed"),
        pytest.param({"after": 1.1}, "the metric fell from 1.2000 to 1.1000", id="worse"),
        pytest.param({"gain": 0.001}, "a 10 mm shift costs 0.1% of the metric", id="flat"),
    ],
)
def test_each_limit(change, message):
    (phrase,) = broken_limits(replace(GOOD, **change), Limits(), 10)
    assert message in phrase
    assert broken_limits(GOOD, Limits(), 10) == []


def test_the_refusal_names_all_limits_and_what_can_be_done():
    found = replace(GOOD, overlap=0.2, gain=0)
    error = refuse(found, broken_limits(found, Limits(), 10))
    assert isinstance(error, InputError)
    for words in ("only 20%", "shift costs 0.0%", "before, 1.3000 after", "--transform FILE", "--accept-registration"):
        assert words in str(error)
    assert "head" not in str(error)  # it may be a thigh


def test_limits_can_be_wider():
    turn = replace(GOOD, matrix=turned(60).tolist())
    assert broken_limits(turn, Limits(rotation=90), 10) == []


def test_a_region_widens_only_what_it_must():
    flat = replace(GOOD, gain=0.005, spread_mm=3.0)
    assert len(broken_limits(flat, Limits(**REGION_LIMITS[BodyRegion.HEAD]), 10)) == 2
    assert broken_limits(flat, Limits(**REGION_LIMITS[BodyRegion.EXTREMITY]), 10) == []
    assert set(REGION_LIMITS) == set(BodyRegion)


@pytest.mark.parametrize(
    ("matrix", "jacobian", "message"),
    [
        pytest.param(np.diag([1.2, 1.2, 1.2, 1]), None, "changes the volume by 1.73", id="volume of an affine"),
        pytest.param(np.eye(4), (-0.1, 1.5), "it folds: the Jacobian falls to -0.10", id="folds"),
        pytest.param(np.eye(4), (0.1, 1.5), "changes the volume locally by 0.10 to 1.50", id="crushes"),
    ],
)
def test_limits_of_affines_and_deformations(matrix, jacobian, message):
    deformation = jacobian and Deformation(np.zeros((3, 4, 4, 4)), np.eye(4), np.eye(4), jacobian)
    found = replace(GOOD, kind="affine", matrix=matrix.tolist(), deformation=deformation)
    (phrase,) = broken_limits(found, Limits(), 10)
    assert message in phrase


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
