"""`mmif-amin export` on other weights than the shipped ones, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scripts.inferers.contract import SMALLEST_SIDE
from scripts.utils.checks import InputError
from scripts.utils.files import sha256_of

from mmif_amin import export
from mmif_amin.cli import main
from mmif_amin.fuser import load
from tests.conftest import BUNDLE, make_pair, write_gray

pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra 'onnx')")


@pytest.mark.slow
def test_exports_of_other_weights_run_in_every_runtime(tmp_path, capsys):
    state = load(runtime="torch").network.state_dict()
    state["maps.bias"] += 0.3
    torch.save(state, tmp_path / "other.pt")
    command = ["export", "-o", str(tmp_path / "out"), "--weights", str(tmp_path / "other.pt")]
    run = subprocess.run([sys.executable, "-m", "mmif_amin", *command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert [line.split(": ")[1].split(",")[0] for line in run.stdout.splitlines()[:3]] == [
        "TorchScript",
        "ONNX",
        "torch.export",
    ]
    assert "Warning" not in run.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["weights"]["sha256"] == sha256_of(tmp_path / "other.pt")
    assert manifest["files"]["model.onnx"]["opset"] == 20
    assert manifest["packages"]["torch"] == torch.__version__
    sources = [str(write_gray(tmp_path / f"{k}.png", x)) for k, x in enumerate(make_pair((48, 64))[0].numpy())]
    fused = []
    for runtime, name in (("torch", "../other.pt"), ("torchscript", "model.ts"), ("onnx", "model.onnx")):
        for option in (["--runtime", runtime], []):  # the suffix alone says it too
            words = ["fuse", *sources, "-o", str(tmp_path / f"{runtime}.png"), *option]
            assert main([*words, "--weights", str(tmp_path / "out" / name)]) == 0
            fused.append((tmp_path / f"{runtime}.png").read_bytes())
    assert len(set(fused)) == 1
    assert main(["fuse", *sources, "-o", str(tmp_path / "shipped.png"), "--runtime", "onnx"]) == 0
    assert (tmp_path / "shipped.png").read_bytes() != fused[0]


@pytest.mark.slow
def test_a_task_of_photographs_is_exported_without_a_condition(tmp_path):
    command = ["export", "-o", str(tmp_path), "--task", "multi-focus", "--format", "onnx"]
    run = subprocess.run([sys.executable, "-m", "mmif_amin", *command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["multi_focus.onnx", "multi_focus_manifest.json"]
    manifest = json.loads((tmp_path / "multi_focus_manifest.json").read_text())
    assert manifest["condition"] is None
    assert manifest["weights"]["sha256"] == sha256_of(BUNDLE / "models" / "multi_focus.pt")
    assert list(manifest["files"]) == ["multi_focus.onnx"]
    a, b = make_pair((48, 64))[0].numpy()
    exported = load(tmp_path / "multi_focus.onnx", task="multi-focus")
    assert np.abs(exported(a, b) - load(task="multi-focus", runtime="torch")(a, b)).max() < 1e-4


def test_bad_input_leaves_nothing(tmp_path, capsys):
    (tmp_path / "noise.pt").write_bytes(b"noise")
    assert main(["export", "-o", str(tmp_path / "out"), "--weights", str(tmp_path / "noise.pt")]) == 2
    assert "expected weights of the network" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    assert main(["export", "-o", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_an_export_that_differs_is_refused(tmp_path, monkeypatch):
    """And what was there is left as it was."""
    (tmp_path / "model.ts").write_bytes(b"earlier")
    monkeypatch.setattr(export, "_traced", lambda network, with_condition: None)
    monkeypatch.setattr(export, "_difference", lambda exported, network, with_condition: 2e-4)
    with pytest.raises(RuntimeError, match=r"model\.ts: differs from PyTorch by 0\.0002"):
        export.export_network(tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.ts", b"earlier")]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"export needs onnxscript, which is not installed: pip install 'mmif-amin"):
        export.export_network(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_manifest_of_the_shipped_files_is_what_is_written():
    """Same keys as `export_network` writes, and no file above 1 MB, which the Model Zoo would not take."""
    manifest = json.loads((BUNDLE / "models" / "manifest.json").read_text())
    assert list(manifest) == ["version", "weights", "input", "condition", "output", "compared_on", "files", "packages"]
    assert manifest["input"]["smallest_side"] == SMALLEST_SIDE
    assert max(facts["bytes"] for facts in manifest["files"].values()) < 2**20
