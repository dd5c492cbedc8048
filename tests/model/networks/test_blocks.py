from __future__ import annotations

import pytest
import torch
from scripts.networks.blocks.attention import ChannelAttention, ChannelLayerNorm, SpatialAttention, TransposedAttention
from scripts.networks.blocks.dense import DenseSubnet
from scripts.networks.blocks.mcfem import MCFEM, ComplementaryBlock, MultiScaleConvolution
from scripts.networks.blocks.plain_dense import PlainDenseNetwork

SHAPES = [pytest.param(2, (2, 8, 9, 12), id="2d-odd"), pytest.param(3, (1, 8, 5, 6, 7), id="3d-odd")]


@pytest.mark.parametrize(("spatial_dims", "shape"), SHAPES)
def test_blocks_keep_the_shape_and_script(spatial_dims, shape):
    x = torch.rand(shape)
    for block in (
        ChannelLayerNorm(8),
        ChannelAttention(8),
        SpatialAttention(spatial_dims),
        TransposedAttention(spatial_dims, 8),
        MultiScaleConvolution(spatial_dims, 8),
        ComplementaryBlock(spatial_dims, 8),
        ComplementaryBlock(spatial_dims, 8, (3,), False, False, False),
    ):
        y = block(x)
        assert y.shape == shape
        assert torch.allclose(torch.jit.script(block)(x), y, atol=1e-6)


@pytest.mark.parametrize(("spatial_dims", "shape"), SHAPES)
def test_mcfem(spatial_dims, shape):
    a, b = torch.rand(shape), torch.rand(shape)
    module = MCFEM(spatial_dims, 8, channels=16)
    assert module(a, b).shape == (shape[0], 16, *shape[2:])


def test_dense_subnet_starts_at_zero():
    assert DenseSubnet(2, 3, 5, growth=4)(torch.rand(1, 3, 8, 8)).abs().max() == 0


def test_spatial_attention_is_translation_equivariant():
    block = SpatialAttention(2).eval()
    x = torch.zeros(1, 4, 40, 40)
    x[..., 12:20, 12:20] = torch.rand(4, 8, 8)
    shifted = block(x.roll((5, 3), dims=(2, 3)))
    assert torch.allclose(shifted, block(x).roll((5, 3), dims=(2, 3)), atol=1e-6)


def test_transposed_attention_is_linear_in_pixels():
    from torch.utils.flop_counter import FlopCounterMode

    block = TransposedAttention(2, 8).eval()
    counts = []
    for size in (16, 32):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            block(torch.rand(1, 8, size, size))
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(4.0, rel=0.01)


def test_transposed_attention_is_the_attention_of_monai(monkeypatch):
    """MONAI's own ``forward``, with einops' two patterns written out, since einops need not be installed."""
    from monai.networks.blocks import cablock

    def rearrange(x: torch.Tensor, pattern: str, head: int, **sizes: int) -> torch.Tensor:
        if "->" in pattern and pattern.startswith("b (head c)"):
            return x.reshape(x.shape[0], head, -1, x[0, 0].numel())
        return x.reshape(x.shape[0], -1, *sizes.values())

    monkeypatch.setattr(cablock, "rearrange", rearrange)
    for spatial_dims, size in ((2, (9, 12)), (3, (5, 6, 7))):
        block, x = TransposedAttention(spatial_dims, 8, num_heads=2), torch.rand(2, 8, *size)
        torch.nn.init.normal_(block.temperature)
        assert (block(x) - cablock.CABlock.forward(block, x)).abs().max() <= 1e-6


def test_plain_dense_network_has_the_features_of_the_idn():
    net = PlainDenseNetwork(3, growth=(2, 4), num_blocks=(1, 1))
    assert [tuple(f.shape) for f in net.features(torch.rand(1, 1, 8, 8, 8))] == [(1, 8, 4, 4, 4), (1, 64, 2, 2, 2)]
    assert net(torch.rand(1, 1, 8, 8, 8)).shape == (1, 64, 2, 2, 2)
    assert net.out_channels == [8, 64]


def test_options_are_checked():
    with pytest.raises(ValueError, match="divide `channels`, got 3 and 8"):
        TransposedAttention(2, 8, num_heads=3)
    with pytest.raises(ValueError, match="odd numbers"):
        MultiScaleConvolution(2, 8, (3, 4))
