"""No package tells its maker of a run: neither MLflow nor ONNX Runtime leaves its id or its events anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BUNDLE, ROOT

LINES = {
    "product": "import mmif_amin.cli, mmif_amin.scripts.utils.enums",
    "model": "import scripts",
}


@pytest.mark.parametrize("door", LINES)
def test_onnx_runtime_leaves_nothing_behind(tmp_path, door):
    program = f"{LINES[door]}\nimport onnxruntime, os; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir(), temporary.mkdir()
    clean = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name and "XDG" not in name}
    paths = f"{ROOT}{os.pathsep}{BUNDLE}"
    environment = {**clean, "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "true\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_who_wants_to_tell_may(tmp_path):
    program = "import mmif_amin.scripts, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
    assert Path(tmp_path).is_dir()
