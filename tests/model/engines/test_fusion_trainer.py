from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scripts.engines.fusion_trainer import FusionTrainer, prepare_fusion_batch
from scripts.losses.adaptive import AdaptiveFusionLoss, FixedFusionLoss
from scripts.losses.terms.all import fusion_regrets
from scripts.networks.nets.loss_proposal import LossProposalNet
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.networks.nets.source_reconstruction import SourceReconstructionNet

from tests.conftest import make_pair


def small_network() -> MMIFAMIN:
    return MMIFAMIN(2, growth=(4, 4), num_blocks=(1, 1), channels=16, num_complementary_blocks=1, decoder_channels=8)


def make_trainer(images: list[torch.Tensor], adaptive: bool = True, lr: float = 1e-3, **options) -> FusionTrainer:
    torch.manual_seed(0)
    network, reconstruction = small_network(), SourceReconstructionNet(2, channels=8, num_layers=2)
    loss = AdaptiveFusionLoss(LossProposalNet(2)) if adaptive else FixedFusionLoss()
    proposal = loss.proposal if adaptive else LossProposalNet(2)
    return FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image} for image in images],
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr),
        loss_function=loss,
        reconstruction=reconstruction,
        reconstruction_optimizer=torch.optim.AdamW(reconstruction.parameters(), 5e-3),
        proposal_optimizer=torch.optim.AdamW(proposal.parameters(), 2e-3),
        **options,
    )


def split_pair() -> torch.Tensor:
    """A pair where only A has structure (dark stripes) on the left and only B on the right.

    The other source is flat and bright there, so a fusion that takes the brighter one loses the stripes.
    """
    y, x = np.mgrid[:64, :64]
    left = x < 32
    stripes_a, stripes_b = 0.35 + 0.2 * np.sin(x / 0.8), 0.35 + 0.2 * np.sin(y / 2.0)
    image = np.stack([np.where(left, stripes_a, 0.8), np.where(left, 0.8, stripes_b)])
    return torch.from_numpy(image.astype(np.float32))[None]


def test_reconstruction_teaches_a_loss_under_which_more_can_be_rebuilt():
    """With network and reconstruction held still, the step on the taught loss rebuilds better than on the anchor's."""
    image = split_pair()
    options = {"teaching": "reconstruction", "virtual_step": 20, "anchor": 0.0}
    trainer = make_trainer([image] * 100, lr=2e-5, meta_warmup=1000, **options)
    trainer.run()
    trainer.teach_loss(image)
    before = trainer.outer_values["outer/teaching"]
    for _ in range(40):
        trainer.teach_loss(image)
    assert trainer.outer_values["outer/teaching"] < before - 1e-3


def test_regret_teaches_where_the_fusion_fails_most():
    """With the network held still, the weights move until the regret is larger; the anchor holds them back."""
    image = split_pair()
    reached = []
    for anchor in (0.02, 1.0):
        trainer = make_trainer([image], lr=0.0, anchor=anchor)
        trainer.teach_loss(image)
        before = trainer.outer_values["outer/teaching"]
        for _ in range(60):
            trainer.teach_loss(image)
        reached.append(trainer.outer_values["outer/teaching"] - before)
    assert reached[0] > reached[1] > 0
    assert reached[0] > 0.01


def test_regret_asks_most_for_what_is_kept_least():
    """A fusion that is frozen as the pixel maximum loses A's dark stripes and B's: the weight of local grows most."""
    image = split_pair()
    trainer = make_trainer([image], lr=0.0, anchor=0.05)
    with torch.no_grad():
        fused = trainer.network(image)
        start = trainer.loss_function.propose(image)
        regrets = fusion_regrets(fused, image, start)[0]
    for _ in range(60):
        trainer.teach_loss(image)
    gain = (trainer.loss_function.propose(image).terms / start.terms)[0]
    assert gain[regrets.argmax()] > 1.2
    assert gain[regrets.argmax()] > gain[regrets.argmin()]


def test_all_three_networks_learn():
    images = [make_pair((64, 64), seed) for seed in range(6)]
    trainer = make_trainer(images, teaching="reconstruction", meta_interval=1, meta_warmup=0)
    parts = (trainer.network, trainer.loss_function.proposal, trainer.reconstruction)
    before = [copy.deepcopy(part.state_dict()) for part in parts]
    trainer.run()
    for part, old in zip(parts, before, strict=True):
        assert any(not torch.equal(value, old[name]) for name, value in part.state_dict().items())
    assert set(trainer.outer_values) == {"outer/teaching", "outer/departure", "outer/reconstruction"}


def test_regret_needs_no_reconstruction():
    trainer = make_trainer([make_pair((64, 64))] * 3, meta_interval=1, meta_warmup=0)
    before = copy.deepcopy(trainer.reconstruction.state_dict())
    trainer.run()
    assert all(torch.equal(v, before[k]) for k, v in trainer.reconstruction.state_dict().items())
    assert set(trainer.outer_values) == {"outer/teaching", "outer/departure"}


@pytest.mark.parametrize("teaching", ["regret", "reconstruction"])
def test_teaching_changes_the_proposal_alone(teaching):
    trainer = make_trainer([make_pair()], teaching=teaching)
    others = [copy.deepcopy(part.state_dict()) for part in (trainer.network, trainer.reconstruction)]
    old = copy.deepcopy(trainer.loss_function.proposal.state_dict())
    trainer.teach_loss(make_pair((64, 64)))
    for part, state in zip((trainer.network, trainer.reconstruction), others, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
        assert all(p.grad is None for p in part.parameters())
    assert any(not torch.equal(v, old[k]) for k, v in trainer.loss_function.proposal.state_dict().items())


def test_the_virtual_step_lowers_the_proposed_loss():
    image = make_pair((64, 64))
    trainer = make_trainer([image], virtual_step=0.1)
    weights = trainer.loss_function.propose(image)
    before = trainer.loss_function.evaluate(trainer.network(image), image, weights)
    after = trainer.loss_function.evaluate(trainer._virtual_fusion(trainer.network, image)[0], image, weights)
    assert after < before


def test_the_loss_goes_down():
    image = make_pair((64, 64))
    trainer = make_trainer([image] * 120, adaptive=False)
    before = trainer.loss_function(trainer.network(image), image).item()
    trainer.run()
    assert trainer.loss_function(trainer.network(image), image).item() < before - 0.02


def test_a_fixed_loss_has_no_outer_level():
    trainer = make_trainer([make_pair((64, 64))] * 2, adaptive=False, meta_interval=1, meta_warmup=0)
    before = copy.deepcopy(trainer.reconstruction.state_dict())
    trainer.run()
    assert trainer.outer_values == {}
    assert all(torch.equal(v, before[k]) for k, v in trainer.reconstruction.state_dict().items())


def test_options_are_checked():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        make_trainer([], meta_interval=0)
    with pytest.raises(ValueError, match="regret"):
        make_trainer([], teaching="regrets")
    with pytest.raises(KeyError, match="must hold `image`"):
        prepare_fusion_batch({"label": torch.zeros(1)})
    network = small_network()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with pytest.raises(TypeError, match="got MSELoss"):
        FusionTrainer(
            device="cpu",
            max_epochs=1,
            train_data_loader=[],
            network=network,
            optimizer=optimizer,
            loss_function=torch.nn.MSELoss(),
            reconstruction=network,
            reconstruction_optimizer=optimizer,
            proposal_optimizer=optimizer,
        )


def test_a_reversible_network_is_not_taught_by_reconstruction(monkeypatch):
    """Which needs second derivatives; it must be said before the training, not after the warm-up."""
    monkeypatch.setitem(globals(), "small_network", lambda: MMIFAMIN(2, channels=16, reversible=True))
    with pytest.raises(ValueError, match="Build it with `reversible=False`, or teach by regret"):
        make_trainer([make_pair((32, 32))], teaching="reconstruction")
    make_trainer([make_pair((64, 64))] * 4, teaching="regret", meta_interval=2).run()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_mixed_precision_on_cuda():
    images = [make_pair((64, 64), seed) for seed in range(4)]
    trainer = make_trainer(images)
    for part in (trainer.network, trainer.loss_function, trainer.reconstruction):
        part.cuda()
    trainer.state.device = torch.device("cuda")
    trainer.amp = True
    trainer.scaler = torch.amp.GradScaler("cuda")
    trainer.meta_interval, trainer.meta_warmup = 1, 0
    trainer.run()
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())
