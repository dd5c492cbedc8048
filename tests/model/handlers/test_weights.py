"""The network's weights before and after a run."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from scripts.handlers.weights import SealedCheckpointLoader, WeightsSaver
from scripts.utils.checks import InputError
from scripts.utils.weights import load_state

from tests.model.full_disk import full_disk


def engine_with(handler, step=lambda engine, batch: None) -> Engine:
    engine = Engine(step)
    engine.logger.setLevel("CRITICAL")
    handler.attach(engine)
    return engine


def test_written_after_a_run_and_read_before_the_next(tmp_path):
    trained, fresh = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    engine_with(WeightsSaver(tmp_path / "final.pt", trained)).run([0], max_epochs=2)
    engine_with(SealedCheckpointLoader(tmp_path / "final.pt", torch.nn.DataParallel(fresh))).run([0], max_epochs=1)
    assert torch.equal(trained.weight, fresh.weight)
    assert set(load_state(tmp_path / "final.pt")) == {"weight", "bias"}


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    saver = WeightsSaver(tmp_path / "final.pt", torch.nn.Linear(100, 100))
    with full_disk(9000), pytest.raises(InputError, match=r"final.pt: could not be written"):
        engine_with(saver).run([0], max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_after_an_error_or_by_another_process(tmp_path):
    def fail(engine, batch):
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        engine_with(WeightsSaver(tmp_path / "final.pt", torch.nn.Linear(2, 2)), fail).run([0], max_epochs=1)
    engine_with(WeightsSaver(tmp_path / "final.pt", torch.nn.Linear(2, 2), save=False)).run([0], max_epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_not_evaluated(tmp_path):
    engine_with(WeightsSaver(tmp_path / "best.pt", torch.nn.Linear(2, 2))).run([0], max_epochs=1)
    data = bytearray((tmp_path / "best.pt").read_bytes())
    data[len(data) // 2] ^= 64
    (tmp_path / "best.pt").write_bytes(data)
    with pytest.raises(InputError, match="best.pt: is damaged"):
        engine_with(SealedCheckpointLoader(tmp_path / "best.pt", torch.nn.Linear(2, 2))).run([0], max_epochs=1)
