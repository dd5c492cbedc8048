"""Validation during a training: the best weights are kept, also over a restart, and the training ends in time."""

from __future__ import annotations

import json

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from scripts.handlers.resume import ResumeHandler
from scripts.handlers.validation import FusionValidationHandler


class FakeEvaluator(Evaluator):
    """Returns a given key metric at each run."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)
        self.state = type("State", (), {"metrics": {}, "key_metric_name": "score"})()

    def run(self, global_epoch: int = 1) -> None:
        self.state.metrics = {"score": next(self.values), "VIF": float(global_epoch)}


def run_validation(tmp_path, values, epochs, **options):
    network = torch.nn.Linear(1, 1)
    handler = FusionValidationHandler(1, FakeEvaluator(values), network, tmp_path / "best.pt", **options)
    engine = Engine(lambda engine, batch: torch.nn.init.constant_(network.weight, engine.state.epoch))
    engine.logger.setLevel("ERROR")
    handler.attach(engine)
    engine.run([0], max_epochs=epochs)
    return handler, engine


def test_best_weights_are_kept_and_metrics_shared(tmp_path):
    handler, engine = run_validation(tmp_path, [0.1, 0.5, 0.3], 3)
    assert torch.load(tmp_path / "best.pt", weights_only=True)["weight"].item() == 2
    assert json.loads((tmp_path / "best.json").read_text()) == {"epoch": 2, "metrics": {"score": 0.5, "VIF": 2.0}}
    assert engine.state.metrics["val/score"] == 0.3
    assert handler.state_dict() == {"best": 0.5, "waited": 1}


def test_an_epoch_without_validation_has_none_of_its_metrics(tmp_path):
    """Else MLflow shows the last validation's again, as if it had been measured."""
    seen = []
    handler = FusionValidationHandler(2, FakeEvaluator([0.1, 0.2]), torch.nn.Linear(1, 1), tmp_path / "best.pt")
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: seen.append(dict(e.state.metrics)))
    engine.run([0], max_epochs=4)
    assert [metrics.get("val/score") for metrics in seen] == [None, 0.1, None, 0.2]


def test_training_stops_when_nothing_improves(tmp_path):
    _, engine = run_validation(tmp_path, [0.5, 0.4, 0.3, 0.9], 4, patience=2)
    assert engine.state.epoch == 3


def test_other_processes_do_not_write(tmp_path):
    run_validation(tmp_path, [0.5], 1, save=False)
    assert not list(tmp_path.iterdir())


def test_best_survives_a_restart(tmp_path):
    run_validation(tmp_path, [0.5], 1)
    network = torch.nn.Linear(1, 1)
    handler = FusionValidationHandler(1, FakeEvaluator([0.4]), network, tmp_path / "best.pt")
    handler.load_state_dict({"best": 0.5, "waited": 0})
    before = (tmp_path / "best.pt").read_bytes()
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    assert (tmp_path / "best.pt").read_bytes() == before


def test_a_training_that_ended_early_does_not_go_on_when_it_is_started_again(tmp_path):
    """Also where it was killed between the last epoch and its end: else it would end with other weights."""
    ends = []
    for _ in range(3):
        network = torch.nn.Linear(1, 1)
        validation = FusionValidationHandler(1, FakeEvaluator([0.5, 0.4, 0.3, 0.9]), network, tmp_path / "best.pt", 2)
        engine = Engine(lambda engine, batch, n=network: torch.nn.init.constant_(n.weight, engine.state.epoch))
        engine.logger.setLevel("ERROR")
        validation.attach(engine)
        ResumeHandler(tmp_path / "last.pt", {"network": network, "validation": validation}).attach(engine)
        engine.add_event_handler(Events.COMPLETED, lambda e, n=network: ends.append((e.state.epoch, n.weight.item())))
        engine.run([0], max_epochs=4)
    assert ends == [(3, 3.0)] * 3


def test_patience_is_checked(tmp_path):
    with pytest.raises(ValueError, match="got 0"):
        FusionValidationHandler(1, FakeEvaluator([]), torch.nn.Linear(1, 1), tmp_path / "b.pt", patience=0)
