"""Which runtime runs which weights, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scripts.inferers.contract import (
    INPUT_NAME,
    OUTPUT_NAME,
    SHIPPED,
    check_exported,
    choose_runtime,
)
from scripts.utils.checks import InputError
from scripts.utils.enums import Runtime

from tests.conftest import BUNDLE

CASES = [  # weights, device, runtime, precision, expected runtime and file
    pytest.param(None, "cpu", "auto", "float32", ("onnx", "model.onnx"), id="shipped-cpu"),
    pytest.param(None, "cuda", "auto", "float32", ("torchscript", "model.ts"), id="shipped-cuda"),
    pytest.param(None, "cuda:1", "auto", "float32", ("torchscript", "model.ts"), id="shipped-second-cuda"),
    pytest.param(None, "mps", "auto", "float32", ("torch", "model.pt"), id="shipped-other-device"),
    pytest.param(None, "cpu", "auto", "bfloat16", ("torch", "model.pt"), id="shipped-bfloat16"),
    pytest.param("own.pt", "cpu", "auto", "float32", ("torch", "own.pt"), id="own-torch"),
    pytest.param("own.pth", "cpu", "auto", "float32", ("torch", "own.pth"), id="own-other-suffix"),
    pytest.param("own.ts", "cpu", "auto", "float32", ("torchscript", "own.ts"), id="own-torchscript"),
    pytest.param("own.onnx", "cuda", "auto", "float32", ("onnx", "own.onnx"), id="own-onnx"),
    pytest.param("own.pt", "cpu", "torchscript", "float32", ("torchscript", "own.pt"), id="torchscript-named-pt"),
    pytest.param(None, "cpu", "torch", "float32", ("torch", "model.pt"), id="torch"),
    pytest.param(None, "cpu", "torchscript", "float32", ("torchscript", "model.ts"), id="torchscript"),
]
REFUSED = [
    pytest.param("missing.pt", "auto", "float32", InputError, "found nothing there", id="missing"),
    pytest.param(
        "own.onnx", "torch", "float32", InputError, r"expected a \.pt file for the runtime torch", id="suffix"
    ),
    pytest.param("own.ts", "onnx", "float32", InputError, "got one for torchscript", id="other-suffix"),
    pytest.param(None, "onnx", "bfloat16", InputError, "is for the runtime torch, got onnx", id="bfloat16"),
    pytest.param("own.onnx", "auto", "bfloat16", InputError, "is for the runtime torch, got onnx", id="bfloat16-file"),
    pytest.param(None, "tensorrt", "float32", ValueError, "tensorrt", id="runtime"),
    pytest.param(None, "auto", "float16", ValueError, "float16", id="precision"),
]


@pytest.mark.parametrize(("weights", "device", "runtime", "precision", "expected"), CASES)
def test_choice(tmp_path, weights, device, runtime, precision, expected):
    path = None if weights is None else tmp_path / weights
    if path is not None:
        path.touch()
    chosen, file = choose_runtime(path, device, runtime, precision)
    assert (str(chosen), file.name) == expected
    assert file.parent == (tmp_path if weights else BUNDLE / "models")


@pytest.mark.parametrize(("weights", "runtime", "precision", "error", "message"), REFUSED)
def test_what_cannot_run_is_refused(tmp_path, weights, runtime, precision, error, message):
    if weights is not None and "missing" not in weights:
        (tmp_path / weights).touch()
    with pytest.raises(error, match=message):
        choose_runtime(None if weights is None else tmp_path / weights, "cpu", runtime, precision)


def test_without_onnx_runtime_the_cpu_takes_torchscript(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_runtime()[0] is Runtime.TORCHSCRIPT


def test_names_are_those_of_the_metadata():
    contract = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["network_data_format"]
    assert list(contract["inputs"]) == [INPUT_NAME]
    assert list(contract["outputs"]) == [OUTPUT_NAME]


@pytest.mark.parametrize(
    ("fuse", "message"),
    [
        pytest.param(lambda image: image[:, 0], r"net\.ts: expected .* makes \[1, 1, 16, 16\]", id="shape"),
        pytest.param(lambda image: image @ np.zeros(3), r"net\.ts: expected .* one that fails", id="fails"),
    ],
)
def test_foreign_networks_are_refused(tmp_path, fuse, message):
    check_exported(tmp_path / "net.ts", lambda image: image[:, :1])
    with pytest.raises(InputError, match=message):
        check_exported(tmp_path / "net.ts", fuse)


def test_onnx_needs_no_torch():
    """The modules of the fast start, up to a fused array."""
    code = (
        "import sys, numpy as np\n"
        "from scripts.inferers.contract import choose_runtime\n"
        "from scripts.inferers.onnx_session import OnnxSession\n"
        "from scripts.inferers.tiles import fuse_in_tiles\n"
        "session = OnnxSession(choose_runtime()[1])\n"
        "print(fuse_in_tiles(np.ones((1, 2, 40, 60), np.float32), session, 32).shape)\n"
        "print([name for name in ('torch', 'monai') if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=BUNDLE, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["(1, 1, 40, 60)", "[]"]


def test_shipped_files_are_there():
    assert all(path.is_file() for path in SHIPPED.values())
