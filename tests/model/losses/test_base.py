"""What all fusion losses share: terms by name, checks of shapes and sizes, the log."""

from __future__ import annotations

import pytest
import torch
from scripts.losses.base import training_patch
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.terms.table import LOSS_TERMS, term_names
from scripts.utils.checks import InputError

from tests.conftest import make_pair

REFUSED_PATCHES = [
    pytest.param(46, id="too-small"),
    pytest.param(129, id="odd"),
    pytest.param(0, id="zero"),
    pytest.param(-64, id="negative"),
    pytest.param(64.0, id="not-whole"),
    pytest.param("64", id="text"),
    pytest.param([64, 64], id="two-sides"),
]
REFUSED_SHAPES = [
    pytest.param((1, 1, 50, 96), (1, 2, 96, 96), "same size", id="another-size"),
    pytest.param((1, 2, 64, 64), (1, 2, 64, 64), "must be", id="fused-with-two-channels"),
    pytest.param((1, 1, 64, 64), (1, 3, 64, 64), "must be", id="three-sources"),
    pytest.param((1, 1, 64, 46), (1, 2, 64, 46), "at least 48x48 pixels, got .64, 46.", id="too-small"),
]


@pytest.mark.parametrize("patch_size", [48, 128])
def test_training_patch(patch_size):
    assert training_patch(patch_size) == [patch_size, patch_size]
    image = make_pair((patch_size, patch_size))
    assert torch.isfinite(FixedFusionLoss()(image[:, :1], image))


@pytest.mark.parametrize("patch_size", REFUSED_PATCHES)
def test_unfit_training_patches_are_refused(patch_size):
    with pytest.raises(InputError, match="patch_size: expected an even number of at least 48 pixels"):
        training_patch(patch_size)


@pytest.mark.parametrize(("fused", "image", "message"), REFUSED_SHAPES)
def test_shapes_are_checked(fused, image, message):
    with pytest.raises(ValueError, match=message):
        FixedFusionLoss()(torch.zeros(fused), torch.zeros(image))


def test_terms_are_checked():
    with pytest.raises(ValueError, match="each only once"):
        FixedFusionLoss(["edges", "edges"])


@pytest.mark.parametrize("names", [None, ["entropy", "edges", "local"]], ids=["all", "three"])
def test_weights_follow_the_anchors_by_name(pair, names):
    loss = FixedFusionLoss(names)
    weights = loss.propose(pair)
    assert weights.terms.sum().item() == pytest.approx(1)
    expected = torch.tensor([LOSS_TERMS[name].anchor for name in names or term_names()])
    assert torch.allclose(weights.terms[0], expected / expected.sum(), rtol=1e-5)
    assert torch.allclose(weights.intensity.sum(dim=1), torch.ones(1, 96, 96))


def test_the_order_of_the_terms_does_not_matter(pair):
    fused = pair.mean(dim=1, keepdim=True)
    names = term_names()
    assert FixedFusionLoss(names[::-1])(fused, pair).item() == pytest.approx(FixedFusionLoss()(fused, pair).item())


def test_summary_names_terms_weights_and_shares(pair):
    loss = FixedFusionLoss()
    assert loss.summary() == {}
    loss(pair.mean(dim=1, keepdim=True), pair)
    summary = loss.summary(["PET-MRI"])
    for name in term_names():
        assert {f"term/{name}", f"weight/{name}", f"weight_PET-MRI/{name}"} < set(summary)
    assert summary["share/structure_a"] == pytest.approx(0.5)
    assert summary["weight/edges"] == summary["weight_PET-MRI/edges"] == pytest.approx(9 / 41)
