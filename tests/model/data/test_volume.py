from __future__ import annotations

import numpy as np
import pytest
from scripts.data.volume import Volume

OBLIQUE = np.array([[0.8, -0.72, 0, 10], [0.6, 0.96, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("affine", "spacing"),
    [
        pytest.param(np.eye(4), [1, 1, 1], id="identity"),
        pytest.param(np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1]]), [1.5, 2, 3], id="axes"),
        pytest.param(OBLIQUE, [1, 1.2, 3], id="oblique"),
    ],
)
def test_spacing(affine, spacing):
    np.testing.assert_allclose(Volume(np.zeros((2, 2, 2), np.float32), affine).spacing, spacing)


def test_what_a_file_does_not_say():
    volume = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    assert (volume.modality, volume.unit, volume.notes, volume.headers) == (None, "arbitrary", (), ())
