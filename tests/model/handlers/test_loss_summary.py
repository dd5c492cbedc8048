from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image
from scripts.handlers.loss_summary import LossSummaryHandler
from scripts.losses.fixed import FixedFusionLoss

from tests.conftest import make_pair


def summarized(engine: Engine) -> Engine:
    engine.fusion_loss, engine.outer_values = FixedFusionLoss(), {}
    engine.summary = lambda tasks: {"loss": engine.state.output[0]["loss"], **engine.fusion_loss.summary(tasks)}
    engine.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    return engine


def test_writes_table_curves_and_metrics(tmp_path):
    pair = make_pair((64, 64))

    def step(engine, batch):
        engine.fusion_loss(pair.mean(dim=1, keepdim=True), pair)
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


def test_a_value_that_is_not_always_there_has_the_mean_of_its_iterations(tmp_path):
    """The teacher's values come in its lessons only."""

    def step(engine, batch):
        engine.outer_values = {"outer/teaching": 4.0} if batch[0]["number"] == 2 else {}
        return [{"loss": 1.0}]

    engine = summarized(Engine(step))
    LossSummaryHandler(tmp_path).attach(engine)
    engine.run([[{"number": n}] for n in (1, 2, 3)], max_epochs=1)
    assert engine.state.metrics["outer/teaching"] == 4.0


def test_a_batch_that_was_left_out_has_no_part_in_the_means(tmp_path):
    engine = summarized(Engine(lambda engine, batch: [{"loss": [1.0, float("nan"), 3.0][engine.state.iteration - 1]}]))
    LossSummaryHandler(tmp_path, save=False).attach(engine)
    engine.run([[{"number": 1}]] * 3, max_epochs=1)
    assert engine.state.metrics["loss"] == 2.0


@pytest.mark.parametrize("text", ["epoch,loss\nx,1\n", "loss\n1\n", "epoch,loss\n1,one\n", "\0\xff"])
def test_a_damaged_table_begins_anew(tmp_path, text):
    (tmp_path / "loss_weights.csv").write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="loss_weights.csv: is damaged .* so it begins anew"):
        assert LossSummaryHandler(tmp_path)._rows(before=5) == []
