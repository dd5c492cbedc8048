from __future__ import annotations

import pytest
import torch
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.terms.table import fusion_terms

from tests.conftest import make_pair


def test_value_is_the_weighted_mean_of_its_terms():
    """By hand: the declared anchors, whose sum is 41."""
    image = make_pair((64, 72))
    fused = 0.7 * image.amax(1, keepdim=True) + 0.1 * image[:, 1:]
    loss = FixedFusionLoss()
    terms = fusion_terms(
        fused, image, loss.propose(image), ["structure_a", "structure_b", "local", "edges", "sharpness"]
    )
    rest = {"edges_worse": 0.5, "similarity": 1, "transfer": 1, "contrast": 0.5, "intensity": 2, "entropy": 3}
    others = fusion_terms(fused, image, loss.propose(image), list(rest))
    expected = (terms[0] * torch.tensor([4, 4, 10, 9, 6])).sum() + (others[0] * torch.tensor([*rest.values()])).sum()
    assert loss(fused, image).item() == pytest.approx(expected.item() / 41, rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_finite_on_constant_images(level):
    image = torch.full((1, 2, 64, 64), level)
    fused = torch.full((1, 1, 64, 64), level, requires_grad=True)
    loss = FixedFusionLoss()(fused, image)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(fused.grad).all()


def test_anchors_are_the_weights_of_terms():
    """With all other weights next to nothing the loss is that term."""
    image = make_pair((64, 72))
    fused = image.amax(1, keepdim=True)
    alone = FixedFusionLoss(["edges"])(fused, image)
    assert FixedFusionLoss(anchors={"edges": 1e9})(fused, image).item() == pytest.approx(alone.item(), rel=1e-5)
    weights = FixedFusionLoss(["edges", "local"], anchors={"local": 42.0}).propose(image).terms
    assert weights.tolist() == [pytest.approx([9 / 51, 42 / 51])]


@pytest.mark.parametrize(
    ("anchors", "message"),
    [({"edges": 0}, "must be positive weights, got 0.0 for 'edges'"), ({"edge": 1}, "edges")],
)
def test_bad_anchors(anchors, message):
    with pytest.raises(ValueError, match=message):
        FixedFusionLoss(anchors=anchors)
