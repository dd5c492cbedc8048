from __future__ import annotations

import itk
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage
from scripts.data.volume import Volume
from scripts.transforms.registration.plausibility import REGION_LIMITS, Limits
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.transform import RegisterToMatch, RegisterToMatchd
from scripts.transforms.registration.transform_file import read_transform
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
    assert (figures["method"], figures["beyond_limits"], figures["deformed"]) == ("whole", [], None)


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
    reason = {"none": "--register none", "auto": "same frame of reference"}[kind] if not registered else "registered"
    assert result["b_alignment"].reason == reason
    assert result["b_alignment"].value > 1


def test_one_grid_is_taken_as_registered():
    data = {"a": volume(head("mr")), "b": volume(head("ct"))}
    result = RegisterToMatchd("b", "a")(data)
    assert result["b_registration"] is None
    assert result["b_alignment"].reason == "same grid"
    assert result["b_alignment"].warning is None
    assert result["b_alignment"].peak >= result["b_alignment"].value


@pytest.mark.parametrize("reason", ["same grid", "same frame of reference", "--register none"])
def test_what_lies_wrong_is_not_fused_in_silence(reason):
    """A shift of 20 mm that the files deny."""
    moving, _ = displaced(head("ct"), (0, 0, 0), (0, 20, 0))
    fixed = volume(head("mr"))
    if reason == "same frame of reference":
        fixed, moving.meta["frame_of_reference"] = volume(head("mr")[:, :, 2:]), "1.2"
        fixed.affine[2, 3] += 8
        fixed.meta["frame_of_reference"] = "1.2"
    data = {"a": fixed, "b": moving, "b_file": Volume(moving.numpy()[0], AFFINE)}
    result = RegisterToMatchd("b", "a", kind="none" if reason.startswith("--") else "auto")(data)
    warning = result["b_alignment"].warning
    assert f"not registered ({reason}), but the two agree better" in warning
    assert 15 < result["b_alignment"].peak_away_mm < 25
    assert result["b_file"].notes == (warning,)


def test_too_small_to_measure():
    data = {"a": volume(head("mr")[:, :, :2]), "b": volume(head("ct")[:, :, :2])}
    alignment = RegisterToMatchd("b", "a")(data)["b_alignment"]
    assert alignment.value is None
    assert "could not be measured: Registration: expected at least 4 voxels" in alignment.warning


def test_a_transform_file_takes_the_place_of_a_registration(found, displaced_ct, tmp_path):
    found.write(tmp_path / "t.tfm")
    data = {"a": volume(head("mr")), "b": displaced_ct[0]}
    result = RegisterToMatchd("b", "a", transform=str(tmp_path / "t.tfm"))(data)
    assert np.allclose(result["b_registration"].matrix, found.matrix, atol=1e-6)
    assert result["b_registration"].kind == "transform file"
    assert result["b_registration"].spread_mm is None
    assert result["b_registration"].after == pytest.approx(found.after, abs=1e-3)
    assert result["b_alignment"].reason == "transform file"
    assert result["b_alignment"].warning is None
    assert result["b_unregistered"] is data["b"]


def test_a_transform_file_and_a_registration():
    with pytest.raises(InputError, match="--transform: takes the place of a registration, got --register rigid"):
        RegisterToMatchd("b", "a", kind="rigid", transform="t.tfm")


def test_a_registration_is_accepted_beyond_its_limits(tmp_path):
    """It is marked in the registration, in the notes of the source and in the transform file, which ITK reads."""
    moving, _ = displaced(head("ct"), (8, -10, 6), (12, -9, 10))
    data = {"a": volume(head("mr")), "b": moving, "b_file": Volume(moving.numpy()[0], AFFINE)}
    asked = {"kind": "rigid", "start": "center_of_mass", "limits": {"rotation": 5.0}}
    with pytest.raises(InputError, match=r"it turns by 15 degrees \(limit 5\).*--accept-registration"):
        RegisterToMatchd("b", "a", **asked)(data)
    result = RegisterToMatchd("b", "a", **asked, accept_registration=True)(data)
    (broken,) = result["b_registration"].beyond_limits
    assert broken == "it turns by 15 degrees (limit 5)"
    assert result["b_file"].notes == (f"registration accepted beyond the limits: {broken}",)
    assert result["b_registration"].to_dict()["beyond_limits"] == [broken]
    path = result["b_registration"].write(tmp_path / "t.tfm")
    assert path.read_text().splitlines()[1] == f"# registration accepted beyond the limits: {broken}"
    assert np.allclose(read_transform(path, (None, None)), result["b_registration"].matrix)


def test_limits_go_by_the_region():
    register = RegisterToMatch(limits={"overlap": 0.4})
    thigh = volume(head("mr"))
    thigh.meta["region"] = "extremity"
    assert register.limits_for(thigh) == Limits(**{**REGION_LIMITS["extremity"], "overlap": 0.4})
    assert register.limits_for(volume(head("mr"))) == Limits(overlap=0.4)


def test_deformable():
    """A wave of 6 mm on the grid of the study; the old volume is kept."""
    index = np.indices(SHAPE).reshape(3, -1)
    points = (AFFINE @ np.r_[index, np.ones((1, index.shape[1]))]).T
    source = points.copy()
    source[:, :3] += 6.0 * np.sin(2 * np.pi * points[:, [1, 2, 0]] / 140.0)
    where = (np.linalg.inv(AFFINE) @ source.T)[:3]
    moving = volume(ndimage.map_coordinates(head("t2"), where, order=1).reshape(SHAPE))
    fixed, grid = volume(head("mr")), volume(np.zeros(SHAPE, np.float32))
    register = RegisterToMatchd("b", "a", kind="deformable")
    result = register({"a": fixed, "b": moving, "grid": grid})
    apart = {
        name: float(np.abs(values - head("t2"))[head("mr") > 50].mean())
        for name, values in (("before", moving.numpy()[0]), ("after", result["b"].numpy()[0]))
    }
    assert apart["after"] < 0.6 * apart["before"]
    figures = result["b_registration"].to_dict()["deformed"]
    assert 5 < figures["mean_mm"] < 10  # 6 mm along each axis at most
    assert figures["least_jacobian"] > 0.3
    assert torch.equal(register.inverse(result)["b"], moving)


def test_missing_keys():
    data = {"a": volume(head("mr"))}
    assert RegisterToMatchd("b", "a", allow_missing_keys=True)(data) == data
    with pytest.raises(KeyError, match="b"):
        RegisterToMatchd("b", "a")(data)


@pytest.mark.parametrize(
    ("moving", "start", "message"),
    [
        pytest.param(lambda: volume(noise(1)), "best", "expected a plausible alignment", id="noise, by all methods"),
        pytest.param(
            lambda: displaced(head("ct"), (0, 0, 120), (0, 0, 0))[0], "center", "plausible alignment", id="turned far"
        ),
        pytest.param(
            lambda: volume(np.full(SHAPE, 7.0, np.float32)), "best", "the moving image is constant", id="constant"
        ),
    ],
)
def test_refused(moving, start, message):
    with pytest.raises(InputError, match=message):
        RegisterToMatch(start=start, search=SearchSettings(elastix_iterations=60)).estimate(
            moving(), volume(head("mr"))
        )


def test_figures_by_name():
    register = RegisterToMatchd("b", "a", limits={"rotation": 90}, search={"fine_levels": [3, 1.5]}).register
    assert register.limits_for(volume(head("mr"))).rotation == 90
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
        RegisterToMatch().estimate(*(MetaTensor(torch.zeros(4, 4, 4)),) * 2)
