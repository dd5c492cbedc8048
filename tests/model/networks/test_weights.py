"""The shipped weights: their images, their names, and what refuses others."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ckpt_export
from monai.handlers import CheckpointLoader
from monai.networks.utils import copy_model_state
from scripts.inferers.contract import SHIPPED
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.enums import Keep, Runtime

from tests.conftest import BUNDLE, make_pair

# Fused values of make_pair((61, 83), seed=5) in double precision, every 10th row from 10 and every 15th column from 5,
# computed once with these weights (sha256 01cd1f99...), MONAI 1.6.1, torch 2.13.0.
FUSED = {
    Keep.BOTH: [
        [0.0, 0.0, 0.9998745, 0.9990717, 0.0, 0.0],
        [0.0, 0.4396685, 0.3915456, 0.4355926, 0.473835, 0.0],
        [0.0, 0.4820308, 0.4544974, 0.3703888, 0.4500215, 0.0],
        [0.0, 0.45765, 0.6674736, 0.5780043, 0.4222354, 0.0],
        [0.0, 0.0, 0.3439437, 0.3159017, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ],
    Keep.LESIONS: [
        [0.0, 0.0, 0.9996836, 0.9976655, 0.0, 0.0],
        [0.0, 0.5994811, 0.3711057, 0.4169352, 0.5571404, 0.0],
        [0.0, 0.4629897, 0.4029974, 0.3254337, 0.4403442, 0.0],
        [0.0, 0.4953163, 0.6110836, 0.565417, 0.4763398, 0.0],
        [0.0, 0.0, 0.2714735, 0.207738, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ],
}
# Mean and standard deviation of the whole images.
MEANS = {Keep.BOTH: (0.30862810, 0.35644966), Keep.LESIONS: (0.28288165, 0.32615003)}


@pytest.fixture(scope="module")
def shipped() -> OrderedDict[str, torch.Tensor]:
    return torch.load(SHIPPED[Runtime.TORCH], weights_only=True)


def assert_shipped(network: torch.nn.Module, shipped: dict[str, torch.Tensor]) -> None:
    state = network.state_dict()  # TorchScript's also holds the constants of the Haar transform
    assert set(state) - {f"idn.levels.{k}.haar.signs" for k in (0, 1)} == set(shipped)
    assert all(torch.equal(state[key], shipped[key]) for key in shipped)


@pytest.mark.parametrize("keep", list(Keep))
def test_images_stay_what_they_are(shipped, keep):
    network = MMIFAMIN(2).double().eval()
    network.load_state_dict(shipped)
    with torch.no_grad():
        fused = network(make_pair((61, 83), seed=5).double(), torch.tensor([keep.condition]))[0, 0].numpy()
    assert np.abs(fused[10::10, 5::15] - FUSED[keep]).max() <= 1e-6
    assert (fused.mean(), fused.std(ddof=1)) == pytest.approx(MEANS[keep], abs=1e-6)


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
