from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts.cli import main
from scripts.data.datalist import fusion_datalist
from scripts.inferers.fuser import load
from scripts.inferers.loss_map import load_loss_mapper
from scripts.transforms.io import LoadSourced
from scripts.utils.checks import InputError
from scripts.utils.filters import filter_same, gaussian_kernel
from sklearn.metrics import roc_auc_score

from ..conftest import BUNDLE, make_pair, write_gray

STRUCTURE = 0.05**2  # variance of a window, squared fraction of white: only where there was something can it be erased


@pytest.fixture(scope="module")
def mapper():
    return load_loss_mapper()


@pytest.fixture(scope="module")
def fuser():
    return load()


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    import torch

    kernel = gaussian_kernel(6 * int(sigma) + 1, sigma)
    return filter_same(torch.from_numpy(image)[None, None], kernel)[0, 0].numpy()


def planted(fuser, mapper, pair: np.ndarray, source: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Erase a disk of one source before fusing; the loss maps, and where the disk was, at places with structure."""
    height, width = pair.shape[1:]
    variance = blurred(pair[source] ** 2, 2.5) - blurred(pair[source], 2.5) ** 2
    structured = variance > STRUCTURE
    y, x = np.mgrid[:height, :width]
    centres = np.argwhere(structured)
    cy, cx = centres[np.random.default_rng(seed).integers(len(centres))]
    disk = np.hypot(y - cy, x - cx) < 0.07 * (height + width)
    erased = pair.copy()
    erased[source] = np.where(disk, blurred(pair[source], 12.0), pair[source])
    fused = fuser.run(erased[:1], erased[1:])
    maps, _ = mapper(fused, pair[:1], pair[1:])
    return maps[:, 0], disk, structured


def pairs() -> list[np.ndarray]:
    """Eight slices of the embedded sample."""
    loader = LoadSourced()
    items = fusion_datalist(BUNDLE / "sample_data", "validation")
    return [np.concatenate([np.asarray(d["source_a"]), np.asarray(d["source_b"])]) for d in map(loader, items[::2])]


def auc_of_erasures(fuser, mapper, images: list[np.ndarray], source: int) -> float:
    scores, labels = [], []
    for seed, image in enumerate(images):
        maps, disk, structured = planted(fuser, mapper, image, source, seed)
        scores.append(maps[source][structured])
        labels.append(disk[structured])
    return roc_auc_score(np.concatenate(labels), np.concatenate(scores))


@pytest.mark.parametrize("source", [0, 1], ids=["source_a", "source_b"])
def test_planted_erasures_light_up(fuser, mapper, source):
    assert auc_of_erasures(fuser, mapper, pairs(), source) >= 0.95


@pytest.mark.parametrize("source", [0, 1], ids=["source_a", "source_b"])
def test_planted_erasures_light_up_on_real_pairs(fuser, mapper, shared_harvard, source):
    loader = LoadSourced()
    items = fusion_datalist(shared_harvard, "validation")[::8]
    images = [np.concatenate([np.asarray(d["source_a"]), np.asarray(d["source_b"])]) for d in map(loader, items)]
    assert auc_of_erasures(fuser, mapper, images, source) >= 0.95


def test_the_summary_rises_with_what_is_erased(fuser, mapper):
    pair = pairs()[0]
    _, whole = mapper(fuser.run(pair[:1], pair[1:]), pair[:1], pair[1:])
    _, copy = mapper(pair[1:], pair[:1], pair[1:])
    assert copy[0] > whole[0] + 0.2
    assert all(0 <= value <= 1 for value in (*whole, *copy))


def test_fuse_writes_picture_and_summary(tmp_path):
    import json

    a, b = make_pair((64, 61))[0].numpy()
    paths = write_gray(tmp_path / "a.png", a), write_gray(tmp_path / "b.png", b)
    assert main(["fuse", *map(str, paths), "-o", str(tmp_path / "f.png"), "--loss-map"]) == 0
    facts = json.loads((tmp_path / "f_loss.json").read_text())
    assert set(facts) == {"fused", "lost_of_source_a", "lost_of_source_b"}
    assert np.asarray(Image.open(tmp_path / "f_loss.png")).std() > 10


def test_fuse_writes_maps_of_volumes(tmp_path):
    sample, out = BUNDLE / "sample_data", tmp_path / "f.nii.gz"
    words = ["fuse", sample / "t1.nii.gz", sample / "ct.nii.gz", "-o", out, "--loss-map"]
    assert main([str(word) for word in words]) == 0
    fused, lost = nibabel.load(out), nibabel.load(tmp_path / "f_loss_a.nii.gz")
    assert lost.shape == fused.shape
    assert np.allclose(lost.affine, fused.affine)
    assert 0 <= lost.get_fdata().min() <= lost.get_fdata().max() <= 1


def test_bad_input(tmp_path, mapper):
    with pytest.raises(ValueError, match="same size"):
        mapper(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), np.zeros((1, 20, 21)))
    with pytest.raises(InputError, match="found nothing there"):
        load_loss_mapper(tmp_path / "none.pt")
    (tmp_path / "broken.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="expected weights of the source reconstruction"):
        load_loss_mapper(tmp_path / "broken.pt")
