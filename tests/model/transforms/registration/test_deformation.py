from __future__ import annotations

import numpy as np
import pytest
from scripts.transforms.registration.deformation import Deformation
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.volumes import prepare
from scripts.transforms.registration.warp import warp

from tests.model.transforms.registration.phantom import AFFINE, head, volume

KNOTS = np.diag([25.0, 25.0, 25.0, 1.0])
KNOTS[:3, 3] = -150


def linear(slope: float) -> np.ndarray:
    """Coefficients of a displacement along x that grows with x: cubic B-splines hold a linear function exactly."""
    coefficients = np.zeros((3, 13, 13, 13))
    coefficients[0] = slope * (KNOTS[0, 0] * np.arange(13) + KNOTS[0, 3])[:, None, None]
    return coefficients


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        pytest.param(0.0, 1.0, id="no deformation"),
        pytest.param(0.2, 1.2, id="stretched"),
        pytest.param(-1.5, -0.5, id="folded"),
    ],
)
def test_the_jacobian(slope, expected):
    fixed = prepare(volume(head("mr")), "fixed", 4.0, SearchSettings())
    low, high = Deformation(linear(slope), KNOTS, np.eye(4)).jacobian_over(fixed)
    assert low == pytest.approx(expected, abs=1e-6)
    assert high == pytest.approx(expected, abs=1e-6)


def test_figures():
    points = np.array([[10.0, 0, 0, 1], [-30, 0, 0, 1]])
    figures = Deformation(linear(0.1), KNOTS, np.eye(4), (0.9, 1.1)).figures(points)
    assert figures == pytest.approx({"mean_mm": 2.0, "largest_mm": 3.0, "least_jacobian": 0.9, "largest_jacobian": 1.1})


def test_a_warp_without_deformation_is_the_linear_transform():
    moving = volume(head("ct"))
    matrix = np.eye(4)
    matrix[:3, 3] = [8, -4, 12]  # whole voxels
    moved = warp(moving, volume(head("mr")), Deformation(np.zeros((3, 13, 13, 13)), KNOTS, matrix))
    expected = np.roll(head("ct"), (2, 1, -3), (0, 1, 2))
    inner = (slice(4, -4),) * 3
    assert np.allclose(moved.numpy()[0][inner], expected[inner], atol=0.01)
    assert np.allclose(moved.affine, AFFINE)
    assert moved.numpy().min() == pytest.approx(head("ct").min())
