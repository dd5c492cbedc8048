from __future__ import annotations

import pytest
import torch
from monai.networks.utils import pixelshuffle, pixelunshuffle
from scripts.networks.layers.space_to_depth import HaarDownsample, space_to_depth

CASES = [pytest.param((2, 3, 6, 8), id="2d"), pytest.param((2, 3, 6, 8, 10), id="3d")]


@pytest.mark.parametrize("shape", CASES)
def test_space_to_depth_is_a_permutation(shape):
    x = torch.rand(shape)
    y = space_to_depth(x)
    spatial_dims = len(shape) - 2
    assert y.shape == (shape[0], shape[1] * 2**spatial_dims, *(s // 2 for s in shape[2:]))
    assert torch.equal(pixelshuffle(y, spatial_dims, 2), x)


@pytest.mark.parametrize("shape", CASES)
def test_agrees_with_the_pixelunshuffle_of_monai(shape):
    x = torch.rand(shape)
    assert torch.equal(space_to_depth(x), pixelunshuffle(x, len(shape) - 2, 2))


def test_the_pixelunshuffle_of_monai_cannot_be_scripted():
    """When this fails, it can take the place of ``space_to_depth``."""
    with pytest.raises(RuntimeError, match="not valid"):
        torch.jit.script(pixelunshuffle)


def test_haar_checks_its_dimensions():
    with pytest.raises(ValueError, match="`spatial_dims` must be 2 or 3, got 4"):
        HaarDownsample(4)


@pytest.mark.parametrize("shape", CASES)
def test_haar_is_orthonormal(shape):
    x = torch.rand(shape, dtype=torch.float64)
    haar = HaarDownsample(len(shape) - 2)
    z = haar(x)
    assert torch.allclose(z.square().sum(), x.square().sum())
    assert (haar.inverse(z) - x).abs().max() < 1e-12


@pytest.mark.parametrize("shape", CASES)
def test_haar_bands_are_sums_and_differences(shape):
    """The first band is the mean of a block times 2^(n / 2); no buffer goes into the weights."""
    x, spatial_dims = torch.rand(shape, dtype=torch.float64), len(shape) - 2
    haar, pool = HaarDownsample(spatial_dims), getattr(torch.nn.functional, f"avg_pool{spatial_dims}d")
    bands = haar(x).reshape(shape[0], shape[1], 2**spatial_dims, *(side // 2 for side in shape[2:]))
    assert torch.allclose(bands[:, :, 0], pool(x, 2) * 2 ** (spatial_dims / 2))
    ramp = torch.arange(shape[-1], dtype=torch.float64).expand(shape)
    details = haar(ramp).reshape_as(bands)[:, :, 1:].abs().amax(dim=(0, 1, *range(3, 3 + spatial_dims)))
    assert details.tolist() == pytest.approx([2 ** (spatial_dims / 2) / 2] + [0] * (2**spatial_dims - 2))
    assert not haar.state_dict()


def test_haar_of_a_constant_has_no_detail():
    z = HaarDownsample(2)(torch.full((1, 1, 4, 4), 0.5))
    assert torch.allclose(z[:, 0], torch.ones(1, 2, 2))
    assert z[:, 1:].abs().max() == 0
