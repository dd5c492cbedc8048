"""Training and evaluation on several processes: as on one, also after one of them was killed."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from tests.conftest import BUNDLE, make_pair, write_gray
from tests.same import assert_same

TRAIN, MULTI_TRAIN = ["train"], ["train", "multi_gpu_train"]
EVALUATE, MULTI_EVALUATE = ["train", "evaluate"], ["train", "evaluate", "multi_gpu_evaluate"]
SMALL = [
    "--batch_size",
    "4",
    "--patch_size",
    "64",
    "--val_interval",
    "1",
    "--optimum_steps",
    "0",
    "--network_def#channels",
    "16",
]
SMALL += ["--meta_interval", "2", "--teacher#warmup", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def collection(root: Path, training: int, validation: int, size: int = 64) -> Path:
    """Pairs of two tasks, a patient each, the validation ones not in the order of their names."""
    listing: dict[str, list] = {"training": [], "validation": []}
    for number in range(training + validation):
        split, task = ("training" if number < training else "validation"), ("CT-MRI", "PET-MRI")[number % 2]
        mri, other = make_pair((size, size), seed=number)[0].numpy()
        pair = {"source_a": f"a{number}.png", "source_b": f"b{number}.png", "task": task, "name": f"{97 - number}001"}
        write_gray(root / pair["source_a"], mri)
        write_gray(root / pair["source_b"], other)
        listing[split].append(pair)
    (root / "datalist.json").write_text(json.dumps(listing))
    return root


def command(processes: int, configs: list[str], run: str, *words: str, restarts: int = 0) -> list[str]:
    files = str([str(BUNDLE / "configs" / f"{name}.json") for name in configs])
    several = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", f"--max-restarts={restarts}"]
    start = [sys.executable, "-m", *([*several, "-m"] if processes > 1 else []), "monai.bundle", "run", run]
    return [*start, "--config_file", files, *words]


def launch(processes: int, configs: list[str], run: str, output: Path, data: Path, *words: str):
    words = ("--output_dir", str(output), "--dataset_dir", str(data), *words)
    return subprocess.run(
        command(processes, configs, run, *words),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env=ENVIRONMENT,
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def runs_in(folder: Path) -> int:
    with sqlite3.connect(folder / "mlruns.db") as logged:
        return logged.execute("select count(*) from runs").fetchone()[0]


def train(processes: int, output: Path, data: Path, *words: str):
    return launch(processes, MULTI_TRAIN if processes > 1 else TRAIN, "training", output, data, *SMALL, *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "pairs"),
    [pytest.param(2, 7, id="2-processes"), pytest.param(4, 3, id="4-processes-one-of-them-idle")],
)
def test_an_evaluation_is_as_on_one_process(tmp_path, processes, pairs):
    data, one, several = collection(tmp_path / "data", 1, pairs), tmp_path / "one", tmp_path / "several"
    for count, configs, folder in ((1, EVALUATE, one), (processes, MULTI_EVALUATE, several)):
        result = launch(count, configs, "evaluating", folder, data, "--examples", "2")
        assert result.returncode == 0, result.stderr[-2000:]
    expected, got = rows_of(one), rows_of(several)
    assert [(row["task"], row["name"]) for row in got] == [(row["task"], row["name"]) for row in expected]
    assert len(got) == pairs
    for row, other in zip(expected, got, strict=True):
        for name in row.keys() - {"task", "name"}:
            assert float(other[name]) == pytest.approx(float(row[name]), abs=1e-6), name
    assert (several / "metrics.md").read_text() == (one / "metrics.md").read_text()
    sheets = [np.asarray(Image.open(folder / "examples" / "sheet.png")) for folder in (one, several)]
    assert np.array_equal(*sheets)
    assert runs_in(several) == 1


@pytest.mark.slow
@pytest.mark.parametrize("shard_by", ["image", "patient"])
def test_two_processes_train_together(tmp_path, shard_by):
    """Three validation pairs: one process has one more than the other."""
    data = collection(tmp_path / "data", 8, 3)
    result = train(2, tmp_path, data, "--epochs", "2", "--shard_by", shard_by)
    assert result.returncode == 0, result.stderr[-2000:]
    assert {"best.pt", "last.pt", "final.pt", "training_curves.png"} <= {p.name for p in tmp_path.iterdir()}
    assert [row["name"] for row in rows_of(tmp_path)] == ["89001", "88001", "87001"]
    with (tmp_path / "loss_weights.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert torch.load(tmp_path / "last.pt", weights_only=True)["iteration"] == 4, "the steps of one process"
    assert runs_in(tmp_path) == 1


@pytest.mark.slow
def test_steps_on_the_same_images_are_the_same(tmp_path):
    """Without random changes, and with all pairs in each batch: what the processes share out must add up again."""
    data = collection(tmp_path / "data", 4, 1)
    words = ["--epochs", "3", "--teacher#warmup", "0", "--meta_interval", "1", "--lesson_share", "0"]
    transforms = json.loads((BUNDLE / "configs" / "train.json").read_text())["train"]["preprocessing"]["transforms"]
    for number in (number for number, transform in enumerate(transforms) if "prob" in transform):
        words += [f"--train#preprocessing#transforms#{number}#prob", "0"]
    tables = {}
    for processes in (1, 2, 4):
        result = train(processes, tmp_path / str(processes), data, *words)
        assert result.returncode == 0, result.stderr[-2000:]
        with (tmp_path / str(processes) / "loss_weights.csv").open() as file:
            tables[processes] = list(csv.DictReader(file))
    for processes in (2, 4):
        for row, other in zip(tables[1], tables[processes], strict=True):
            for name in ("loss", "term/local", "outer/teaching", "share/structure_a", "weight_PET-MRI/edges"):
                assert float(other[name]) == pytest.approx(float(row[name]), rel=1e-3, abs=1e-6), (processes, name)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path):
    result = train(2, tmp_path, collection(tmp_path / "data", 8, 2), "--batch_size", "3")
    assert result.returncode != 0
    assert "batch_size: expected a multiple of the 2 processes" in result.stderr
    assert not (tmp_path / "last.pt").exists()


def kill_one(process: subprocess.Popen, output: Path) -> list[psutil.Process]:
    """Wait for the first finished epoch, kill one of the processes that train, and return them all."""
    deadline = time.monotonic() + 300
    while not (output / "last.pt").is_file():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before one could be killed"
        time.sleep(0.02)
    workers = [child for child in psutil.Process(process.pid).children() if "monai.bundle" in " ".join(child.cmdline())]
    assert len(workers) == 2
    os.kill(max(workers, key=lambda child: child.environ()["RANK"]).pid, signal.SIGKILL)
    return workers


@pytest.mark.slow
def test_after_kill_9_of_one_process_all_end_and_the_training_resumes(tmp_path):
    data, straight = collection(tmp_path / "data", 8, 3), tmp_path / "straight"
    result = train(2, straight, data, "--epochs", "3")
    assert result.returncode == 0, result.stderr[-4000:]
    results = {"straight": torch.load(straight / "last.pt", weights_only=True)}
    for name, restarts in (("killed", 0), ("restarted", 1)):
        folder = tmp_path / name
        words = ["--output_dir", str(folder), "--dataset_dir", str(data), *SMALL, "--epochs", "3"]
        log = tmp_path / f"{name}.txt"
        with log.open("w") as file:
            line = command(2, MULTI_TRAIN, "training", *words, restarts=restarts)
            process = subprocess.Popen(line, stdout=file, stderr=file, env=ENVIRONMENT)
            workers = kill_one(process, folder)
            start = time.monotonic()
            _, alive = psutil.wait_procs(workers, timeout=30)
            assert not alive
            assert time.monotonic() - start < 15
            code = process.wait(timeout=300)
        said = re.findall(r".*another process of this run has ended.*", log.read_text())
        assert len(said) <= 1
        assert not list(folder.glob(".*")), "temporary files were left"
        if restarts:
            assert code == 0
        else:
            assert code != 0
            result = train(2, folder, data, "--epochs", "3")
            assert result.returncode == 0, result.stderr[-4000:]
        results[name] = torch.load(folder / "last.pt", weights_only=True)
        assert runs_in(folder) == 1
        assert [row["name"] for row in rows_of(folder)] == ["89001", "88001", "87001"]
    assert_same(results["straight"], results["killed"])
    assert_same(results["straight"], results["restarted"])
