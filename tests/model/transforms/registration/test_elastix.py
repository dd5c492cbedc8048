from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scripts.transforms.registration.elastix import deform_from, register_from
from scripts.utils.enums import RegistrationKind

from tests.model.transforms.registration.phantom import AFFINE, SHAPE, head, job, noise, volume


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


def test_a_known_deformation():
    """A wave of 6 mm; the moving head is the fixed one in another contrast, sampled where the map says."""
    index = np.indices(SHAPE).reshape(3, -1)
    points = (AFFINE @ np.r_[index, np.ones((1, index.shape[1]))]).T
    wave = lambda p: 6.0 * np.sin(2 * np.pi * p[:, [1, 2, 0]] / 140.0)  # noqa: E731
    source = points.copy()
    source[:, :3] += wave(points)
    where = (np.linalg.inv(AFFINE) @ source.T)[:3]
    moving = ndimage.map_coordinates(head("t2"), where, order=1).reshape(SHAPE)
    todo = job(volume(moving), volume(head("mr")), kind="deformable")
    found = deform_from(todo.coarse, np.eye(4), todo)
    body = points[(head("mr") > 50).ravel()][::20]
    unbent = body.copy()
    for _ in range(20):
        unbent[:, :3] = body[:, :3] - wave(unbent)
    before = np.linalg.norm(unbent - body, axis=1).mean()
    after = np.linalg.norm(unbent - found.map(body), axis=1).mean()
    assert after < 0.5 * before
    assert 0.3 < found.jacobian[0] < 1 < found.jacobian[1] < 2
