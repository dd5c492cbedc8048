"""The trainer: the network learns from the loss, the loss from its teacher, where there is one."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from ignite.engine import Events
from scripts.engines.fusion_trainer import FusionTrainer, prepare_fusion_batch
from scripts.losses.fixed import FixedFusionLoss
from scripts.losses.focus import FocusLessons
from scripts.losses.lesions import LesionLessons
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.optimizers.muon import Muon
from scripts.utils.checks import InputError
from scripts.utils.run_folder import RunFolder

from tests.conftest import make_pair
from tests.model.losses.test_lesions import textured
from tests.model.losses.test_teachers import make_student, make_teacher, same, split_pair
from tests.same import assert_same


def make_trainer(
    images: list[torch.Tensor], teaching: str | None = "regret", lr: float = 1e-3, reversible: bool = False, **options
) -> FusionTrainer:
    network, optimizer = make_student(lr, reversible=reversible)
    teacher = None if teaching is None else make_teacher(teaching, **options)
    return FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image} for image in images],
        network=network,
        optimizer=optimizer,
        loss_function=FixedFusionLoss() if teacher is None else teacher.loss,
        teacher=teacher,
    )


@pytest.mark.parametrize(
    ("teaching", "logged"),
    [
        pytest.param("regret", {"outer/teaching", "outer/departure"}, id="regret"),
        pytest.param(
            "reconstruction", {"outer/teaching", "outer/departure", "outer/reconstruction"}, id="reconstruction"
        ),
    ],
)
def test_all_networks_learn(teaching, logged):
    trainer = make_trainer([make_pair((64, 64), seed) for seed in range(6)], teaching, interval=1, warmup=0)
    parts = [trainer.network, trainer.fusion_loss.proposal]
    parts += [trainer.teacher.reconstruction] if teaching == "reconstruction" else []
    before = [copy.deepcopy(part.state_dict()) for part in parts]
    trainer.run()
    for part, old in zip(parts, before, strict=True):
        assert not same(part.state_dict(), old)
    assert set(trainer.outer_values) == logged


def test_the_figures_of_a_lesson_are_those_of_its_iteration():
    """Else the first iterations of an epoch show the last lesson of the epoch before, but not after a restart."""
    trainer, seen = make_trainer([make_pair((48, 48))] * 4, "regret", interval=2, warmup=0), []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(set(engine.outer_values)))
    trainer.run()
    assert seen == [set(), {"outer/teaching", "outer/departure"}] * 2


def test_the_proposal_waits_for_its_warm_up():
    trainer = make_trainer([make_pair((64, 64))] * 4, interval=1, warmup=4)
    before = copy.deepcopy(trainer.fusion_loss.state_dict())
    trainer.run()
    assert same(trainer.fusion_loss.state_dict(), before)
    assert trainer.outer_values == {}


def test_reconstruction_teaches_a_loss_under_which_more_can_be_rebuilt():
    """With network and reconstruction held still, the step on the taught loss rebuilds better than on the anchor's."""
    image = split_pair()
    options = {"virtual_step": 20, "anchor": 0.0, "warmup": 1000}
    trainer = make_trainer([image] * 100, "reconstruction", lr=2e-5, **options)
    trainer.run()

    def lesson() -> float:
        return trainer.teacher.teach(trainer.network, trainer.optimizer, image)["outer/teaching"]

    before = lesson()
    for _ in range(40):
        after = lesson()
    assert after < before - 1e-3


def test_the_loss_goes_down():
    image = make_pair((64, 64))
    trainer = make_trainer([image] * 120, None)
    before = trainer.fusion_loss(trainer.network(image), image).item()
    trainer.run()
    assert trainer.fusion_loss(trainer.network(image), image).item() < before - 0.02
    assert trainer.outer_values == {}


def test_an_adaptive_loss_without_a_teacher_stays_as_it_is():
    teacher, image = make_teacher(), make_pair((64, 64))
    network, optimizer = make_student()
    before = copy.deepcopy(teacher.loss.state_dict())
    FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image}] * 2,
        network=network,
        optimizer=optimizer,
        loss_function=teacher.loss,
    ).run()
    assert same(teacher.loss.state_dict(), before)


def test_a_reversible_network_is_taught_by_regret_alone():
    """The refusal must come before the training, not after the warm-up."""
    with pytest.raises(ValueError, match="Build it with `reversible=False`, or teach by regret"):
        make_trainer([make_pair((32, 32))], "reconstruction", reversible=True)
    make_trainer([make_pair((64, 64))] * 4, "regret", reversible=True, interval=2, warmup=0).run()


def test_loss_and_teacher_are_checked():
    network, optimizer = make_student()
    options = {"device": "cpu", "max_epochs": 1, "train_data_loader": [], "network": network, "optimizer": optimizer}
    with pytest.raises(TypeError, match="must be a FusionLoss.*got MSELoss"):
        FusionTrainer(loss_function=torch.nn.MSELoss(), **options)
    with pytest.raises(ValueError, match="must teach `loss_function`"):
        FusionTrainer(loss_function=FixedFusionLoss(), teacher=make_teacher(), **options)


def poisoned(pair: torch.Tensor) -> torch.Tensor:
    """The pair with one pixel that is not a number."""
    pair = pair.clone()
    pair[0, 0, 20, 20] = torch.nan
    return pair


def states(trainer: FusionTrainer) -> list[dict]:
    """All that a training changes: networks and optimizers."""
    parts = [trainer.network, trainer.fusion_loss, trainer.optimizer]
    return [copy.deepcopy(part.state_dict()) for part in [*parts, *([trainer.teacher] if trainer.teacher else [])]]


@pytest.mark.filterwarnings("ignore:epoch 1, iteration")
@pytest.mark.parametrize("teaching", [None, "regret", "reconstruction"])
def test_a_batch_with_a_pixel_that_is_no_number_changes_nothing(tmp_path, teaching):
    """Neither the network nor what the teacher trains; the batches after it are learned from as ever."""
    pairs = [make_pair((48, 48), seed) for seed in range(3)]
    options = {} if teaching is None else {"interval": 1, "warmup": 0}
    torch.manual_seed(0)
    disturbed = make_trainer([pairs[0], poisoned(pairs[1]), pairs[2]], teaching, **options)
    disturbed.bad_batches.folder, disturbed.bad_batches.limit = tmp_path, 1
    after_each = []
    disturbed.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: after_each.append(states(engine)))
    disturbed.run()
    first, second, third = after_each
    assert_same(first, second)
    assert not same(second[0], third[0])
    assert all(torch.isfinite(value).all() for value in third[0].values())
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0001_iteration_000002.pt"]
    assert not math.isnan(disturbed.state.output[0]["loss"])


@pytest.mark.filterwarnings("ignore:epoch 1, iteration")
def test_a_loss_that_is_no_number_changes_nothing():
    trainer = make_trainer([make_pair((48, 48))], None)
    trainer.fusion_loss.register_forward_hook(lambda module, given, loss: loss / 0)
    before = states(trainer)
    trainer.run()
    assert_same(before, states(trainer))
    assert trainer.bad_batches.count == 1


@pytest.mark.filterwarnings("ignore:epoch 1, iteration")
def test_a_gradient_that_is_no_number_changes_nothing():
    """Such as that of a square root at 0: the loss itself is finite."""
    trainer = make_trainer([make_pair((48, 48))], None)
    weight = next(trainer.network.parameters())
    weight.register_hook(lambda gradient: gradient * torch.nan)
    before = states(trainer)
    trainer.run()
    assert_same(before, states(trainer))
    assert trainer.bad_batches.count == 1


@pytest.mark.filterwarnings("ignore:epoch 1, iteration")
def test_a_training_that_has_diverged_ends():
    trainer = make_trainer([poisoned(make_pair((48, 48)))] * 9, None)
    trainer.logger.setLevel("CRITICAL")
    with pytest.raises(
        InputError,
        match="iteration 4: the fused image is not finite on unnamed images. No more than 3 batches of an epoch",
    ):
        trainer.run()


def test_two_trainings_do_not_share_a_folder(tmp_path):
    trainer = make_trainer([make_pair((48, 48))], None)
    trainer.folders = (tmp_path / "run", f"{tmp_path}/run/")
    with RunFolder(tmp_path / "run"), pytest.raises(InputError, match="another training writes there"):
        trainer.run()
    assert trainer.state.iteration == 0
    trainer.run()
    assert trainer.state.iteration == 1


def test_batches_must_hold_the_image():
    with pytest.raises(KeyError, match="must hold `image`"):
        prepare_fusion_batch({"label": torch.zeros(1)})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("teaching", ["regret", "reconstruction"])
def test_mixed_precision_on_cuda(teaching):
    trainer = make_trainer([make_pair((64, 64), seed) for seed in range(4)], teaching, interval=1, warmup=0)
    for part in (trainer.network, trainer.fusion_loss, getattr(trainer.teacher, "reconstruction", None)):
        if part is not None:
            part.cuda()
    trainer.state.device = torch.device("cuda")
    trainer.amp = True
    trainer.scaler = torch.amp.GradScaler("cuda")
    trainer.run()
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())


def test_lesions_teach_what_the_condition_uses():
    """Iterations with lesions alone: the network learns under its condition, and the log says how much was lost."""
    network = MMIFAMIN(2, channels=16, num_complementary_blocks=1, decoder_channels=8, num_decoder_blocks=1)
    optimizer = Muon(network.parameters(), lr=1e-2)
    image = textured(0)
    trainer = FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": image, "task": ["CT-MRI"] * len(image)}] * 40,
        network=network,
        optimizer=optimizer,
        loss_function=FixedFusionLoss(["local", "edges"]),
        lessons=LesionLessons(share=1.0, weight=3.0, pace=1.0),
    )
    seen = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.summary([])["outer/lesions"])
    )
    torch.manual_seed(0)
    trainer.run()
    assert sum(seen[-10:]) < sum(seen[:10])
    assert network.kept_maps.weight.grad.abs().max() > 0
    fused = [trainer.network.eval()(image, torch.tensor([keep])) for keep in (0.0, 1.0)]
    assert (fused[0] - fused[1]).abs().max() > 1e-3
    assert [tuple(item["pred"].shape) for item in trainer.state.output] == [(1, 96, 96)] * 2


def test_lessons_of_focus_bring_the_network_nearer_to_the_sharp_image():
    network = MMIFAMIN(
        2, channels=16, num_complementary_blocks=1, decoder_channels=8, num_decoder_blocks=1, rule="blend"
    )
    seen = []
    trainer = FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": textured(0)}] * 40,
        network=network,
        optimizer=Muon(network.parameters(), lr=1e-2),
        loss_function=FixedFusionLoss(["edges"]),
        lessons=FocusLessons(share=1.0),
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.summary([])["outer/focus"]))
    torch.manual_seed(0)
    trainer.run()
    assert sum(seen[-10:]) < 0.8 * sum(seen[:10])


def test_without_lesions_nothing_of_the_condition_moves():
    network = MMIFAMIN(2, channels=16, num_complementary_blocks=1, decoder_channels=8, num_decoder_blocks=1)
    before = copy.deepcopy(network.kept_maps.state_dict())
    FusionTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": textured(1)}] * 3,
        network=network,
        optimizer=Muon(network.parameters(), lr=1e-2),
        loss_function=FixedFusionLoss(["local", "edges"]),
    ).run()
    assert same(network.kept_maps.state_dict(), before)
