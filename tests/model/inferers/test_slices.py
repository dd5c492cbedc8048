from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scripts.inferers.slices import SliceFusionInferer, best_axis
from scripts.utils.checks import InputError

from mmif_amin.fuser import load
from tests.conftest import make_pair

SAGITTAL = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # axes: A, S, R


@pytest.mark.parametrize(
    ("shape", "affine", "expected"),
    [
        pytest.param((64, 64, 64), np.eye(4), 2, id="axial"),
        pytest.param((64, 64, 64), SAGITTAL, 1, id="isotropic sagittal is cut axially"),
        pytest.param((64, 64, 20), SAGITTAL @ np.diag([1, 1, 4, 1]), 2, id="thick sagittal slices"),
        pytest.param((64, 64, 1), np.diag([1, 1, 0.5, 1]), 2, id="one slice"),
        pytest.param((8, 64, 64), np.eye(4), 0, id="thin slab"),
    ],
)
def test_best_axis(shape, affine, expected):
    assert best_axis(shape, affine) == expected


def test_too_small():
    with pytest.raises(InputError, match="at least 16 x 16 pixels, got"):
        best_axis((8, 8, 64), np.eye(4))


@pytest.fixture(scope="module")
def network():
    return load(runtime="torch").network


@pytest.fixture(scope="module")
def volume():
    """(1, 2, 40, 32, 20), the first two slices black."""
    image = torch.stack([make_pair((40, 32), seed)[0] for seed in range(20)], dim=-1)[None]
    image[..., :2] = 0
    return image


def test_each_slice_is_fused_as_an_image(network, volume):
    """Unless neighbors are near enough to share something."""
    thick, near = (MetaTensor(volume, affine=torch.diag(torch.tensor([1.0, 1, mm, 1]))) for mm in (5.0, 1.0))
    with torch.inference_mode():
        fused = SliceFusionInferer()(volume, network)
        assert torch.equal(fused, SliceFusionInferer()(thick, network))
        assert torch.equal(fused, SliceFusionInferer(smoothing=0)(near, network))
        assert not torch.allclose(fused, SliceFusionInferer()(near, network), atol=1e-3)
        assert fused.shape == (1, 1, 40, 32, 20)
        assert (fused[..., :2] == 0).all()
        for k in (2, 11, 19):
            assert torch.allclose(fused[..., k], network(volume[..., k]), atol=1e-5)
            assert torch.allclose(SliceFusionInferer()(volume[..., k], network), network(volume[..., k]))


def test_the_affine_decides_the_axis(network, volume):
    turned = MetaTensor(volume.movedim(-1, 2).contiguous(), affine=torch.from_numpy(np.diag([4.0, 1, 1, 1])))
    with torch.inference_mode():
        assert torch.allclose(
            SliceFusionInferer()(turned, network).movedim(2, -1),
            SliceFusionInferer()(volume, network),
            atol=1e-5,
        )


def test_all_axes_keep_the_laws(network, volume):
    same = volume[:, :1].expand(-1, 2, -1, -1, -1)
    inferer = SliceFusionInferer(axes="all")
    with torch.inference_mode():
        assert (inferer(same, network) - same[:, :1]).abs().max() < 1 / 255
        fused = inferer(volume, network)
    assert (fused[volume.sum(1, keepdim=True) == 0] == 0).all()


def test_patches_come_near_whole_slices(network):
    pair = make_pair((96, 80))[..., None]
    with torch.inference_mode():
        whole = SliceFusionInferer()(pair, network)
        patched = SliceFusionInferer(patch_size=64)(pair, network)
    assert 0 < (patched - whole).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: SliceFusionInferer(axes="two"), "`axes` must be 'best' or 'all', got 'two'", id="axes"),
        pytest.param(
            lambda: SliceFusionInferer()(torch.zeros(1, 3, 20, 20), lambda x: x), r"\(B, 2, H, W\)", id="channels"
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
