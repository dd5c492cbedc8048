from __future__ import annotations

import pytest
import torch
from scripts.networks.nets.loss_proposal import LossProposalNet
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.networks.nets.source_reconstruction import SourceReconstructionNet
from torch.utils.flop_counter import FlopCounterMode

from mmif_amin.fuser import load
from tests.conftest import make_pair

SIZES = [
    pytest.param(2, (1, 2, 16, 16), id="smallest"),
    pytest.param(2, (2, 2, 17, 31), id="odd"),
    pytest.param(2, (1, 2, 130, 66), id="oblong"),
    pytest.param(3, (1, 2, 16, 18, 17), id="3d-odd"),
]
ONE_GRAY_LEVEL = 1 / 255


@pytest.fixture(scope="module")
def trained() -> MMIFAMIN:
    return load(runtime="torch").network


@pytest.mark.parametrize(("spatial_dims", "shape"), SIZES)
def test_any_size(spatial_dims, shape):
    fused = MMIFAMIN(spatial_dims).eval()(torch.rand(shape))
    assert fused.shape == (shape[0], 1, *shape[2:])
    assert fused.min() >= 0
    assert fused.max() <= 1


def test_starts_as_the_pixelwise_maximum(pair):
    fused = MMIFAMIN(2).eval()(pair)
    assert (fused - pair.amax(dim=1, keepdim=True)).abs().max() < 0.05


@pytest.mark.parametrize("amplified", [False, True])
def test_a_blend_starts_as_the_average_and_keeps_the_laws(pair, amplified):
    """However large the maps are, black stays black and an image fused with itself stays as it is, bit by bit."""
    torch.manual_seed(0)
    network = MMIFAMIN(2, rule="blend", conditional=False).eval()
    if not amplified:
        assert (network(pair) - pair.mean(dim=1, keepdim=True)).abs().max() < 0.05
        return
    with torch.no_grad():
        network.maps.weight.mul_(1e4)
    fused = network(pair)
    assert (fused - pair.mean(dim=1, keepdim=True)).abs().max() > 0.1
    assert fused[(pair == 0).all(dim=1, keepdim=True)].max() == 0
    same = pair[:, :1].expand_as(pair).contiguous()
    assert torch.equal(network(same), pair[:, :1])


def test_a_blend_can_take_one_source_alone(pair):
    """With the map at its end the fused image is source A to the last bit, or source B."""
    network = MMIFAMIN(2, rule="blend", conditional=False).eval()
    for last, source in ((60.0, 0), (-60.0, 1)):
        with torch.no_grad():
            network.maps.weight.zero_()
            network.maps.bias.copy_(torch.tensor([last] * 4 + [0.0] * 4))
            fused = network(pair)
        assert (fused - pair[:, source : source + 1]).abs().max() < 1e-6


def test_a_network_without_a_condition_has_none(pair):
    network = MMIFAMIN(2, conditional=False).eval()
    assert not [name for name in network.state_dict() if "kept" in name or "modulate" in name]
    with pytest.raises(ValueError, match="no condition"):
        network(pair, torch.tensor([1.0]))


def test_same_image_twice_gives_that_image(trained, pair):
    for image in (pair[:, :1], pair[:, 1:], torch.rand(1, 1, 63, 65), torch.full((1, 1, 32, 32), 0.4)):
        fused = trained(image.repeat(1, 2, 1, 1))
        assert (fused - image).abs().max() <= ONE_GRAY_LEVEL


def test_black_stays_black(trained, pair):
    fused = trained(pair)
    black = (pair == 0).all(dim=1, keepdim=True)
    assert black.any()
    assert fused[black].max() == 0


def test_both_sources_show_at_the_same_place(trained, pair):
    from scripts.metrics.suite import fusion_metrics

    fused = trained(pair)
    values = fusion_metrics(fused, pair[:, :1], pair[:, 1:])
    copies = [fusion_metrics(pair[:, k : k + 1], pair[:, :1], pair[:, 1:])["VIFlocal"] for k in (0, 1)]
    assert values["VIFlocal"] > max(copies)


def test_translation(trained):
    image = torch.zeros(1, 2, 192, 192)
    image[..., 48:144, 48:144] = make_pair((96, 96))
    shift = (8, -12)
    moved = trained(image.roll(shift, dims=(2, 3))).roll((-8, 12), dims=(2, 3))
    assert (moved - trained(image)).abs().max() <= ONE_GRAY_LEVEL


def test_deterministic(trained, pair):
    assert torch.equal(trained(pair), trained(pair))


def test_batch_does_not_mix(trained):
    a, b = make_pair(seed=1), make_pair(seed=2)
    together = trained(torch.cat([a, b]))
    assert torch.allclose(together, torch.cat([trained(a), trained(b)]), atol=1e-5)


def test_state_dict_round_trip(tmp_path, trained, pair):
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    other = MMIFAMIN(2).eval()
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(pair), trained(pair))


def test_script_save(tmp_path, trained, pair):
    torch.jit.script(trained).save(tmp_path / "net.ts")
    scripted = torch.jit.load(tmp_path / "net.ts")
    for image in (pair, torch.rand(1, 2, 33, 47)):
        assert torch.allclose(scripted(image), trained(image), atol=1e-6)


def test_gradients_accumulate():
    """Two backward passes give twice the gradient of one, so no two gradients share memory."""
    net, image = MMIFAMIN(2), make_pair((32, 32))
    once = []
    for count in (1, 2):
        net(image, torch.ones(1)).sin().sum().backward()
        if count == 1:
            once = [parameter.grad.clone() for parameter in net.parameters()]
    for parameter, gradient in zip(net.parameters(), once, strict=True):
        assert torch.allclose(parameter.grad, 2 * gradient, rtol=1e-4, atol=1e-6)
    assert len({parameter.grad.untyped_storage().data_ptr() for parameter in net.parameters()}) == len(once)


def test_large_images_in_float16(trained):
    """No sum over all pixels overflows: automatic mixed precision on CUDA is float16."""
    image = make_pair((96, 96)).repeat(1, 1, 8, 8)
    with torch.autocast("cpu", torch.float16), torch.no_grad():
        fused = trained(image)
    assert (fused.float() - trained(image)).abs().max() < 0.02


def test_budget(trained):
    assert sum(p.numel() for p in trained.parameters()) <= 300_000
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trained(torch.rand(1, 2, 256, 256))
    assert counter.get_total_flops() / 2 <= 2e9


def test_bright_places_are_compressed_not_clipped():
    """Pushed as far up as it can, a bright texture stays below white, in order, and has gradients."""
    net = MMIFAMIN(2).train()
    with torch.no_grad():
        net.maps.bias.fill_(0.3)
    image = make_pair((32, 32)) * 0.2 + torch.tensor([0.5, 0.7])[:, None, None]
    fused = net(image)
    assert fused.min() >= 0
    assert fused.max() < 1
    larger = image.amax(dim=1, keepdim=True)
    assert (fused > larger).float().mean() > 0.9
    fused.mean().backward()
    assert net.maps.bias.grad.abs().sum() > 0


def test_a_plain_dense_network_stands_in_for_the_idn(pair):
    """Same size to 5 %, same features, same laws; for the ablation."""
    plain, full = MMIFAMIN(2, feature_extractor="plain_dense").eval(), MMIFAMIN(2).eval()
    sizes = [sum(p.numel() for p in net.idn.parameters()) for net in (plain, full)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    assert plain(pair).shape == (1, 1, 96, 96)
    shapes = [[f.shape for f in net.idn.features(pair[:, :1])] for net in (plain, full)]
    assert shapes[0] == shapes[1]
    torch.jit.script(plain)


def test_only_two_sources_and_one_image():
    with pytest.raises(ValueError, match="got 3 and 1"):
        MMIFAMIN(2, in_channels=3)
    with pytest.raises(ValueError, match="got 2 and 3"):
        MMIFAMIN(2, out_channels=3)


@pytest.mark.parametrize(
    ("net", "options"),
    [(MMIFAMIN, {}), (LossProposalNet, {"terms": ["structure"]}), (SourceReconstructionNet, {})],
)
def test_only_images_and_volumes(net, options):
    with pytest.raises(ValueError, match="`spatial_dims` must be 2 or 3, got 4"):
        net(4, **options)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_proposal_starts_at_its_anchor_and_cannot_drift(spatial_dims):
    image = torch.rand(2, 2, *[16] * spatial_dims)
    net = LossProposalNet(spatial_dims, terms=list("abcdef"))
    maps, terms = net(image)
    assert maps.shape == (2, 2, *image.shape[2:])
    assert terms.shape == (2, 6)
    assert maps.abs().max() == 0
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    maps, terms = net(image)
    assert maps.flatten(2).mean(dim=2).abs().max() <= 0.8 + 1e-5
    assert terms.abs().max() <= 1.5


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_source_reconstruction_starts_as_the_fused_image(spatial_dims):
    fused = torch.rand(2, 1, *[16] * spatial_dims)
    assert torch.equal(SourceReconstructionNet(spatial_dims)(fused), fused.expand(-1, 2, *fused.shape[2:]))
