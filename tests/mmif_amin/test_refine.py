"""``--refine`` as its users have it: command line, Python and reports."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import torch
from mmif_amin.scripts.inferers.runtimes import load_network
from mmif_amin.scripts.utils.checks import InputError
from PIL import Image

from mmif_amin.cli import main
from mmif_amin.fuser import Fuser, load
from tests.conftest import make_pair, write_gray

SHAPE = (32, 28, 17)


@pytest.fixture
def files(tmp_path):
    """Paths of an MRI and a CT."""
    mri, ct = make_pair((64, 48))[0].numpy()
    return write_gray(tmp_path / "mri.png", mri), write_gray(tmp_path / "ct.png", ct)


@pytest.fixture
def volumes(tmp_path):
    """Paths of two volumes on one grid; the last slice is black in both."""
    stack = np.stack([make_pair(SHAPE[:2], seed)[0].numpy() for seed in range(SHAPE[2])], axis=-1)
    stack[..., -1] = 0
    paths = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    for path, values in zip(paths, stack, strict=True):
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 3, 1])), path)
    return paths


def call(*words) -> int:
    return main([str(word) for word in words])


def test_two_pictures(tmp_path, files, capsys):
    plain, none, refined, again = (tmp_path / f"{name}.png" for name in ("plain", "none", "refined", "again"))
    assert call("fuse", *files, "-o", plain) == 0
    assert call("fuse", *files, "-o", none, "--refine", "0") == 0
    assert none.read_bytes() == plain.read_bytes()
    assert "refined" not in capsys.readouterr().out.replace("refined.png", "")
    assert call("fuse", *files, "-o", refined, "--refine", "6") == 0
    path, told = capsys.readouterr().out.splitlines()
    assert path == str(refined)
    assert told.startswith("refined with 6 steps: loss 0.")
    before, after = (float(word.strip(",")) for word in told.split()[5:8:2])
    assert after < before
    assert call("fuse", *files, "-o", again, "--refine", "6") == 0
    assert again.read_bytes() == refined.read_bytes() != plain.read_bytes()
    black = np.maximum(*(np.asarray(Image.open(file)) for file in files)) == 0
    assert np.asarray(Image.open(refined))[black].max() == 0


def test_two_folders_in_color(tmp_path, harvard_like, capsys):
    folder = harvard_like / "PET-MRI"
    assert call("fuse", folder / "MRI", folder / "PET", "-o", tmp_path / "out", "--refine", "2") == 0
    printed = capsys.readouterr()
    assert "refined with 2 steps: loss" in printed.out
    assert "5 fused" in printed.out
    assert "fusing: 100%" in printed.err
    assert np.asarray(Image.open(tmp_path / "out" / "1001.png")).shape == (64, 64, 3)


@pytest.mark.parametrize("axes", ["best", "all"])
def test_a_study(tmp_path, volumes, capsys, axes):
    common = (*volumes, "--task", "CT-MRI", "--axes", axes)
    for name, steps in (("plain", "0"), ("refined", "3")):
        assert call("fuse", *common, "-o", tmp_path / name, "--refine", steps) == 0
    printed = capsys.readouterr()
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("plain", "refined")]
    assert reports[0]["refinement"] is None
    figures = reports[1]["refinement"]
    assert figures["steps"] == 3
    assert figures["images"] == 16 if axes == "best" else figures["images"] > 60
    assert figures["loss_after"] < figures["loss_before"]
    assert f"refining {figures['images']} slices with 3 steps each will take about" in printed.err
    assert "refined with 3 steps: loss" in printed.out
    fused = [nibabel.load(tmp_path / name / "fused.nii.gz").get_fdata() for name in ("plain", "refined")]
    assert np.abs(fused[1] - fused[0]).max() > 0.01
    black = np.maximum(*(nibabel.load(path).get_fdata() for path in volumes)) == 0
    assert fused[1][black].max() == 0
    assert 0 <= fused[1].min() <= fused[1].max() <= 1


def test_many_studies(tmp_path, volumes, capsys):
    for letter, path in zip("ab", volumes, strict=True):
        for case in ("1", "2"):
            target = tmp_path / letter / f"{case}.nii.gz"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    words = (tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", "--task", "CT-MRI", "--refine", "2")
    assert call("fuse", *words) == 0
    found = [json.loads((tmp_path / "out" / case / "report.json").read_text())["refinement"] for case in "12"]
    assert [(each["steps"], each["images"]) for each in found] == [(2, 16), (2, 16)]  # each study counts its own
    table = tmp_path / "studies.csv"
    table.write_text(f"name,source_a,source_b,task\none,{volumes[0]},{volumes[1]},CT-MRI\n")
    assert call("batch", table, "-o", tmp_path / "night", "--refine", "2") == 0
    assert json.loads((tmp_path / "night" / "one" / "report.json").read_text())["refinement"]["steps"] == 2


@pytest.mark.parametrize("steps", ["-1", "2.5", "many", "", "10001"])
@pytest.mark.parametrize("kind", ["pictures", "volumes"])
def test_bad_numbers_are_refused(tmp_path, files, volumes, capsys, steps, kind):
    """Exit code 2, and what was wrong in the last line; nothing is written."""
    sources = files if kind == "pictures" else volumes
    out = tmp_path / ("out.png" if kind == "pictures" else "out")
    try:
        code = call("fuse", *sources, "-o", out, "--task", "CT-MRI", f"--refine={steps}")
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code == 2
    assert "refine: expected a whole number" in printed.err.splitlines()[-1]
    assert printed.out == ""
    assert not out.exists()


@pytest.mark.parametrize("runtime", ["onnx", "torchscript", "torch"])
def test_every_runtime_is_refined_in_torch(runtime, pair):
    a, b = pair[0].numpy()
    fuser = load(runtime=runtime, refine=4)
    assert np.abs(fuser(a, b) - load(runtime="torch", refine=4)(a, b)).max() < 0.01
    assert fuser.refinement.report().loss_after < fuser.refinement.report().loss_before
    plain = load(runtime=runtime)
    assert plain.refinement is None
    assert np.array_equal(load(runtime=runtime, refine=0)(a, b), plain(a, b))
    assert np.array_equal(fuser(a, a), plain(a, a))


def test_half_precision_of_the_network_too(pair):
    a, b = pair[0].numpy()
    fused = load(precision="bfloat16", refine=3)(a, b)
    assert fused.dtype == np.float32
    assert (fused[(a == 0) & (b == 0)] == 0).all()


def test_kinds_of_images(pair):
    """8 bit, tensors and colors; the luminance of the colored image is that of the gray one."""
    fuser, (a, b) = load(refine=3), pair[0].numpy()
    gray = fuser(a, b)
    assert torch.equal(fuser(pair[0, 0], pair[0, 1]), torch.from_numpy(gray))
    assert fuser(*(np.rint(x * 255).astype(np.uint8) for x in (a, b))).dtype == np.uint8
    assert fuser(a, np.stack([b, 0.5 * b, 0 * b])).shape == (96, 96, 3)


def test_a_volume_is_its_slices(pair):
    a, b = (np.stack([make_pair((32, 40), s)[0, k].numpy() for s in range(3)], axis=2) for k in (0, 1))
    fuser = load(runtime="torch", refine=3)
    volume = fuser.fuse_volume(a, b)
    assert np.abs(volume[..., 2] - fuser(a[..., 2], b[..., 2])).max() < 1e-6
    assert fuser.refinement.report().images == 4


def test_a_network_of_the_user(pair):
    class Mean(torch.nn.Module):
        def forward(self, image):
            return image.mean(dim=1, keepdim=True)

    a, b = pair[0].numpy()
    fuser = Fuser(Mean(), refine=10)
    assert np.abs(fuser(a, b) - (a + b) / 2).max() > 0.01
    assert np.allclose(fuser(a, a), a, atol=1e-7)
    with pytest.raises(InputError, match="refine: expected a whole number from 0 to 10000, got -3"):
        Fuser(Mean(), refine=-3)


def test_large_pictures_in_tiles():
    a, b = make_pair((40, 900))[0].numpy()
    fuser = load(runtime="torch", refine=2)
    fused = fuser(a, b)
    assert fuser.refinement.report().images == 2  # tiles
    assert (fused[(a == 0) & (b == 0)] == 0).all()
    assert 0 < np.abs(fused - load(runtime="torch")(a, b)).mean() < 0.02


def test_the_network_s_own_image_is_where_it_begins(pair):
    """One step of no length changes nothing, to the bit, whatever image the network made."""
    network = load_network(lambda: load(runtime="torch").network)
    a, b = pair[0].numpy()
    fuser = Fuser(network, refine=1)
    fuser.refinement.learning_rate = 1e-30
    assert np.array_equal(fuser(a, b), Fuser(network)(a, b))
