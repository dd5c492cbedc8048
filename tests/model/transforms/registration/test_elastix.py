from __future__ import annotations

import itk
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.transforms.registration.elastix import itk_transform_text, register_from
from scripts.utils.enums import RegistrationKind

from tests.model.transforms.registration.phantom import SHAPE, job, noise, volume


def test_transform_text_is_read_by_itk(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [10, -20, 5], degrees=True).as_matrix()
    matrix[:3, 3] = [3, -4, 5]
    (tmp_path / "registration.tfm").write_text(itk_transform_text(matrix))
    transform = itk.transformread(str(tmp_path / "registration.tfm"))[0]
    ras = np.array([12.0, -30.0, 44.0])
    there = np.array(transform.TransformPoint((ras * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    assert np.allclose(there, matrix[:3, :3] @ ras + matrix[:3, 3], atol=1e-9)


def test_a_start_without_overlap_fails_alone():
    todo = job(volume(noise(1)), volume(noise(2)))
    away = np.eye(4)
    away[:3, 3] = 5000
    with pytest.raises(RuntimeError, match="it failed from every start"):
        register_from(todo.coarse, [away], RegistrationKind.RIGID, (8.0,), todo)
    first, second = register_from(todo.coarse, [away, np.eye(4)], RegistrationKind.RIGID, (8.0,), todo)
    assert first is None
    assert second.shape == (4, 4)
    assert todo.coarse[0].values.shape == SHAPE
