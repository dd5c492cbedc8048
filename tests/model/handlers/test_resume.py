"""What the resume file holds, and which files are refused; the exact resume itself is in tests/acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.data import Dataset
from monai.transforms import Compose, RandFlip
from scripts.handlers.resume import ResumeHandler
from scripts.losses.adaptive import AdaptiveFusionLoss
from scripts.losses.terms.table import term_names
from scripts.networks.nets.loss_proposal import LossProposalNet
from scripts.utils.checks import InputError
from scripts.utils.weights import load_state, save_state

from tests.model.full_disk import full_disk


def resume(path: Path, objects: dict, epochs: int = 1, ran: list[int] | None = None, **options) -> Engine:
    """Train, or go on; ``ran`` gets the epochs that were trained."""
    engine = Engine(lambda engine, batch: None if ran is None else ran.append(engine.state.epoch))
    engine.logger.setLevel("CRITICAL")
    ResumeHandler(path, objects, **options).attach(engine)
    engine.run([0], max_epochs=epochs)
    return engine


def test_goes_on_where_it_was(tmp_path):
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    resume(tmp_path / "last.pt", {"network": first, "teacher": None}, epochs=2)
    ran: list[int] = []
    engine = resume(tmp_path / "last.pt", {"network": second, "teacher": None}, epochs=3, ran=ran)
    assert ran == [3]
    assert torch.equal(first.weight, second.weight)
    assert engine.state.epoch == engine.state.iteration == 3
    assert set(load_state(tmp_path / "last.pt")) == {"network", "epoch", "iteration"}
    assert [load_state(tmp_path / name)["epoch"] for name in ("last.pt", "last_before.pt")] == [3, 2]


def test_an_epoch_has_the_same_random_numbers_in_each_run(tmp_path):
    dataset, drawn = Dataset([0], Compose([RandFlip(prob=0.5)])), []
    for _ in range(2):
        engine = Engine(lambda engine, batch: drawn.append((torch.rand(1), dataset.transform.transforms[0].R.rand())))
        ResumeHandler(tmp_path / "last.pt", {}, dataset, seed=3, save=False).attach(engine)
        engine.run([0], max_epochs=2)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "seeds"),
    [({}, [1, 2]), ({"seed": 3}, [3001, 3002]), ({"seed": 3, "rank": 2}, [2_003_007, 2_003_008])],
    ids=["defaults", "seed", "rank"],
)
def test_seeds_of_the_epochs(tmp_path, options, seeds):
    """They never change: a training that goes on under a later version must reach the same result."""
    dataset, drawn = Dataset([0], Compose([RandFlip(prob=0.5)])), []
    engine = Engine(lambda engine, batch: drawn.append((torch.initial_seed(), torch.rand(1).item())))
    ResumeHandler(tmp_path / "last.pt", {}, dataset, save=False, **options).attach(engine)
    engine.run([0], max_epochs=2)
    expected = [(seed, torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()) for seed in seeds]
    assert drawn == expected


def test_another_architecture_is_refused(tmp_path):
    save_state({"network": torch.nn.Linear(2, 2).state_dict(), "epoch": 1, "iteration": 1}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="cannot resume from it"):
        resume(tmp_path / "last.pt", {"network": torch.nn.Linear(3, 2)})


def test_another_configuration_is_refused(tmp_path):
    """Such as a file of version 0.4.0, which always held a reconstruction network."""
    network = torch.nn.Linear(2, 2)
    parts = {"network": network.state_dict(), "reconstruction": {}, "epoch": 1, "iteration": 1}
    save_state(parts, tmp_path / "last.pt")
    with pytest.raises(InputError, match="must hold network, teacher, got network, reconstruction"):
        resume(tmp_path / "last.pt", {"network": network, "teacher": network})


def test_a_proposal_for_other_terms_is_refused(tmp_path):
    """Two swapped names; without the refusal the weights would be read for the wrong terms."""
    first, second, *rest = term_names()
    resume(tmp_path / "last.pt", {"loss": AdaptiveFusionLoss(LossProposalNet(2, [second, first, *rest]))})
    with pytest.raises(InputError, match=f"must be for the terms {first}, {second}, .* got {second}, {first}, "):
        resume(tmp_path / "last.pt", {"loss": AdaptiveFusionLoss(LossProposalNet(2, term_names()))}, epochs=2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data)


@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(path.read_bytes()[:-999])], ids=["bit", "end"])
def test_a_damaged_file_falls_back_on_the_epoch_before(tmp_path, damage):
    """The epoch is trained again. The damaged file does not take the place of the whole one."""
    resume(tmp_path / "last.pt", {"network": torch.nn.Linear(9, 9)}, epochs=3)
    damage(tmp_path / "last.pt")
    ran: list[int] = []
    with pytest.warns(UserWarning, match="last.pt: cannot resume from it.* The training goes on from the epoch before"):
        engine = resume(tmp_path / "last.pt", {"network": torch.nn.Linear(9, 9)}, epochs=3, ran=ran)
    assert ran == [3]
    assert engine.state.iteration == 3
    assert [load_state(tmp_path / name)["epoch"] for name in ("last.pt", "last_before.pt")] == [3, 2]


@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
def test_two_damaged_files_are_refused(tmp_path):
    resume(tmp_path / "last.pt", {"network": torch.nn.Linear(9, 9)}, epochs=2)
    flip(tmp_path / "last.pt")
    (tmp_path / "last_before.pt").write_bytes(b"half a file")
    with pytest.raises(InputError, match="last.pt: .* is damaged.*last_before.pt: .*remove it to start anew"):
        resume(tmp_path / "last.pt", {"network": torch.nn.Linear(9, 9)})


def test_who_removes_the_file_starts_anew(tmp_path):
    resume(tmp_path / "last.pt", {}, epochs=2)
    (tmp_path / "last.pt").unlink()
    assert resume(tmp_path / "last.pt", {}, epochs=1).state.epoch == 1
    assert load_state(tmp_path / "last.pt")["epoch"] == 1


def test_a_kill_between_the_two_renames_loses_no_epoch(tmp_path):
    resume(tmp_path / "last.pt", {}, epochs=2)
    (tmp_path / "last.pt").rename(tmp_path / ".last_coming.pt")
    assert resume(tmp_path / "last.pt", {}, epochs=3).state.iteration == 3
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "last_before.pt"}


def test_a_full_disk_ends_the_training_and_the_next_start_goes_on(tmp_path):
    network = torch.nn.Linear(50, 50)
    resume(tmp_path / "last.pt", {"network": network}, epochs=2)
    with full_disk(5000), pytest.raises(InputError, match=r"/last.pt: could not be written: File too large"):
        resume(tmp_path / "last.pt", {"network": network}, epochs=3)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "last_before.pt"}
    assert resume(tmp_path / "last.pt", {"network": network}, epochs=3).state.iteration == 3


def test_a_training_that_is_started_again_keeps_the_weights_it_was_given(tmp_path):
    """Federated learning starts the same trainer once a round, with weights that the server has averaged."""
    network, engine = torch.nn.Linear(2, 2), Engine(lambda engine, batch: None)
    ResumeHandler(tmp_path / "last.pt", {"network": network}).attach(engine)
    engine.run([0], max_epochs=1)
    averaged = torch.full((2, 2), 0.5)
    with torch.no_grad():
        network.weight.copy_(averaged)
    engine.run([0], max_epochs=2)
    assert torch.equal(network.weight, averaged)
    assert engine.state.epoch == 2


def test_processes_draw_different_random_numbers(tmp_path):
    dataset, drawn = Dataset([0], Compose([RandFlip(prob=0.5)])), []
    for rank in (0, 1):
        engine = Engine(lambda engine, batch: drawn.append(dataset.transform.transforms[0].R.rand()))
        ResumeHandler(tmp_path / "last.pt", {}, dataset, rank=rank, save=False).attach(engine)
        engine.run([0], max_epochs=3)
    assert len(set(drawn)) == 6
