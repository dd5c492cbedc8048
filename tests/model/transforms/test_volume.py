from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.volume import LoadStudyd, NormalizeStudy, NormalizeStudyd, study_batch
from scripts.utils.checks import InputError

from tests.conftest import BUNDLE
from tests.model.transforms.made_up import smooth, volume


def test_normalization_by_modality():
    ct = np.linspace(-1000, 1000, 20**3, dtype=np.float32).reshape(20, 20, 20)
    pet = np.linspace(0, 10, 20**3, dtype=np.float32).reshape(20, 20, 20)
    data = {
        "source_a": volume(ct, np.eye(4), modality="CT"),
        "source_b": volume(pet, np.eye(4), modality="PET"),
    }
    done = NormalizeStudyd(ct_window="brain", functional_max=5)(data)
    assert done["image"].shape == (2, 20, 20, 20)
    assert np.allclose(done["image"][0], (ct / 80).clip(0, 1), atol=1e-6)
    assert np.allclose(done["image"][1], (pet / 5).clip(0, 1), atol=1e-6)
    assert (done["source_a_window"], done["source_b_window"]) == ((0, 80), (0, 5))
    assert torch.equal(done["source_a"], data["source_a"])
    assert study_batch([done])["image"].shape == (1, 2, 20, 20, 20)


@pytest.mark.parametrize(
    ("window", "region", "modalities", "expected"),
    [
        pytest.param("auto", None, ("MRI", "CT"), (-20, 180), id="a head's, where nothing is known"),
        pytest.param("auto", None, ("CT", "PET"), (-160, 240), id="soft beside PET"),
        pytest.param("auto", "head", ("CT", "PET"), (-20, 180), id="a head beside PET"),
        pytest.param("auto", "spine", ("MRI", "CT"), (-500, 1500), id="spine"),
        pytest.param("lung", "head", ("CT", "PET"), (-1350, 150), id="asked for"),
    ],
)
def test_the_window_goes_by_region_and_pair(window, region, modalities, expected):
    values = np.linspace(-1000, 1000, 20**3, dtype=np.float32).reshape(20, 20, 20)
    volumes = [
        volume(np.abs(values) if m != "CT" else values, np.eye(4), modality=m, region=region) for m in modalities
    ]
    assert NormalizeStudy(window)(*volumes).meta["windows"][modalities.index("CT")] == expected


def test_normalization_of_arrays_agrees():
    data = {key: volume(smooth(), np.diag([1.0, 2, 3, 1]), modality="MRI") for key in ("a", "b")}
    image = NormalizeStudy()(data["a"], data["b"])
    done = NormalizeStudyd(("a", "b"), name="both")(data)
    assert torch.equal(done["both"], image)
    assert torch.equal(image.affine, data["a"].affine)
    assert [done["a_window"], done["b_window"]] == image.meta["windows"]


def test_nothing_in_common_is_refused():
    data = {
        "source_a": volume(smooth(), np.eye(4), modality="MRI"),
        "source_b": volume(np.zeros((30, 26, 22), np.float32), np.eye(4), modality="PET"),
    }
    with pytest.raises(InputError, match="Source B: expected structure, there is hardly any"):
        NormalizeStudyd()(data)


def test_missing_keys():
    data = {"source_a": volume(smooth(), np.eye(4), modality="MRI")}
    assert NormalizeStudyd(allow_missing_keys=True)(data)["image"].shape == (1, 30, 26, 22)
    with pytest.raises(KeyError, match="source_b"):
        NormalizeStudyd()(data)


def test_loading_the_sample():
    sample = BUNDLE / "sample_data"
    study = {"source_a": str(sample / "t1.nii.gz"), "source_b": str(sample / "ct.nii.gz"), "task": None}
    done = LoadStudyd()(study)
    assert done["task"] == "CT-MRI"
    assert (done["source_b"].meta["modality"], done["source_b"].meta["unit"]) == ("CT", "HU")
    assert done["source_a"].shape == (1, 91, 109, 91)
    assert done["source_b_file"].unit == "HU"
    assert done["source_a"].meta["region"] is None
    assert LoadStudyd(region="head")(study)["source_b"].meta["region"] == "head"


def test_a_study_that_cannot_be_loaded(tmp_path):
    study = {"source_a": str(BUNDLE / "sample_data" / "t1.nii.gz"), "source_b": str(tmp_path / "none.nii.gz")}
    with pytest.raises(InputError, match=r"none\.nii\.gz"):
        LoadStudyd()({**study, "task": "CT-MRI"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"ct_window": "liver"}, "Unsupported option 'liver'", id="window"),
        pytest.param({"functional_max": -1}, "`functional_max` must be positive", id="maximum"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        NormalizeStudyd(**arguments)


def test_an_unknown_region():
    with pytest.raises(ValueError, match="haed"):
        LoadStudyd(region="haed")
