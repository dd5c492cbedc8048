from __future__ import annotations

import pytest
import torch
from scripts.classical.rules import average, laplacian_pyramid, maximum
from scripts.losses.adaptive import AdaptiveFusionLoss, FixedFusionLoss
from scripts.losses.source_reconstruction import SourceReconstructionLoss
from scripts.losses.terms.all import TERM_ANCHORS, TERM_NAMES, LossWeights, fusion_regrets, fusion_terms
from scripts.metrics.vif import vif_family
from scripts.networks.nets.loss_proposal import LossProposalNet

from tests.conftest import make_pair


def equal_weights(image: torch.Tensor) -> LossWeights:
    return FixedFusionLoss().propose(image)


def elementary(pair: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "max": pair.amax(dim=1, keepdim=True),
        "average": pair.mean(dim=1, keepdim=True),
        "copy_a": pair[:, :1],
        "copy_b": pair[:, 1:],
        "black": torch.zeros_like(pair[:, :1]),
    }


def test_fixed_weights_sum_to_one_and_follow_the_anchors(pair):
    weights = equal_weights(pair)
    assert weights.terms.sum().item() == pytest.approx(1)
    ratios = weights.terms[0] / weights.terms[0, 0]
    expected = torch.tensor([TERM_ANCHORS[n] / TERM_ANCHORS[TERM_NAMES[0]] for n in TERM_NAMES])
    assert torch.allclose(ratios, expected, rtol=1e-5)
    assert torch.allclose(weights.intensity.sum(dim=1), torch.ones(1, 96, 96))


def test_an_untrained_proposal_is_the_fixed_loss(pair):
    fused = pair.amax(dim=1, keepdim=True)
    adaptive = AdaptiveFusionLoss(LossProposalNet(2))
    assert adaptive(fused, pair).item() == pytest.approx(FixedFusionLoss()(fused, pair).item(), rel=1e-6)


def test_losing_a_source_costs_in_every_two_sided_term(pair):
    """Neither copy may be best in the terms that look at both sources; black is worst in all."""
    weights = equal_weights(pair)
    terms = {
        name: dict(zip(TERM_NAMES, fusion_terms(f, pair, weights)[0].tolist(), strict=True))
        for name, f in elementary(pair).items()
    }
    for name in ("local", "transfer", "edges_worse"):
        assert min(terms["copy_a"][name], terms["copy_b"][name]) > min(terms["max"][name], terms["average"][name]), name
    for lost, copy in (("structure_b", "copy_a"), ("structure_a", "copy_b")):
        assert terms[copy][lost] > max(terms["max"][lost], terms["average"][lost])
    for name in TERM_NAMES:
        if name != "transfer":
            assert terms["black"][name] >= max(terms[k][name] for k in ("max", "average")), name


def test_saturating_costs_entropy(pair):
    weights = equal_weights(pair)
    images = (pair.amax(1, True), (2 * pair.sum(1, True)).clamp_max(1))
    good, clipped = (fusion_terms(image, pair, weights)[0] for image in images)
    assert clipped[TERM_NAMES.index("entropy")] > good[TERM_NAMES.index("entropy")]


def test_regret_is_against_the_best_classical_rule(pair):
    """Each rule's own regret is nowhere below 0, and 0 in each term for at least one of them."""
    weights = equal_weights(pair)
    rules = (maximum, average, laplacian_pyramid)
    regrets = torch.cat([fusion_regrets(rule(pair), pair, weights) for rule in rules])
    assert regrets.min() > -1e-5
    assert regrets.amin(dim=0).max() < 1e-5
    assert fusion_regrets(torch.zeros_like(pair[:, :1]), pair, weights)[0, TERM_NAMES.index("local")] == 0.25


def test_vif_terms_follow_the_metrics(pair):
    """Noise added to a fusion lowers VIF and VIFlocal and raises the terms that stand for them."""
    fused = pair.mean(dim=1, keepdim=True)
    noisy = (fused + 0.1 * torch.randn(fused.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    weights = equal_weights(pair)
    clean_terms, noisy_terms = fusion_terms(fused, pair, weights)[0], fusion_terms(noisy, pair, weights)[0]
    clean, worse = (vif_family(f, pair[:, :1], pair[:, 1:]) for f in (fused, noisy))
    assert clean["VIF"] > worse["VIF"]
    assert clean["VIFlocal"] > worse["VIFlocal"]
    for name in ("structure_a", "structure_b", "local", "edges"):
        assert noisy_terms[TERM_NAMES.index(name)] > clean_terms[TERM_NAMES.index(name)], name


def test_local_term_is_the_metric_where_the_minimum_is_clear(pair):
    fused = pair[:, 1:]
    term = fusion_terms(fused, pair, equal_weights(pair))[0, TERM_NAMES.index("local")]
    metric = vif_family(fused, pair[:, :1], pair[:, 1:])["VIFlocal"].item()
    assert torch.exp(-term).item() == pytest.approx(metric, abs=0.05)


@pytest.mark.parametrize("name", TERM_NAMES)
def test_gradients(name):
    """Along a random direction, against central differences."""
    image = make_pair((50, 48)).double()
    weights, term = equal_weights(image), TERM_NAMES.index(name)
    base = (0.7 * image.amax(dim=1, keepdim=True) + 0.1).requires_grad_()

    def value(fused: torch.Tensor) -> torch.Tensor:
        return fusion_terms(fused, image, weights)[0, term]

    (gradient,) = torch.autograd.grad(value(base), base)
    direction = torch.randn(base.shape, dtype=base.dtype, generator=torch.Generator().manual_seed(1))
    step = 1e-6
    with torch.no_grad():
        numeric = (value(base + step * direction) - value(base - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_finite_on_constant_images(level):
    image = torch.full((1, 2, 64, 64), level)
    fused = torch.full((1, 1, 64, 64), level, requires_grad=True)
    loss = FixedFusionLoss()(fused, image)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(fused.grad).all()


def test_a_plain_backward_never_trains_the_proposal(pair):
    loss = AdaptiveFusionLoss(LossProposalNet(2))
    fused = pair.mean(dim=1, keepdim=True).requires_grad_()
    loss(fused, pair).backward()
    assert fused.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_summary_names_terms_weights_and_shares(pair):
    loss = FixedFusionLoss()
    assert loss.summary() == {}
    loss(pair.mean(dim=1, keepdim=True), pair)
    summary = loss.summary()
    assert {f"term/{n}" for n in TERM_NAMES} | {f"weight/{n}" for n in TERM_NAMES} < set(summary)
    assert summary["share/structure_a"] == pytest.approx(0.5)


def test_shapes_are_checked(pair):
    with pytest.raises(ValueError, match="same size"):
        FixedFusionLoss()(pair[:, :1, :50], pair)


def test_reconstruction_error_counts_the_worse_source(pair):
    loss = SourceReconstructionLoss()
    assert loss(pair, pair).item() == pytest.approx(0, abs=1e-5)
    lost_b = torch.cat([pair[:, :1], pair[:, 1:].mean().expand_as(pair[:, 1:])], dim=1)
    half_each = pair + 0.02 * torch.randn(pair.shape, generator=torch.Generator().manual_seed(0))
    assert loss(lost_b, pair) > loss(half_each, pair)


def test_reconstruction_error_is_relative_to_each_sources_variance():
    """The same relative error costs the same in a faint source as in a strong one."""
    texture, noise = (torch.randn(2, 1, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1).unbind()
    loss = SourceReconstructionLoss(noise=1e-3)
    strong, faint = (loss(0.5 + c * (texture + noise), 0.5 + c * texture).item() for c in (1.0, 0.1))
    assert strong == pytest.approx(faint, rel=0.05)


def test_reconstruction_noise_is_checked():
    with pytest.raises(ValueError, match="must be positive"):
        SourceReconstructionLoss(noise=0)
