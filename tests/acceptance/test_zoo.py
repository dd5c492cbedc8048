"""The bundle as the Model Zoo takes it: its acceptance, and the archive used elsewhere by MONAI's own calls."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.test_configs import SMALL
from tests.acceptance.zoo import RefusedError, acceptance, build
from tests.conftest import BUNDLE

WORKFLOW = """
from monai.bundle import create_workflow
options = {"config_file": "configs/inference.json", "workflow_type": "infer"}
workflow = create_workflow(**options, output_dir="out", tasks=["CT-MRI"])
assert workflow.check_properties() == []
workflow.run()
workflow.finalize()
"""
LOAD = """
import torch, monai.bundle
net = monai.bundle.load("mmif_amin", bundle_dir="..", source="monaihosting")
a = torch.rand(1, 1, 40, 52)
assert torch.equal(net.eval()(torch.cat([a, a], dim=1)), a)
"""
FEDERATED = """
import json, sys, torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
options = {**json.loads(sys.argv[1]), "output_dir": "federated"}
algo = MonaiAlgo(bundle_root=".", local_epochs=1, train_kwargs=options, eval_kwargs=options)
algo.initialize(extra={ExtraItems.CLIENT_NAME: "site"})
first = {name: value.clone() for name, value in algo.train_workflow.network_def.state_dict().items()}
algo.train(data=ExchangeObject(weights=first), extra={})
update = algo.get_weights()
moved = sum(float(abs(torch.as_tensor(value)).sum()) for value in update.weights.values())
assert update.weights.keys() == first.keys() and moved > 0, moved
metrics = algo.evaluate(data=ExchangeObject(weights=first), extra={}).metrics
assert 0 < metrics["score"] < 1, metrics
algo.finalize()
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The archive's bundle, unpacked in a folder that has nothing to do with the repository."""
    folder = tmp_path_factory.mktemp("zoo")
    with zipfile.ZipFile(build(BUNDLE, folder)) as archive:
        archive.extractall(folder)
    return folder / "mmif_amin"


def run(folder: Path, *words: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout + result.stderr


def test_archive_is_the_bundle_and_nothing_else(tmp_path):
    first, second = build(BUNDLE, tmp_path / "1"), build(BUNDLE, tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()
    version = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["version"]
    assert first.name == f"mmif_amin_v{version}.zip"
    assert first.stat().st_size < 10e6
    names = set(zipfile.ZipFile(first).namelist())
    assert {"mmif_amin/models/model.pt", "mmif_amin/models/model.onnx", "mmif_amin/scripts/deploy/app.py"} <= names
    assert not [name for name in names if "__pycache__" in name or "/." in name or name.endswith("/")]


@pytest.mark.slow
def test_acceptance(unpacked):
    before = set(unpacked.rglob("*"))
    lines = list(acceptance(unpacked))
    assert set(unpacked.rglob("*")) == before
    assert len(lines) == 13
    assert "data shape of network is verified with no error." in lines[5]


def test_the_output_of_a_run_does_not_get_into_the_archive(unpacked, tmp_path):
    shutil.copytree(unpacked, tmp_path / "bundle", ignore=shutil.ignore_patterns("sample_data", "out", "runs"))
    (tmp_path / "bundle" / "runs").mkdir()
    with pytest.raises(RefusedError, match="found also runs"):
        build(tmp_path / "bundle", tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_what_the_zoo_would_refuse_is_refused(unpacked, tmp_path):
    def without(change) -> str:
        folder = tmp_path / "bundle"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(unpacked, folder, ignore=shutil.ignore_patterns("sample_data", "model.*"))
        (folder / "models" / "model.pt").touch()
        change(folder)
        with pytest.raises(RefusedError) as refused:
            list(acceptance(folder))
        return str(refused.value)

    def edit(name: str, old: str, new: str):
        def change(folder: Path) -> None:
            text = (folder / name).read_text()
            assert old in text
            (folder / name).write_text(text.replace(old, new))

        return change

    assert "missing: LICENSE" in without(lambda folder: (folder / "LICENSE").unlink())
    assert "does not name version 9" in without(edit("configs/metadata.json", '"version": "', '"version": "9'))
    assert "expected the sections" in without(edit("docs/README.md", "## Performance", "## Results"))
    assert "none for evaluate.json" in without(edit("docs/README.md", "configs/evaluate.json", "evaluate.json"))
    assert "Failed validating" in without(edit("configs/metadata.json", '"num_channels": 2', '"num_channels": "2"'))
    warn = 'import warnings; warnings.warn("ours")\n        super().__init__()\n        conv = conv_type'
    plain = "super().__init__()\n        conv = conv_type"
    assert "UserWarning: ours" in without(edit("scripts/networks/nets/mmif_amin.py", plain, warn))


@pytest.mark.slow
def test_monai_bundle_run_on_the_archive(unpacked, tmp_path):
    command = ["-m", "monai.bundle", "run", "inference", "--config_file", "configs/inference.json"]
    run(unpacked, *command, "--output_dir", str(tmp_path))
    assert len(list(tmp_path.rglob("*.png"))) > 3


@pytest.mark.slow
def test_create_workflow_on_the_archive(unpacked):
    run(unpacked, "-c", WORKFLOW)
    assert list((unpacked / "out").rglob("*.png"))


@pytest.mark.slow
def test_load_on_the_archive(unpacked):
    run(unpacked, "-c", LOAD)


@pytest.mark.slow
def test_federated_round_on_the_archive(unpacked):
    """Trains a round from given weights, sends the difference, evaluates."""
    run(unpacked, "-c", FEDERATED, json.dumps({**SMALL, "epochs": 1}))
