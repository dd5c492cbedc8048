from __future__ import annotations

from dataclasses import replace

import itk
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scripts.transforms.registration import transform as registration
from scripts.transforms.registration.transform import (
    RegisterToMatch,
    RegisterToMatchd,
    Registration,
    normalized_mutual_information,
)
from scripts.utils.checks import InputError

FOUND = Registration("rigid", np.eye(4).tolist(), [0] * 3, [0] * 3, 1.1, 1.2, 1.0, 0.0, 0.5, 1.0)
SHAPE = (48, 56, 44)
AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -110], [0, 0, 4, -80], [0, 0, 0, 1]])


def head(contrast: str, table: bool = False) -> np.ndarray:
    """A made-up head: scalp, skull, brain, ventricles and a lesion, in the contrast of T1, T2 or a CT in HU."""
    x, y, z = (
        (axis - (n - 1) / 2) / (n / 2) for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True)
    )
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.85) ** 2 + (z / 0.8) ** 2)
    ventricle = ((x - 0.05) / 0.12) ** 2 + ((y + 0.1) / 0.3) ** 2 + (z / 0.15) ** 2 < 1
    lesion = (x + 0.35) ** 2 + (y - 0.3) ** 2 + (z - 0.2) ** 2 < 0.03
    levels = {"mr": (0, 60, 10, 160, 40, 230), "ct": (-1000, 40, 1100, 35, 8, 70), "t2": (0, 90, 5, 100, 240, 170)}[
        contrast
    ]
    parts = [radius < 1, radius < 0.9, radius < 0.78, ventricle, lesion]
    values = np.full(SHAPE, levels[0], dtype=np.float32)
    for part, level in zip(parts, levels[1:], strict=True):
        values[part] = level
    values = ndimage.gaussian_filter(values, 0.7)
    values += np.random.default_rng(len(contrast)).normal(0, 3, SHAPE) * (radius < 1)
    if table:
        values[:, 2:4, :] = 300
    return values.astype(np.float32)


def volume(values: np.ndarray, affine: np.ndarray = AFFINE) -> MetaTensor:
    return MetaTensor(torch.from_numpy(values[None].copy()), affine=torch.from_numpy(affine.copy()))


def displaced(values: np.ndarray, degrees: tuple, millimetres: tuple) -> tuple[MetaTensor, np.ndarray]:
    """A displaced copy in the old geometry, and the true map from the old world to it."""
    back = np.eye(4)
    back[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    center = (AFFINE @ np.r_[(np.array(SHAPE) - 1) / 2, 1])[:3]
    back[:3, 3] = center - back[:3, :3] @ center + millimetres
    index = np.linalg.inv(AFFINE) @ back @ AFFINE
    moved = ndimage.affine_transform(values, index[:3, :3], index[:3, 3], order=1, cval=float(values.min()))
    return volume(moved), np.linalg.inv(back)


def error(found: Registration, truth: np.ndarray) -> float:
    """Mean distance, mm, over the head."""
    index = np.argwhere(head("mr") > 50)[::20]
    points = np.c_[index, np.ones(len(index))] @ AFFINE.T
    return float(np.linalg.norm(points @ (np.array(found.matrix) - truth).T, axis=1).mean())


@pytest.fixture(scope="module")
def displaced_ct():
    """A CT with a table, displaced, and the truth."""
    return displaced(head("ct", table=True), (8, -10, 6), (12, -9, 10))


@pytest.fixture(scope="module")
def found(displaced_ct):
    return RegisterToMatch(seed=3).estimate(displaced_ct[0], volume(head("mr")))


def test_known_truth(found, displaced_ct):
    assert error(found, displaced_ct[1]) < 1.0  # a quarter of a voxel
    assert found.before < found.after
    assert found.spread_mm < 0.5
    assert found.to_dict()["metric"] == "normalized mutual information"


def test_the_same_seed_gives_the_same_transform(found, displaced_ct):
    again = RegisterToMatch(seed=3).estimate(displaced_ct[0], volume(head("mr")))
    assert np.allclose(again.matrix, found.matrix, atol=1e-9)


def test_far_apart_frames():
    """Origins a metre apart, as between two scanners: the centres of mass are the start."""
    shift = np.eye(4)
    shift[:3, 3] = [40, -30, 1100]
    found = RegisterToMatch().estimate(volume(head("ct"), shift @ AFFINE), volume(head("mr")))
    assert error(found, shift) < 1.0


def test_affine():
    stretch = np.diag([1.06, 0.95, 1.0, 1.0])
    found = RegisterToMatch("affine").estimate(volume(head("t2"), stretch @ AFFINE), volume(head("mr")))
    assert error(found, stretch) < 1.0


def test_inverse_restores_the_affine():
    fixed, moving = volume(head("mr")), volume(head("ct"), np.diag([1.0, 1, 1, 1]) @ AFFINE)
    moving.affine[:3, 3] += 6
    data = {"fixed": fixed, "moving": moving}
    register = Compose([RegisterToMatchd("moving", "fixed", kind="rigid")])
    result = register(data)
    assert torch.equal(result["moving"].as_tensor(), moving.as_tensor())
    assert np.abs(result["moving"].affine.numpy() - AFFINE).max() < 1.5
    assert result["moving_unregistered"] is moving
    assert np.allclose(register.inverse(result)["moving"].affine, moving.affine, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "frames", "registered"),
    [
        pytest.param("none", ("1.2", "1.3"), False, id="none"),
        pytest.param("auto", ("1.2", "1.2"), False, id="one frame of reference"),
        pytest.param("auto", ("1.2", "1.3"), True, id="two frames of reference"),
        pytest.param("rigid", ("1.2", "1.2"), True, id="asked for"),
    ],
)
def test_when_it_registers(monkeypatch, kind, frames, registered):
    monkeypatch.setattr(RegisterToMatch, "estimate", lambda *_: FOUND)
    moved = AFFINE.copy()
    moved[0, 3] += 5
    data = {"a": volume(head("mr")), "b": volume(head("ct"), moved)}
    for key, frame in zip("ab", frames, strict=True):
        data[key].meta["frame_of_reference"] = frame
    result = RegisterToMatchd("b", "a", kind=kind)(data)
    assert result["b_registration"] == (FOUND if registered else None)


def test_one_grid_is_taken_as_registered():
    data = {"a": volume(head("mr")), "b": volume(head("ct"))}
    assert RegisterToMatchd("b", "a")(data)["b_registration"] is None


def test_transform_file_is_read_by_itk(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [10, -20, 5], degrees=True).as_matrix()
    matrix[:3, 3] = [3, -4, 5]
    found = replace(FOUND, matrix=matrix.tolist())
    transform = itk.transformread(str(found.write(tmp_path / "registration.tfm")))[0]
    ras = np.array([12.0, -30.0, 44.0])
    there = np.array(transform.TransformPoint((ras * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    assert np.allclose(there, matrix[:3, :3] @ ras + matrix[:3, 3], atol=1e-6)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 30, SHAPE).astype(np.float32)


@pytest.mark.parametrize(
    ("moving", "message"),
    [
        pytest.param(lambda: volume(noise(1)), "expected a plausible alignment", id="noise"),
        pytest.param(lambda: displaced(head("ct"), (0, 0, 120), (0, 0, 0))[0], "plausible alignment", id="turned far"),
        pytest.param(lambda: volume(np.full(SHAPE, -1000.0, np.float32)), "is constant", id="air"),
        pytest.param(lambda: volume(np.full(SHAPE, 7.0, np.float32)), "the moving image is constant", id="constant"),
        pytest.param(lambda: volume(head("ct")[:, :, :2]), r"at least 4 voxels.*\(48, 56, 2\)", id="two slices"),
    ],
)
def test_refused(moving, message):
    with pytest.raises(InputError, match=message):
        RegisterToMatch().estimate(moving(), volume(head("mr")))


@pytest.mark.parametrize(
    ("change", "turned", "stretch", "message"),
    [
        pytest.param({}, 60, 1.0, "it turns by 60 degrees", id="turned"),
        pytest.param({}, 0, 1.5, "it stretches by 1.50 to 1.50", id="stretched"),
        pytest.param({"overlap": 0.2}, 0, 1.0, "only 20% of the heads overlap", id="apart"),
        pytest.param({"spread_mm": float("inf")}, 0, 1.0, "other starts end inf mm away", id="a restart failed"),
        pytest.param({"after": 1.1}, 0, 1.0, "the metric fell from 1.2000 to 1.1000", id="worse"),
        pytest.param({"gain": 0.001}, 0, 1.0, "a 10 mm shift costs 0.1% of the metric", id="flat"),
    ],
)
def test_each_limit(change, turned, stretch, message):
    found = replace(FOUND, **{"before": 1.2, "after": 1.3, **change})
    rotation = Rotation.from_euler("z", turned, degrees=True).as_matrix()
    with pytest.raises(InputError, match=message):
        RegisterToMatch()._check(found, rotation, np.full(3, stretch))
    RegisterToMatch()._check(replace(FOUND, before=1.2, after=1.3), np.eye(3), np.ones(3))


def test_limits_by_name():
    register = RegisterToMatchd("b", "a", limits={"rotation": 90})
    assert register.register.limits.rotation == 90


def test_time_limit():
    with pytest.raises(InputError, match="not done after 0.01 s, stopped"):
        RegisterToMatch(time_limit=0.01).estimate(volume(head("ct")), volume(head("mr")))


def test_a_worker_that_dies_is_one_clear_error(monkeypatch, tmp_path):
    (tmp_path / "worker.py").write_text("raise SystemExit('no elastix here')")
    monkeypatch.setattr(registration, "WORKER", tmp_path / "worker.py")
    with pytest.raises(InputError, match="ended by itself: no elastix here"):
        RegisterToMatch().estimate(volume(head("ct")), volume(head("mr")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"kind": "rigit"}, "did you mean 'rigid'", id="kind"),
        pytest.param({"start": "middle"}, "Unsupported option 'middle'|'middle' is not a valid value", id="start"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegisterToMatch(**arguments)


def test_shape_is_checked():
    with pytest.raises(ValueError, match=r"shape \(1, X, Y, Z\)"):
        RegisterToMatch().estimate(torch.zeros(4, 4, 4), torch.zeros(4, 4, 4))


def test_normalized_mutual_information():
    """By hand: equal images 2, independent ones 1, and (2 + 1) / 2 where one bit of two is shared."""
    a = np.repeat([0.0, 1.0, 2.0, 3.0], 100)
    assert normalized_mutual_information(a, a) == pytest.approx(2.0)
    assert normalized_mutual_information(a, np.tile([0.0, 1.0], 200)) == pytest.approx(1.0)
    assert normalized_mutual_information(a, a // 2) == pytest.approx((2 + 1) / 2)
    assert normalized_mutual_information(a, np.zeros(400)) == pytest.approx(1.0)
