"""A training that is killed continues from its last epoch and reaches the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from tests.conftest import BUNDLE

OVERRIDES = {
    "epochs": "3",
    "val_interval": "1",
    "batch_size": "4",
    "patch_size": "64",
    "meta_interval": "2",
    "optimum_steps": "0",
    "network_def#channels": "16",
}


def start(output_dir, data) -> subprocess.Popen:
    words = [word for key, value in OVERRIDES.items() for word in (f"--{key}", value)]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "monai.bundle",
            "run",
            "training",
            "--config_file",
            str(BUNDLE / "configs" / "train.json"),
        ]
        + ["--output_dir", str(output_dir), "--dataset_dir", str(data), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def assert_same(first: Any, second: Any, key: str = "") -> None:
    """Compare two resume files, bit by bit."""
    assert type(first) is type(second), key
    if isinstance(first, dict | list | tuple):
        parts = first.keys() if isinstance(first, dict) else range(len(first))
        assert len(first) == len(second), key
        for part in parts:
            assert_same(first[part], second[part], f"{key}/{part}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), key
    else:
        assert first == second, key


@pytest.mark.slow
def test_kill_9_and_resume_reach_the_same_weights(tmp_path, harvard_like):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert start(straight, harvard_like).wait(timeout=300) == 0

    process = start(killed, harvard_like)
    deadline = time.monotonic() + 300
    while not (killed / "last.pt").is_file():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert torch.load(killed / "last.pt", weights_only=True)["epoch"] < 3
    assert start(killed, harvard_like).wait(timeout=300) == 0

    results = [torch.load(folder / "last.pt", weights_only=True) for folder in (straight, killed)]
    assert results[0]["epoch"] == results[1]["epoch"] == 3
    assert set(results[0]) >= {"network", "loss", "teacher", "optimizer"}
    assert_same(*results)
    assert not list(killed.glob(".*")), "temporary files were left"
