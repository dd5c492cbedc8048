"""What the teachers of the adaptive loss do to its proposal, and to nothing else."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scripts.classical.rules import average, laplacian_pyramid, maximum
from scripts.losses.adaptive import AdaptiveFusionLoss
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.teachers import ReconstructionTeacher, RegretTeacher, fusion_regrets
from scripts.losses.terms.table import term_names
from scripts.networks.nets.loss_proposal import LossProposalNet
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.networks.nets.source_reconstruction import SourceReconstructionNet

from tests.conftest import make_pair
from tests.model.losses.terms.test_table import hand_made, reference_case

# Values of version 0.4.0 (scripts.losses.fusion_terms.fusion_regrets) for reference_case(), in float64.
REGRETS_0_4_0 = {
    "structure_a": 0.09537569095,
    "structure_b": 0.25,
    "local": 0.1478298387,
    "edges": 0.01717371337,
    "edges_worse": -0.1035537765,
    "similarity": 0.003293961587,
    "transfer": 0.2469028871,
    "sharpness": 0.25,
    "contrast": 0.2423605683,
    "intensity": 0.1374586129,
    "entropy": 0.1474406929,
}


def small_network(**options) -> MMIFAMIN:
    sizes = {"growth": (4, 4), "num_blocks": (1, 1), "channels": 16, "num_complementary_blocks": 1}
    return MMIFAMIN(2, decoder_channels=8, **{**sizes, **options})


def make_teacher(teaching: str = "regret", **options) -> RegretTeacher | ReconstructionTeacher:
    torch.manual_seed(0)
    loss = AdaptiveFusionLoss(LossProposalNet(2, term_names()))
    optimizer = torch.optim.AdamW(loss.parameters(), 2e-3)
    if teaching == "regret":
        return RegretTeacher(loss, optimizer, **options)
    reconstruction = SourceReconstructionNet(2, channels=8, num_layers=2)
    learning = torch.optim.AdamW(reconstruction.parameters(), 5e-3)
    return ReconstructionTeacher(loss, optimizer, reconstruction, learning, **options)


def make_student(lr: float = 1e-3, **options) -> tuple[MMIFAMIN, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = small_network(**options)
    return network, torch.optim.AdamW(network.parameters(), lr)


def split_pair() -> torch.Tensor:
    """A pair where only A has structure (dark stripes) on the left and only B on the right.

    The other source is flat and bright there, so a fusion that takes the brighter one loses the stripes.
    """
    y, x = np.mgrid[:64, :64]
    left = x < 32
    stripes_a, stripes_b = 0.35 + 0.2 * np.sin(x / 0.8), 0.35 + 0.2 * np.sin(y / 2.0)
    image = np.stack([np.where(left, stripes_a, 0.8), np.where(left, 0.8, stripes_b)])
    return torch.from_numpy(image.astype(np.float32))[None]


def same(first: dict, second: dict) -> bool:
    """Whether two state dicts hold the same tensors."""
    return all(torch.equal(v, second[k]) for k, v in first.items() if isinstance(v, torch.Tensor))


def test_regrets_are_those_of_version_0_4_0():
    found = dict(zip(term_names(), fusion_regrets(*reference_case())[0].tolist(), strict=True))
    assert found == pytest.approx(REGRETS_0_4_0, rel=1e-8)


def test_regret_is_against_the_best_classical_rule(pair):
    """Each rule's own regret is nowhere below 0, and 0 in each term for at least one of them."""
    weights = hand_made(pair)
    regrets = torch.cat([fusion_regrets(rule(pair), pair, weights) for rule in (maximum, average, laplacian_pyramid)])
    assert regrets.min() > -1e-5
    assert regrets.amin(dim=0).max() < 1e-5
    assert fusion_regrets(torch.zeros_like(pair[:, :1]), pair, weights, ["local"]).item() == 0.25


def test_regret_teaches_where_the_fusion_fails_most():
    """With the network held still, the weights move until the regret is larger; the anchor holds them back."""
    image = split_pair()
    reached = []
    for anchor in (0.02, 1.0):
        teacher, (network, optimizer) = make_teacher(anchor=anchor), make_student()
        before = teacher.teach(network, optimizer, image)["outer/teaching"]
        for _ in range(60):
            figures = teacher.teach(network, optimizer, image)
        reached.append(figures["outer/teaching"] - before)
    assert reached[0] > reached[1] > 0
    assert reached[0] > 0.01


def test_regret_asks_most_for_what_is_kept_least():
    """A fusion that is frozen as the pixel maximum loses A's dark stripes and B's: the weight of local grows most."""
    image = split_pair()
    teacher, (network, optimizer) = make_teacher(anchor=0.05), make_student()
    with torch.no_grad():
        fused = network(image)
        start = teacher.loss.propose(image)
        regrets = fusion_regrets(fused, image, start)[0]
    for _ in range(60):
        teacher.teach(network, optimizer, image)
    gain = (teacher.loss.propose(image).terms / start.terms)[0]
    assert gain[regrets.argmax()] > 1.2
    assert gain[regrets.argmax()] > gain[regrets.argmin()]


@pytest.mark.parametrize("teaching", ["regret", "reconstruction"])
def test_a_lesson_changes_the_proposal_alone(teaching):
    teacher, (network, optimizer) = make_teacher(teaching), make_student()
    others = [network, *([teacher.reconstruction] if teaching == "reconstruction" else [])]
    states = [copy.deepcopy(part.state_dict()) for part in others]
    proposal = teacher.loss.proposal
    before = copy.deepcopy(proposal.state_dict())
    assert set(teacher.teach(network, optimizer, make_pair((64, 64)))) == {"outer/teaching", "outer/departure"}
    for part, state in zip(others, states, strict=True):
        assert same(part.state_dict(), state)
        assert all(p.grad is None for p in part.parameters())
    assert not same(proposal.state_dict(), before)


def test_observing_trains_the_reconstruction_alone():
    teacher, image = make_teacher("reconstruction"), make_pair((64, 64))
    proposal, before = copy.deepcopy(teacher.loss.state_dict()), copy.deepcopy(teacher.reconstruction.state_dict())
    errors = [teacher.observe(image.amax(1, True), image)["outer/reconstruction"] for _ in range(20)]
    assert errors[-1] < errors[0]
    assert same(teacher.loss.state_dict(), proposal)
    assert not same(teacher.reconstruction.state_dict(), before)
    assert make_teacher("regret").observe(image.amax(1, True), image) == {}


def test_the_virtual_step_lowers_the_proposed_loss():
    image = make_pair((64, 64))
    teacher, (network, optimizer) = make_teacher("reconstruction", virtual_step=0.1), make_student()
    weights = teacher.loss.propose(image)
    before = teacher.loss.evaluate(network(image), image, weights)
    after = teacher.loss.evaluate(teacher.virtual_fusion(network, optimizer, image, weights), image, weights)
    assert after < before


@pytest.mark.parametrize(
    ("warmup", "interval", "due"),
    [
        pytest.param(0, 1, [1, 2, 3, 4, 5, 6, 7, 8], id="each"),
        pytest.param(0, 3, [3, 6], id="each-third"),
        pytest.param(4, 2, [6, 8], id="after-the-warm-up"),
    ],
)
def test_when_a_lesson_is_due(warmup, interval, due):
    teacher = make_teacher(warmup=warmup, interval=interval)
    assert [i for i in range(1, 9) if teacher.is_due(i)] == due


@pytest.mark.parametrize("teaching", ["regret", "reconstruction"])
def test_a_resumed_teacher_goes_on_as_if_nothing_had_been(teaching):
    image = make_pair((64, 64))
    straight, resumed = make_teacher(teaching), make_teacher(teaching)
    network, optimizer = make_student()

    def one_iteration(teacher: RegretTeacher | ReconstructionTeacher) -> None:
        teacher.teach(network, optimizer, image)
        teacher.observe(image.amax(1, True), image)

    one_iteration(straight)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    resumed.loss.load_state_dict(straight.loss.state_dict())
    one_iteration(straight)
    one_iteration(resumed)
    assert same(straight.loss.state_dict(), resumed.loss.state_dict())
    if teaching == "reconstruction":
        assert same(straight.reconstruction.state_dict(), resumed.reconstruction.state_dict())


def test_options_are_checked():
    with pytest.raises(ValueError, match="`interval` must be at least 1, got 0"):
        make_teacher(interval=0)
    loss = make_teacher().loss
    with pytest.raises(TypeError, match="must be an AdaptiveFusionLoss, got FixedFusionLoss"):
        RegretTeacher(FixedFusionLoss(), torch.optim.SGD(loss.parameters(), 0.1))


def test_reconstruction_refuses_a_reversible_network():
    """It needs second derivatives; the refusal must come before the training, not after the warm-up."""
    network, _ = make_student(reversible=True)
    with pytest.raises(ValueError, match="Build it with `reversible=False`, or teach by regret"):
        make_teacher("reconstruction").check(network)
    make_teacher("regret").check(network)
