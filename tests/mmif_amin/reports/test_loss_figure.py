"""What ``mmif-amin fuse --loss-map`` writes."""

from __future__ import annotations

import json

import nibabel
import numpy as np
from PIL import Image

from mmif_amin.cli import main
from mmif_amin.reports.loss_figure import write_loss_figure
from tests.conftest import BUNDLE, make_pair, write_gray


def test_figure_shows_what_it_is_given(tmp_path):
    a, b = make_pair((64, 61))[0].numpy()
    black, white = np.zeros((2, 64, 61)), np.ones((2, 64, 61))
    files = [
        write_loss_figure(tmp_path / "folder" / f"{name}.png", [a, b, np.maximum(a, b)], maps, [0.1, 0.9])
        for name, maps in (("none", black), ("all", white))
    ]
    pictures = [np.asarray(Image.open(file).convert("L")).astype(float) for file in files]
    assert pictures[0].shape == pictures[1].shape
    assert pictures[1].mean() > pictures[0].mean() + 20


def test_fuse_writes_picture_and_summary(tmp_path):
    a, b = make_pair((64, 61))[0].numpy()
    paths = write_gray(tmp_path / "a.png", a), write_gray(tmp_path / "b.png", b)
    assert main(["fuse", *map(str, paths), "-o", str(tmp_path / "f.png"), "--loss-map"]) == 0
    facts = json.loads((tmp_path / "f_loss.json").read_text())
    assert set(facts) == {"fused", "lost_of_source_a", "lost_of_source_b"}
    assert np.asarray(Image.open(tmp_path / "f_loss.png")).std() > 10


def test_fuse_writes_maps_of_volumes(tmp_path):
    sample, out = BUNDLE / "sample_data", tmp_path / "out"
    words = ["fuse", sample / "t1.nii.gz", sample / "ct.nii.gz", "-o", out, "--loss-map"]
    assert main([str(word) for word in words]) == 0
    fused, lost = nibabel.load(out / "fused.nii.gz"), nibabel.load(out / "loss_a.nii.gz")
    assert lost.shape == fused.shape
    assert np.allclose(lost.affine, fused.affine)
    assert 0 <= lost.get_fdata().min() <= lost.get_fdata().max() <= 1
