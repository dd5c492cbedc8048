"""The way to the pixel optimum: its ends, its tasks, and the report at the end of a training."""

from __future__ import annotations

import json

import pytest
import torch
from ignite.engine import Engine
from scripts.handlers.pixel_optimum import PixelOptimumHandler
from scripts.inferers.optimum import way_closed
from scripts.inferers.refinement import Refinement
from torch import nn

from tests.conftest import make_pair


class Maximum(nn.Module):
    """What a network is at its start."""

    def __init__(self) -> None:
        super().__init__()
        self.shade = nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.shade * image.amax(dim=1, keepdim=True)


class Refined(Maximum):
    """Half of the way: some steps of those that lead to the optimum."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return Refinement(6)(super().forward(image), image)


def pairs(count: int = 2) -> list[dict]:
    tasks = ["CT-MRI", "PET-MRI"]
    return [{"image": make_pair((64, 64), seed)[0], "task": tasks[seed % 2]} for seed in range(count)]


def test_the_maximum_has_gone_nothing_of_the_way():
    assert way_closed(Maximum(), pairs(), steps=4) == {"CT-MRI": 0.0, "PET-MRI": 0.0}


def test_steps_of_the_loss_go_a_part_of_it():
    told = []
    reached = way_closed(Refined(), pairs(), steps=12, advance=lambda: told.append(1))
    assert all(0.3 < part < 1 for part in reached.values())
    assert len(told) == 2


@pytest.mark.parametrize("save", [True, False])
def test_the_report_comes_after_the_last_epoch(tmp_path, save):
    network, best = Maximum(), Maximum()
    best.shade.data.fill_(0.9)
    torch.save(best.state_dict(), tmp_path / "best.pt")
    engine, reported = Engine(lambda engine, batch: None), []
    path = tmp_path / "way_closed.json"
    PixelOptimumHandler(network, tmp_path / "best.pt", pairs(4), path, 2, 3, save).attach(engine)
    engine.add_event_handler("EPOCH_COMPLETED", lambda engine: reported.append(dict(engine.state.metrics)))
    engine.run([0], max_epochs=2)
    assert reported[0] == {}
    assert path.is_file() is save
    if save:
        parts = json.loads(path.read_text())
        assert reported[1] == {f"way_closed/{task}": part for task, part in parts.items()}
        assert parts == way_closed(best, pairs(2), 3)
        assert network.shade.item() == 1
