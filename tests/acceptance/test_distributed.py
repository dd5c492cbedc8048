"""A training on two processes."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from tests.conftest import BUNDLE


@pytest.mark.slow
def test_two_processes_train_together(tmp_path, harvard_like):
    configs = str([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "multi_gpu_train")])
    words = (
        "--epochs 1 --val_interval 1 --batch_size 2 --patch_size 64 --meta_interval 1 --network_def#channels 16".split()
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "monai.bundle",
    ]
    result = subprocess.run(
        [*command, "run", "training", "--config_file", configs, "--output_dir", str(tmp_path), *words]
        + ["--dataset_dir", str(harvard_like)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert {"best.pt", "last.pt", "loss_weights.csv"} <= {p.name for p in tmp_path.iterdir()}
    with (tmp_path / "metrics.csv").open() as file:
        assert {row["task"] for row in csv.DictReader(file)} == {"CT-MRI", "PET-MRI"}, "rows of both processes"
