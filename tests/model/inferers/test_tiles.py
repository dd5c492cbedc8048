from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from scripts.data.tasks import PHOTOGRAPHIC_TASKS
from scripts.inferers.contract import LARGEST_WHOLE_SIDE
from scripts.inferers.tiles import blending_window, fuse_in_tiles
from scripts.networks.nets.mmif_amin import MMIFAMIN

from mmif_amin.fuser import load
from tests.conftest import make_pair

SIZES = [  # image, tile
    pytest.param((96, 80), 64, id="both-sides"),
    pytest.param((40, 150), 48, id="one-side"),
    pytest.param((97, 131), 64, id="odd"),
    pytest.param((128, 65), 64, id="one-pixel-more"),
]


@pytest.fixture(scope="module")
def network() -> MMIFAMIN:
    return load(runtime="torch").network


@pytest.mark.parametrize(("size", "tile"), SIZES)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_agrees_with_the_sliding_window_of_monai(network, size, tile, overlap):
    images = torch.cat([make_pair(size, seed) for seed in range(2)])
    with torch.inference_mode():
        patch = [min(tile, side) for side in size]
        weights = torch.from_numpy(blending_window(patch))
        expected = sliding_window_inference(images, patch, 1, network, overlap=overlap, roi_weight_map=weights)
        assert (fuse_in_tiles(images, network, tile, overlap) - expected).abs().max() <= 1e-6


@pytest.mark.parametrize(("size", "tile"), SIZES)
def test_arrays_and_tensors_agree(network, size, tile):
    images = make_pair(size)
    with torch.inference_mode():
        tensor = fuse_in_tiles(images, network, tile)
        array = fuse_in_tiles(images.numpy(), lambda part: network(torch.from_numpy(part.copy())).numpy(), tile)
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert np.abs(array - tensor.numpy()).max() <= 1e-6


def test_small_images_are_fused_whole(network):
    images = make_pair((64, 50))
    with torch.inference_mode():
        assert torch.equal(fuse_in_tiles(images, network, 64), network(images))


def test_the_laws_hold_in_tiles(network):
    images = make_pair((96, 80))
    with torch.inference_mode():
        fused = fuse_in_tiles(images, network, 64)
        same = fuse_in_tiles(images[:, :1].expand(-1, 2, -1, -1), network, 64)
    assert fused[(images == 0).all(dim=1, keepdim=True)].max() == 0
    assert (same - images[:, :1]).abs().max() <= 1e-6


def test_every_tile_is_of_the_tile_size():
    shapes = []

    def remember(part: np.ndarray) -> np.ndarray:
        shapes.append(part.shape)
        return part[:, :1]

    image = np.random.default_rng(0).random((1, 2, 100, 90), dtype=np.float32)
    assert np.allclose(fuse_in_tiles(image, remember, 40, 0.25), image[:, :1], atol=1e-6)
    assert set(shapes) == {(1, 2, 40, 40)}
    assert len(shapes) == 3 * 3


@pytest.mark.parametrize("task", ["CT-MRI", *PHOTOGRAPHIC_TASKS])
def test_no_seam(task):
    """Just above the tile size: no step above half a gray level where a tile begins or ends, against the whole."""
    network, image = load(task=task)._fuse_arrays, make_pair((64, 900)).numpy()
    difference = (fuse_in_tiles(image, network) - fuse_in_tiles(image, network, 900))[0, 0] * 255
    steps = np.abs(np.diff(difference, axis=1))[:, [900 - LARGEST_WHOLE_SIDE - 1, LARGEST_WHOLE_SIDE - 1]]
    assert steps.mean(axis=0).max() < 0.5
