"""The shipped weights: their names, and what refuses others; their images are in tests/acceptance/golden.json."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ckpt_export
from monai.handlers import CheckpointLoader
from monai.networks.utils import copy_model_state
from scripts.inferers.contract import SHIPPED
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.enums import Runtime

from tests.conftest import BUNDLE


@pytest.fixture(scope="module")
def shipped() -> OrderedDict[str, torch.Tensor]:
    return torch.load(SHIPPED[Runtime.TORCH], weights_only=True)


def assert_shipped(network: torch.nn.Module, shipped: dict[str, torch.Tensor]) -> None:
    state = network.state_dict()  # TorchScript's also holds the constants of the Haar transform
    assert set(state) - {f"idn.levels.{k}.haar.signs" for k in (0, 1)} == set(shipped)
    assert all(torch.equal(state[key], shipped[key]) for key in shipped)


def test_the_handler_of_monai_loads_them(shipped):
    network = MMIFAMIN(2)
    engine = Engine(lambda engine, batch: None)
    CheckpointLoader(str(SHIPPED[Runtime.TORCH]), {"model": network}, strict=True).attach(engine)
    engine.run([0])
    assert_shipped(network, shipped)


def test_ckpt_export(tmp_path, monkeypatch, shipped):
    monkeypatch.chdir(BUNDLE)
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "net.ts"),
        ckpt_file=str(SHIPPED[Runtime.TORCH]),
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
    )
    assert_shipped(torch.jit.load(tmp_path / "net.ts"), shipped)


def test_shipped_names_are_those_of_the_network(shipped):
    """``monai.bundle.load`` and MONAI's federated learning copy by name and leave what they do not find as it was."""
    network = MMIFAMIN(2)
    _, updated, unchanged = copy_model_state(network, shipped)
    assert len(updated) == len(shipped)
    assert unchanged == []
    assert_shipped(network, shipped)


def test_another_architecture_is_refused(shipped):
    with pytest.raises(RuntimeError, match="size mismatch"):
        MMIFAMIN(2, channels=16).load_state_dict(shipped)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        MMIFAMIN(2, transformer=False).load_state_dict(shipped)
