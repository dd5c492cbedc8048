from __future__ import annotations

import itk
import numpy as np
import pytest
import torch
from monai.transforms import Compose
from scripts.transforms.registration.transform import RegisterToMatch, RegisterToMatchd
from scripts.utils.checks import InputError

from tests.model.transforms.registration.phantom import AFFINE, FOUND, SHAPE, displaced, error, head, noise, volume


@pytest.fixture(scope="module")
def displaced_ct():
    """A CT with a table, displaced, and the truth."""
    return displaced(head("ct", table=True), (8, -10, 6), (12, -9, 10))


@pytest.fixture(scope="module")
def found(displaced_ct):
    return RegisterToMatch(seed=3).estimate(displaced_ct[0], volume(head("mr")))


def test_known_truth(found, displaced_ct):
    assert error(found.matrix, displaced_ct[1]) < 1.0  # a quarter of a voxel
    assert found.before < found.after
    assert found.spread_mm < 0.5


def test_figures_for_the_report(found):
    figures = found.to_dict()
    assert figures["metric"] == "normalized mutual information"
    assert figures["matrix"] == found.matrix
    assert "itk_text" not in figures


def test_the_same_seed_gives_the_same_transform(found, displaced_ct):
    again = RegisterToMatch(seed=3).estimate(displaced_ct[0], volume(head("mr")))
    assert np.allclose(again.matrix, found.matrix, atol=1e-9)


def test_far_apart_frames():
    """Origins a meter apart, as between two scanners: the centers of mass are the start."""
    shift = np.eye(4)
    shift[:3, 3] = [40, -30, 1100]
    found = RegisterToMatch().estimate(volume(head("ct"), shift @ AFFINE), volume(head("mr")))
    assert error(found.matrix, shift) < 1.0


def test_affine():
    stretch = np.diag([1.06, 0.95, 1.0, 1.0])
    found = RegisterToMatch("affine").estimate(volume(head("t2"), stretch @ AFFINE), volume(head("mr")))
    assert error(found.matrix, stretch) < 1.0


def test_transform_file_is_read_by_itk(found, tmp_path):
    transform = itk.transformread(str(found.write(tmp_path / "registration.tfm")))[0]
    ras = np.array([12.0, -30.0, 44.0])
    there = np.array(transform.TransformPoint((ras * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    assert np.allclose(there, (np.array(found.matrix) @ np.r_[ras, 1])[:3], atol=1e-9)


def test_a_transform_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        FOUND.write(tmp_path / "file" / "registration.tfm")


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


def test_missing_keys():
    data = {"a": volume(head("mr"))}
    assert RegisterToMatchd("b", "a", allow_missing_keys=True)(data) == data
    with pytest.raises(KeyError, match="b"):
        RegisterToMatchd("b", "a")(data)


@pytest.mark.parametrize(
    ("moving", "message"),
    [
        pytest.param(lambda: volume(noise(1)), "expected a plausible alignment", id="noise"),
        pytest.param(lambda: displaced(head("ct"), (0, 0, 120), (0, 0, 0))[0], "plausible alignment", id="turned far"),
        pytest.param(lambda: volume(np.full(SHAPE, 7.0, np.float32)), "the moving image is constant", id="constant"),
    ],
)
def test_refused(moving, message):
    with pytest.raises(InputError, match=message):
        RegisterToMatch().estimate(moving(), volume(head("mr")))


def test_figures_by_name():
    register = RegisterToMatchd("b", "a", limits={"rotation": 90}, search={"fine_levels": [3, 1.5]}).register
    assert register.limits.rotation == 90
    assert register.search.fine_levels == [3, 1.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"kind": "rigit"}, "did you mean 'rigid'", id="kind"),
        pytest.param({"start": "middle"}, "Unsupported option 'middle'|'middle' is not a valid value", id="start"),
        pytest.param({"limits": {"rotatoin": 9}}, "did you mean 'rotation'", id="a limit"),
        pytest.param({"search": {"sample": 9}}, "did you mean 'samples'", id="a setting"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegisterToMatchd("b", "a", **arguments)


def test_bad_options_of_the_array_version():
    with pytest.raises(ValueError, match="did you mean 'rigid'"):
        RegisterToMatch(kind="rigit")
    with pytest.raises(ValueError, match="'middle'"):
        RegisterToMatch(start="middle")


def test_shape_is_checked():
    with pytest.raises(ValueError, match=r"shape \(1, X, Y, Z\)"):
        RegisterToMatch().estimate(torch.zeros(4, 4, 4), torch.zeros(4, 4, 4))
