"""What handlers share on several processes; the whole is in tests/acceptance/test_distributed.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch.distributed as dist
from ignite.engine import Engine
from monai.data import DistributedSampler
from scripts.handlers.processes import LostProcessHandler, first_of_each, positions_of

CLOSED = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.1.1]:2"


@pytest.fixture
def one_of_one(tmp_path):
    """A process group with this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def fail(error: Exception) -> Engine:
    def step(engine, batch):
        raise error

    engine = Engine(step)
    engine.logger.setLevel("CRITICAL")
    LostProcessHandler().attach(engine)
    return engine


@pytest.mark.parametrize(
    "text", [CLOSED, "Timed out waiting 1800000ms for recv operation", "NCCL communicator was aborted"]
)
def test_a_lost_process_is_one_line(one_of_one, text):
    with pytest.raises(SystemExit, match="another process of this run has ended") as caught:
        fail(RuntimeError(text)).run([0])
    assert "\n" not in str(caught.value)


def test_another_error_stays_as_it_is(one_of_one):
    with pytest.raises(ValueError, match="connection closed"):
        fail(ValueError("connection closed")).run([0])


def test_on_one_process_every_error_stays_as_it_is():
    with pytest.raises(RuntimeError, match="Connection closed"):
        fail(RuntimeError(CLOSED)).run([0])


@pytest.mark.parametrize("images", [7, 3, 4], ids=["uneven", "fewer-than-processes", "even"])
def test_each_image_counts_once_in_its_order(one_of_one, images):
    """The sampler repeats images until each of four processes has as many."""
    seen = []
    for rank in range(4):
        sampler = DistributedSampler(range(images), num_replicas=4, rank=rank, shuffle=False)
        seen += positions_of(SimpleNamespace(data_loader=SimpleNamespace(sampler=sampler, dataset=range(images))))
    assert len(seen) % 4 == 0
    assert [seen[index] for index in first_of_each(seen)] == list(range(images))


def test_without_a_sampler_every_process_sees_every_image(one_of_one):
    loader = SimpleNamespace(sampler=None, dataset=range(3))
    assert positions_of(SimpleNamespace(data_loader=loader)) == [0, 1, 2]
