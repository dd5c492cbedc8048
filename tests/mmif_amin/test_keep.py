"""``--keep lesions`` as its users have it: command line, Python, runtimes, laws and reports."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import torch
from mmif_amin.scripts.losses.lesions import LesionLoss, plant_lesions
from mmif_amin.scripts.utils.checks import InputError
from mmif_amin.scripts.utils.enums import Keep

from mmif_amin.cli import main
from mmif_amin.fuser import load, load_torch_network
from tests.conftest import make_pair, write_gray
from tests.model.losses.test_lesions import textured


def call(*words) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def files(tmp_path):
    """Paths of an MRI and a CT."""
    mri, ct = make_pair((64, 48))[0].numpy()
    return write_gray(tmp_path / "mri.png", mri), write_gray(tmp_path / "ct.png", ct)


def test_two_pictures(tmp_path, files):
    plain, both, lesions = (tmp_path / f"{name}.png" for name in ("plain", "both", "lesions"))
    assert call("fuse", *files, "-o", plain) == 0
    assert call("fuse", *files, "-o", both, "--keep", "both") == 0
    assert call("fuse", *files, "-o", lesions, "--keep", "lesions") == 0
    assert both.read_bytes() == plain.read_bytes() != lesions.read_bytes()


def test_a_volume_and_its_report(tmp_path):
    stack = np.stack([make_pair((32, 28), seed)[0].numpy() for seed in range(17)], axis=-1)
    paths = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    for path, values in zip(paths, stack, strict=True):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    fused = []
    for keep in ("both", "lesions"):
        output = tmp_path / keep
        words = ["fuse", *paths, "-o", output, "--task", "CT-MRI", "--register", "none", "--keep", keep]
        assert call(*words) == 0
        assert json.loads((output / "report.json").read_text())["settings"]["keep"] == keep
        fused.append(nibabel.load(output / "fused.nii.gz").get_fdata())
    assert np.abs(fused[0] - fused[1]).max() > 0.01
    assert fused[1][stack.max(axis=0) == 0].max() == 0


@pytest.mark.parametrize("runtime", ["torch", "torchscript", "onnx"])
def test_every_runtime_makes_the_same(runtime):
    mri, ct = make_pair((61, 83), seed=5)[0].numpy()
    expected = load(runtime="torch", keep="lesions")(mri, ct)
    assert np.abs(load(runtime=runtime, keep="lesions")(mri, ct) - expected).max() < 1e-4
    assert np.abs(load(runtime=runtime)(mri, ct) - expected).max() > 0.01


def test_the_laws_hold():
    mri, ct = make_pair((61, 83), seed=5)[0].numpy()
    fuse = load(keep="lesions")
    fused = fuse(mri, ct)
    assert fused[np.maximum(mri, ct) == 0].max() == 0
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert np.array_equal(fuse(mri, mri), mri)


def test_it_is_not_refined(tmp_path, files, capsys):
    assert call("fuse", *files, "-o", tmp_path / "x.png", "--keep", "lesions", "--refine", "5") == 2
    assert "--refine 5: is for --keep both, got lesions. Leave one of them out." in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
    with pytest.raises(InputError, match="--refine 5"):
        load(keep="lesions", refine=5)


def test_planted_lesions_are_found_better():
    """The model observer loses less of lesions in made-up textures, of either source and of the worse one."""
    network, loss = load_torch_network(), LesionLoss()
    lost = dict.fromkeys(Keep, 0.0)
    for seed in range(6):
        pairs = plant_lesions(textured(seed), 1.0, np.random.default_rng(seed))
        stack = torch.cat([pairs.image, pairs.with_a, pairs.with_b])
        for keep in Keep:
            with torch.inference_mode():
                lost[keep] += loss(network(stack, torch.tensor([keep.condition])), pairs).item()
    assert lost[Keep.LESIONS] < lost[Keep.BOTH] - 0.6


def test_an_unknown_wish_is_refused(tmp_path, files, capsys):
    with pytest.raises(SystemExit, match="2"):
        call("fuse", *files, "-o", tmp_path / "x.png", "--keep", "everything")
    assert "--keep" in capsys.readouterr().err
