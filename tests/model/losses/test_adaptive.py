"""The adaptive loss, and that trained weights of its proposal cannot be read for other terms."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from scripts.losses.adaptive import AdaptiveFusionLoss
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.terms.table import term_names
from scripts.networks.nets.loss_proposal import LossProposalNet

SWAPPED = [term_names()[1], term_names()[0], *term_names()[2:]]
OTHER_NAMES = [
    pytest.param(SWAPPED, id="two-lines-swapped"),
    pytest.param(term_names()[:-1], id="one-less"),
    pytest.param([*term_names()[:-1], "entropy_2"], id="one-renamed"),
]


def trained_loss() -> AdaptiveFusionLoss:
    torch.manual_seed(0)
    loss = AdaptiveFusionLoss(LossProposalNet(2, term_names()))
    for parameter in loss.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return loss


def test_an_untrained_proposal_is_the_fixed_loss(pair):
    fused = pair.amax(dim=1, keepdim=True)
    adaptive = AdaptiveFusionLoss(LossProposalNet(2, term_names()))
    assert adaptive(fused, pair).item() == pytest.approx(FixedFusionLoss()(fused, pair).item(), rel=1e-6)


def test_a_plain_backward_never_trains_the_proposal(pair):
    loss = trained_loss()
    fused = pair.mean(dim=1, keepdim=True).requires_grad_()
    loss(fused, pair).backward()
    assert fused.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_logits_are_read_in_the_order_of_the_proposals_names(pair):
    """The proposal raises the logit of one name alone: its weight rises, wherever the name stands."""
    for names in (term_names(), SWAPPED, ["edges", "structure_a"]):
        loss = AdaptiveFusionLoss(LossProposalNet(2, names))
        loss.proposal.global_logits.bias.data[2 + names.index("structure_a")] = 5.0
        loss(pair[:, :1], pair)
        before, after = (x.summary() for x in (FixedFusionLoss(names), loss))
        assert before == {}
        anchors = FixedFusionLoss(names)
        anchors(pair[:, :1], pair)
        raised = {name for name in names if after[f"weight/{name}"] > anchors.summary()[f"weight/{name}"]}
        assert raised == {"structure_a"}


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="lokal"):
        AdaptiveFusionLoss(LossProposalNet(2, ["edges", "lokal"]))


def test_weights_come_back_from_a_file_with_their_names():
    loss, other, file = trained_loss(), AdaptiveFusionLoss(LossProposalNet(2, term_names())), io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["proposal._extra_state"] == {"terms": term_names()}
    other.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(loss.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("names", OTHER_NAMES)
def test_weights_for_other_terms_are_refused_before_anything_is_loaded(names):
    net = LossProposalNet(2, names)
    before = copy.deepcopy(list(net.parameters()))
    with pytest.raises(ValueError, match=f"must be for the terms {', '.join(names)}, in this order, got "):
        net.load_state_dict(trained_loss().proposal.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))


def test_weights_without_names_are_refused():
    """Those of version 0.4.0, which read the logits in the order of its source."""
    state = trained_loss().state_dict()
    del state["proposal._extra_state"]
    with pytest.raises(ValueError, match="got no names of terms, as those of version 0.4.0"):
        trained_loss().load_state_dict(state)
