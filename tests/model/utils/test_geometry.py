from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scripts.utils.geometry import lps_from_ras

AFFINE = np.array([[0.8, -0.72, 0, 10], [0.6, 0.96, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1.0]])

CASES = [
    pytest.param([1, 2, 3], [-1, -2, 3], id="point"),
    pytest.param([[1, 2, 3], [4, 5, 6]], [[-1, -2, 3], [-4, -5, 6]], id="points"),
    pytest.param(AFFINE, np.diag([-1.0, -1, 1, 1]) @ AFFINE, id="affine"),
    pytest.param(np.ones((4, 4, 3)), np.ones((4, 4, 3)) * [-1, -1, 1], id="4x4-points"),
]


@pytest.mark.parametrize(("vectors", "expected"), CASES)
def test_lps_from_ras(vectors, expected):
    before = np.array(vectors)
    turned = lps_from_ras(vectors)
    np.testing.assert_array_equal(turned, expected)
    np.testing.assert_array_equal(lps_from_ras(turned), before)
    np.testing.assert_array_equal(vectors, before)
    assert turned.dtype == np.float64


def test_axes_are_named_by_the_other_convention():
    """nibabel names what points to the right, to the front and upwards."""
    assert nibabel.aff2axcodes(lps_from_ras(np.eye(4))) == ("L", "P", "S")


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 4, 4)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"must have shape \(\.\.\., 3\) or \(4, 4\), got"):
        lps_from_ras(np.zeros(shape))
