from __future__ import annotations

from dataclasses import asdict, replace

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


# The limits as docs/studies.md and the class say them: a change of one changes what is refused in a clinic.
LIMITS = {
    "rotation": 45,
    "scale": 1.25,
    "overlap": 0.5,
    "spread": 2,
    "gain": 0.02,
    "volume": 1.5,
    "jacobian": 0.2,
    "kept": 0.9,
}
TRUNK = LIMITS | {"rotation": 30, "spread": 4, "gain": 0.01}
REGIONS = {
    "head": LIMITS,
    "neck": LIMITS | {"spread": 3, "gain": 0.01},
    **dict.fromkeys(("chest", "abdomen", "pelvis", "whole-body"), TRUNK),
    "spine": LIMITS | {"spread": 4, "gain": 0.01},
    "extremity": LIMITS | {"spread": 4, "gain": 0.003},
}


def test_the_limits_of_each_region():
    assert {str(region): asdict(Limits(**wider)) for region, wider in REGION_LIMITS.items()} == REGIONS


def deformed(low: float, high: float) -> dict:
    return {"deformation": Deformation(np.zeros((3, 4, 4, 4)), np.eye(4), np.eye(4), (low, high))}


def affine(*stretch: float) -> dict:
    return {"kind": "affine", "matrix": np.diag([*stretch, 1]).tolist()}


@pytest.mark.parametrize(
    ("kept", "broken"),
    [
        pytest.param({"matrix": turned(44.9).tolist()}, {"matrix": turned(45.1).tolist()}, id="rotation"),
        pytest.param({"matrix": turned(-44.9).tolist()}, {"matrix": turned(-45.1).tolist()}, id="rotation back"),
        pytest.param({"matrix": turned(0, 1.25).tolist()}, {"matrix": turned(0, 1.2501).tolist()}, id="stretch"),
        pytest.param({"matrix": turned(0, 0.8).tolist()}, {"matrix": turned(0, 0.7999).tolist()}, id="squeeze"),
        pytest.param(affine(1.2, 1.25, 1), affine(1.2, 1.2, 1.05), id="volume"),
        pytest.param(affine(1 / 1.2, 0.8, 1), affine(1 / 1.2, 1 / 1.2, 0.95), id="volume down"),
        pytest.param({"overlap": 0.5}, {"overlap": 0.4999}, id="overlap"),
        pytest.param({"spread_mm": 2.0}, {"spread_mm": 2.0001}, id="spread"),
        pytest.param({"spread_mm": None}, {"spread_mm": 40.0}, id="no restarts"),
        pytest.param({"after": 1.1801}, {"after": 1.1799}, id="kept"),
        pytest.param({"gain": 0.02}, {"gain": 0.01999}, id="gain"),
        pytest.param(deformed(0.2, 5.0), deformed(0.1999, 5.0), id="crushed"),
        pytest.param(deformed(0.2, 5.0), deformed(0.2, 5.001), id="blown up"),
        pytest.param(deformed(0.2, 1.0), deformed(0.0, 1.0), id="folds at 0"),
    ],
)
def test_each_limit_from_both_sides(kept, broken):
    assert broken_limits(replace(GOOD, **kept), Limits(), 10) == []
    assert len(broken_limits(replace(GOOD, **broken), Limits(), 10)) == 1


def test_only_an_affine_is_asked_for_its_volume():
    assert broken_limits(replace(GOOD, matrix=np.diag([1.2, 1.2, 1.2, 1]).tolist()), Limits(), 10) == []


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
        pytest.param(np.eye(4), (0.0, 1.5), "it folds: the Jacobian falls to 0.00", id="folds at 0"),
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


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_gain_looks_in_all_six_directions(axis, sign):
    """In one of them the metric does not fall at all, or it rises."""
    similarity = lambda m: 1.5 - 0.02 * abs(m[:3, 3]).sum() + 0.03 * max(0, sign * m[axis, 3])  # noqa: E731
    assert gain(similarity, np.eye(4), 8) == pytest.approx(-0.08 / 0.5)
    assert gain(lambda m: 1.0, np.eye(4), 10) == 0
