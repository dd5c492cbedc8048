"""The loss terms: their values, their gradients, and that each is known by its name alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scripts.losses import terms
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.terms.base import LossTerm, LossWeights, TermInputs
from scripts.losses.terms.table import FAMILIES, LOSS_TERMS, chosen_terms, fusion_terms, term_names
from scripts.metrics.vif import visual_information_fidelity
from scripts.metrics.vif_local import visual_information_fidelity_local

from tests.conftest import make_pair

# Values of version 0.4.0 (scripts.losses.fusion_terms.fusion_terms) for reference_case(), in float64.
VALUES = {
    "structure_a": 1.049938412,
    "structure_b": 1.025437248,
    "local": 2.056399045,
    "edges": 0.2619202079,
    "edges_worse": 0.2895992915,
    "similarity": 0.1318811539,
    "transfer": 0.342711846,
    "sharpness": 0.4037590613,
    "contrast": 0.4005505073,
    "intensity": 0.170108239,
    "entropy": 0.6412168813,
}
ANCHORS = {
    "structure_a": 4.0,
    "structure_b": 4.0,
    "local": 10.0,
    "edges": 9.0,
    "edges_worse": 0.5,
    "similarity": 1.0,
    "transfer": 1.0,
    "sharpness": 6.0,
    "contrast": 0.5,
    "intensity": 2.0,
    "entropy": 3.0,
}
REFUSED = [
    pytest.param(["edges", "lokal"], "local", id="unknown-name-with-a-near-miss"),
    pytest.param(["edges", "local", "edges"], "each only once", id="a-name-twice"),
    pytest.param([], "at least one term", id="no-name"),
]


def reference_case() -> tuple[torch.Tensor, torch.Tensor, LossWeights]:
    image = make_pair((64, 72)).double()
    weights = hand_made(image)
    shares = torch.linspace(0.2, 0.8, 72).double().expand(1, 1, 64, 72)
    weights.structure = torch.cat([shares, 1 - shares], dim=1)
    return 0.7 * image.amax(1, keepdim=True) + 0.1 * image[:, 1:], image, weights


def hand_made(image: torch.Tensor) -> LossWeights:
    return FixedFusionLoss().propose(image)


def values(fused: torch.Tensor, image: torch.Tensor) -> dict[str, float]:
    return dict(zip(term_names(), fusion_terms(fused, image, hand_made(image))[0].tolist(), strict=True))


def test_values_stay_what_they_are():
    found = dict(zip(term_names(), fusion_terms(*reference_case())[0].tolist(), strict=True))
    assert found == pytest.approx(VALUES, rel=1e-9)
    assert {name: term.anchor for name, term in LOSS_TERMS.items()} == ANCHORS


def test_each_file_of_terms_is_in_the_table_and_no_name_twice():
    files = {path.stem for path in Path(terms.__file__).parent.glob("*.py")} - {"__init__", "base", "table"}
    assert {family.__name__.split(".")[-1] for family in FAMILIES} == files
    assert sum(len(family.TERMS) for family in FAMILIES) == len(LOSS_TERMS)


def test_a_term_has_its_value_whatever_its_place():
    """Any names, in any order."""
    names = ["entropy", "structure_b", "sharpness", "edges", "structure_a"]
    found = dict(zip(names, fusion_terms(*reference_case(), names)[0].tolist(), strict=True))
    assert found == pytest.approx({name: VALUES[name] for name in names}, rel=1e-9)


def test_work_that_terms_share_is_done_once():
    calls = []

    def work(inputs: TermInputs) -> torch.Tensor:
        calls.append(inputs)
        return inputs.fused.mean(dim=(1, 2, 3))

    inputs = TermInputs(*reference_case())
    first = LossTerm("first", 1.0, lambda given: given.once(work))
    second = LossTerm("second", 1.0, lambda given: 2 * given.once(work))
    assert torch.equal(2 * first.function(inputs), second.function(inputs))
    assert calls == [inputs]


@pytest.mark.parametrize(("names", "message"), REFUSED)
def test_names_are_checked(names, message):
    with pytest.raises(ValueError, match=message):
        chosen_terms(names)


def test_losing_a_source_costs_in_every_two_sided_term(pair):
    """Neither copy may be best in the terms that look at both sources; black is worst in all but transfer."""
    found = {
        "max": values(pair.amax(dim=1, keepdim=True), pair),
        "average": values(pair.mean(dim=1, keepdim=True), pair),
        "copy_a": values(pair[:, :1], pair),
        "copy_b": values(pair[:, 1:], pair),
        "black": values(torch.zeros_like(pair[:, :1]), pair),
    }
    for name in ("local", "transfer", "edges_worse"):
        assert min(found["copy_a"][name], found["copy_b"][name]) > min(found["max"][name], found["average"][name]), name
    for lost, copy in (("structure_b", "copy_a"), ("structure_a", "copy_b")):
        assert found[copy][lost] > max(found["max"][lost], found["average"][lost])
    for name in set(term_names()) - {"transfer"}:
        assert found["black"][name] >= max(found[k][name] for k in ("max", "average")), name


def test_saturating_costs_entropy(pair):
    good, clipped = (values(image, pair) for image in (pair.amax(1, True), (2 * pair.sum(1, True)).clamp_max(1)))
    assert clipped["entropy"] > good["entropy"]


def test_vif_terms_follow_the_metrics(pair):
    """Noise added to a fusion lowers VIF and VIFlocal and raises the terms that stand for them."""
    fused = pair.mean(dim=1, keepdim=True)
    noisy = (fused + 0.1 * torch.randn(fused.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    clean_terms, noisy_terms = values(fused, pair), values(noisy, pair)
    for metric in (visual_information_fidelity, visual_information_fidelity_local):
        assert metric(fused, pair[:, :1], pair[:, 1:]) > metric(noisy, pair[:, :1], pair[:, 1:])
    for name in ("structure_a", "structure_b", "local", "edges"):
        assert noisy_terms[name] > clean_terms[name], name


def test_local_term_is_the_metric_where_the_minimum_is_clear(pair):
    metric = visual_information_fidelity_local(pair[:, 1:], pair[:, :1], pair[:, 1:]).item()
    term = torch.tensor(values(pair[:, 1:], pair)["local"])
    assert torch.exp(-term).item() == pytest.approx(metric, abs=0.05)


@pytest.mark.parametrize("name", term_names())
def test_gradients(name):
    """Along a random direction, against central differences."""
    image = make_pair((50, 48)).double()
    weights = hand_made(image)
    base = (0.7 * image.amax(dim=1, keepdim=True) + 0.1).requires_grad_()

    def value(fused: torch.Tensor) -> torch.Tensor:
        return fusion_terms(fused, image, weights, [name])[0, 0]

    (gradient,) = torch.autograd.grad(value(base), base)
    direction = torch.randn(base.shape, dtype=base.dtype, generator=torch.Generator().manual_seed(1))
    step = 1e-6
    with torch.no_grad():
        numeric = (value(base + step * direction) - value(base - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-3, abs=1e-5)
