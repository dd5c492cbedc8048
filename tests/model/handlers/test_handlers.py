from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from PIL import Image
from scripts.handlers.loss_summary import LossSummaryHandler
from scripts.handlers.resume import ResumeHandler
from scripts.handlers.validation import FusionValidationHandler
from scripts.losses.adaptive import FixedFusionLoss
from scripts.utils.checks import InputError

from tests.conftest import make_pair


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


def test_validation_keeps_the_best_weights_and_shares_the_metrics(tmp_path):
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


def test_patience_is_checked(tmp_path):
    with pytest.raises(ValueError, match="got 0"):
        FusionValidationHandler(1, FakeEvaluator([]), torch.nn.Linear(1, 1), tmp_path / "b.pt", patience=0)


def summarized(engine: Engine) -> Engine:
    engine.loss_function = FixedFusionLoss()
    engine.outer_values = {}
    engine.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    return engine


def test_loss_summary_writes_table_curves_and_metrics(tmp_path):
    pair = make_pair((64, 64))

    def step(engine, batch):
        engine.loss_function(pair.mean(dim=1, keepdim=True), pair)
        return [{"loss": 2.0 * batch[0]["number"]}]

    for first, last in ((1, 2), (2, 3)):  # a resumed run repeats epoch 2 and goes on
        engine = summarized(Engine(step))
        LossSummaryHandler(tmp_path).attach(engine)
        engine.add_event_handler(Events.STARTED, lambda e, first=first: setattr(e.state, "epoch", first - 1))
        engine.run([[{"number": n, "task": "PET-MRI"}] for n in (1, 2)], max_epochs=last)
        assert engine.state.metrics["loss"] == 3.0
        assert engine.state.metrics["learning_rate"] == pytest.approx(0.1)
    with (tmp_path / "loss_weights.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["weight/edges"]) > float(rows[0]["weight/intensity"])
    assert rows[0]["weight_PET-MRI/edges"] == rows[0]["weight/edges"]
    assert np.asarray(Image.open(tmp_path / "loss_weights.png")).std() > 1


def test_resume_refuses_another_architecture(tmp_path):
    torch.save({"network": torch.nn.Linear(2, 2).state_dict(), "epoch": 1, "iteration": 1}, tmp_path / "last.pt")
    engine = Engine(lambda engine, batch: None)
    engine.logger.setLevel("CRITICAL")
    ResumeHandler(tmp_path / "last.pt", {"network": torch.nn.Linear(3, 2)}).attach(engine)
    with pytest.raises(InputError, match="cannot resume from it"):
        engine.run([0], max_epochs=2)


def test_resume_refuses_a_damaged_file(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"half a file")
    engine = Engine(lambda engine, batch: None)
    engine.logger.setLevel("CRITICAL")
    ResumeHandler(tmp_path / "last.pt", {}).attach(engine)
    with pytest.raises(InputError, match="remove it to start anew"):
        engine.run([0], max_epochs=1)
