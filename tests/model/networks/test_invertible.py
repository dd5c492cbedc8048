from __future__ import annotations

import pytest
import torch
from scripts.networks.blocks.invertible import AffineCouplingBlock, InvertibleDenseNetwork, InvertibleLevel

from mmif_amin.fuser import load

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
CASES = [
    pytest.param(2, (2, 1, 16, 24), id="2d"),
    pytest.param(2, (1, 1, 4, 4), id="2d-small"),
    pytest.param(3, (1, 1, 8, 12, 4), id="3d"),
]


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    """Give a module, which starts as the identity, weights of a trained one's size."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5 / max(parameter[0].numel(), 9) ** 0.5)
    return module


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("spatial_dims", "shape"), CASES)
def test_inverse_restores_the_image(spatial_dims, shape, dtype):
    idn = randomized(InvertibleDenseNetwork(spatial_dims)).to(dtype)
    x = torch.rand(shape, dtype=dtype)
    z = idn(x)
    assert z.numel() == x.numel()
    assert (z - InvertibleDenseNetwork(spatial_dims).to(dtype)(x)).abs().max() > 1e-3
    assert (idn.inverse(z) - x).abs().max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("image", ["noise", "black", "white", "checkerboard"])
def test_inverse_with_the_trained_weights(dtype, image):
    idn = load(runtime="torch").network.idn.to(dtype)
    x = {
        "noise": torch.rand(1, 1, 64, 64, dtype=dtype),
        "black": torch.zeros(1, 1, 64, 64, dtype=dtype),
        "white": torch.ones(1, 1, 64, 64, dtype=dtype),
        "checkerboard": (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).to(dtype)[None, None],
    }[image]
    with torch.no_grad():
        assert (idn.inverse(idn(x)) - x).abs().max() < TOLERANCE[dtype]


def test_features_list_every_level():
    idn = InvertibleDenseNetwork(2)
    fine, coarse = idn.features(torch.rand(1, 1, 16, 16))
    assert fine.shape == (1, 4, 8, 8)
    assert coarse.shape == (1, 16, 4, 4)
    assert idn.out_channels == [4, 16]


def test_gradients_reach_every_parameter():
    idn = randomized(InvertibleDenseNetwork(2))
    idn(torch.rand(1, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in idn.parameters())


def test_coupling_gradient():
    block = randomized(AffineCouplingBlock(2, 3, growth=2)).double()
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


def test_level_scripts_with_its_inverse():
    level = torch.jit.script(randomized(InvertibleLevel(2, 1, growth=4, num_blocks=2)))
    x = torch.rand(1, 1, 8, 8)
    assert (level.inverse(level(x)) - x).abs().max() < 1e-5


def test_one_channel_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2"):
        AffineCouplingBlock(2, 1, growth=4)


def test_levels_must_match():
    with pytest.raises(ValueError, match="same levels"):
        InvertibleDenseNetwork(2, growth=(8,), num_blocks=(1, 1))
