from __future__ import annotations

import numpy as np
import pytest
from scripts.data.datalist import fusion_datalist
from scripts.metrics.loss_map import loss_maps
from scripts.transforms.pairs import LoadSourced
from scripts.utils.filters import filter_same, gaussian_kernel
from sklearn.metrics import roc_auc_score

from mmif_amin.fuser import load
from tests.conftest import BUNDLE

STRUCTURE = 0.05**2  # variance of a window, squared fraction of white: only where there was something can it be erased


@pytest.fixture(scope="module")
def fuser():
    return load()


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    import torch

    kernel = gaussian_kernel(6 * int(sigma) + 1, sigma)
    return filter_same(torch.from_numpy(image)[None, None], kernel)[0, 0].numpy()


def planted(fuser, pair: np.ndarray, source: int, seed: int) -> tuple[np.ndarray, ...]:
    """Erase a disk of one source before fusing.

    Returns both maps, both maps without the erasure, where the disk is, and where the source has structure.
    """
    height, width = pair.shape[1:]
    structured = blurred(pair[source] ** 2, 2.5) - blurred(pair[source], 2.5) ** 2 > STRUCTURE
    y, x = np.mgrid[:height, :width]
    centers = np.argwhere(structured)
    cy, cx = centers[np.random.default_rng(seed).integers(len(centers))]
    disk = np.hypot(y - cy, x - cx) < 0.07 * (height + width)
    erased = pair.copy()
    erased[source] = np.where(disk, blurred(pair[source], 12.0), pair[source])
    after, before = (loss_maps(fuser.fuse_stack(p[:1], p[1:]), pair[:1], pair[1:])[0][:, 0] for p in (erased, pair))
    return after, before, disk, structured


def pairs() -> list[np.ndarray]:
    """Eight slices of the embedded sample."""
    loader = LoadSourced()
    items = fusion_datalist(BUNDLE / "sample_data", "validation")
    return [np.concatenate([np.asarray(d["source_a"]), np.asarray(d["source_b"])]) for d in map(loader, items[::2])]


def auc_of_erasures(fuser, images: list[np.ndarray], source: int, kept_only: bool = False) -> tuple[float, float]:
    """Area under the curve of telling erased pixels from all others, and by how much the other source's map rises.

    With ``kept_only`` where the fused image held the source before: what a fusion never showed cannot be erased.
    """
    scores, labels, others = [], [], []
    for seed, image in enumerate(images):
        after, before, disk, counted = planted(fuser, image, source, seed)
        if kept_only:
            counted = counted & (before[source] < 0.5)
        scores.append(after[source][counted])
        labels.append(disk[counted])
        others.append((after - before)[1 - source][counted & disk])
    return roc_auc_score(np.concatenate(labels), np.concatenate(scores)), float(np.concatenate(others).mean())


@pytest.mark.parametrize("source", [0, 1], ids=["source_a", "source_b"])
def test_planted_erasures_light_up_for_the_right_source(fuser, source):
    auc, other_rises = auc_of_erasures(fuser, pairs(), source, kept_only=True)
    assert auc >= 0.95
    assert other_rises < 0.05


@pytest.mark.parametrize("source", [0, 1], ids=["source_a", "source_b"])
def test_planted_erasures_light_up_on_real_pairs(fuser, shared_harvard, source):
    """Also against the places that the fusion had lost by itself, which light up too, and rightly."""
    loader = LoadSourced()
    items = fusion_datalist(shared_harvard, "validation")[::8]
    images = [np.concatenate([np.asarray(d["source_a"]), np.asarray(d["source_b"])]) for d in map(loader, items)]
    auc, other_rises = auc_of_erasures(fuser, images, source, kept_only=True)
    assert auc >= 0.95
    assert auc_of_erasures(fuser, images, source)[0] >= 0.9
    assert other_rises < 0.05


def test_known_losses():
    """A sum holds both sources, a copy all of one; of an independent other source it holds nothing."""
    a, b = np.random.default_rng(0).random((2, 1, 96, 96)) * 0.4
    maps, lost = loss_maps(a + b, a, b)
    assert max(lost) < 0.05
    maps, lost = loss_maps(b, a, b)
    assert lost[1] < 0.02
    assert lost[0] > 0.95
    assert np.median(maps[0]) > 0.95


def test_flat_places_lose_nothing():
    flat = np.full((1, 64, 64), 0.5)
    maps, lost = loss_maps(np.zeros((1, 64, 64)), flat, flat)
    assert maps.max() < 1e-6
    assert lost == [0, 0]


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="same size"):
        loss_maps(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), np.zeros((1, 20, 21)))
