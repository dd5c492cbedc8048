"""Weights of version 0.4.0: its names of parameters are understood, and its images have stayed."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ckpt_export
from monai.handlers import CheckpointLoader
from monai.networks.utils import copy_model_state
from scripts.inferers.contract import SHIPPED
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.enums import Runtime

from tests.conftest import BUNDLE, make_pair

# How the names of parameters began in 0.4.0, before the blocks were MONAI's, and how they begin now.
RENAMED = {
    ".layers.layers0.": ".layers.0.",
    ".layers.layers1.": ".layers.1.",
    ".attention.1.qkv.conv.": ".attention.1.qkv.0.",
    ".attention.1.qkv_dwconv.conv.": ".attention.1.qkv.1.",
    ".attention.1.project_out.conv.": ".attention.1.project.",
}

# Fused values of make_pair((61, 83), seed=5) in double precision, every 10th row from 10 and every 15th column from 5,
# computed with version 0.4.0 and its model.pt (sha256 7a71e5a7...), MONAI 1.6.1, torch 2.13.0.
FUSED = [
    [0.0, 0.0, 0.9979983, 0.9953389, 0.0, 0.0],
    [0.0, 0.4799467, 0.4223159, 0.4671985, 0.4951829, 0.0],
    [0.0, 0.5001888, 0.4903525, 0.3902937, 0.4895421, 0.0],
    [0.0, 0.4533162, 0.6943607, 0.6110986, 0.4371854, 0.0],
    [0.0, 0.0, 0.364935, 0.3226538, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
]
FUSED_MEAN, FUSED_DEVIATION = 0.31665214, 0.35988800


@pytest.fixture(scope="module")
def shipped() -> OrderedDict[str, torch.Tensor]:
    return torch.load(SHIPPED[Runtime.TORCH], weights_only=True)


@pytest.fixture
def old_file(tmp_path, shipped) -> Path:
    """The shipped weights with the names of 0.4.0."""
    old = {}
    for key, value in shipped.items():
        for now, before in RENAMED.items():
            key = key.replace(now, before)
        old[key] = value
    assert len(set(old) - set(shipped)) == 44
    torch.save(old, tmp_path / "old.pt")
    return tmp_path / "old.pt"


def assert_shipped(network: torch.nn.Module, shipped: dict[str, torch.Tensor]) -> None:
    state = network.state_dict()  # TorchScript's also holds the constants of the Haar transform
    assert set(state) - {f"idn.levels.{k}.haar.signs" for k in (0, 1)} == set(shipped)
    assert all(torch.equal(state[key], shipped[key]) for key in shipped)


def test_images_are_those_of_0_4_0(shipped):
    network = MMIFAMIN(2).double().eval()
    network.load_state_dict(shipped)
    with torch.no_grad():
        fused = network(make_pair((61, 83), seed=5).double())[0, 0].numpy()
    assert np.abs(fused[10::10, 5::15] - FUSED).max() <= 1e-6
    assert fused.mean() == pytest.approx(FUSED_MEAN, abs=1e-6)
    assert fused.std(ddof=1) == pytest.approx(FUSED_DEVIATION, abs=1e-6)


def test_old_state_dict(old_file, shipped):
    network, state = MMIFAMIN(2), torch.load(old_file, weights_only=True)
    names = list(state)
    assert str(network.load_state_dict(state, strict=True)) == "<All keys matched successfully>"
    assert_shipped(network, shipped)
    assert list(state) == names, "the state dict of the caller was changed"


def test_old_state_dict_of_a_part(old_file, shipped):
    """The IDN alone, as a user may have saved it."""
    idn = MMIFAMIN(2).idn
    state = torch.load(old_file, weights_only=True)
    idn.load_state_dict({key.removeprefix("idn."): value for key, value in state.items() if key.startswith("idn.")})
    assert torch.equal(
        idn.state_dict()["levels.0.blocks.0.subnet_1.layers.layers0.0.weight"], shipped[next(iter(shipped))]
    )


def test_old_weights_through_the_handler_of_monai(old_file, shipped):
    network = MMIFAMIN(2)
    engine = Engine(lambda engine, batch: None)
    CheckpointLoader(str(old_file), {"model": network}, strict=True).attach(engine)
    engine.run([0])
    assert_shipped(network, shipped)


@pytest.mark.parametrize("file", ["old", "shipped"])
def test_ckpt_export(tmp_path, monkeypatch, old_file, shipped, file):
    monkeypatch.chdir(BUNDLE)
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "net.ts"),
        ckpt_file=str(old_file if file == "old" else SHIPPED[Runtime.TORCH]),
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
    )
    exported = torch.jit.load(tmp_path / "net.ts")
    assert_shipped(exported, shipped)


def test_shipped_names_are_those_of_the_network(shipped):
    """``monai.bundle.load`` and MONAI's federated learning copy by name and leave what they do not find as it was."""
    network = MMIFAMIN(2)
    _, updated, unchanged = copy_model_state(network, shipped)
    assert len(updated) == len(shipped)
    assert unchanged == []
    assert_shipped(network, shipped)


def test_another_architecture_is_still_refused(shipped):
    with pytest.raises(RuntimeError, match="size mismatch"):
        MMIFAMIN(2, channels=16).load_state_dict(shipped)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        MMIFAMIN(2, transformer=False).load_state_dict(shipped)
