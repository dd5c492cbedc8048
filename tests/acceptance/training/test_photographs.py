"""Training for a task of photographs, by the command that the guide names, and fusing with what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

QUICK = ["--epochs", "1", "--steps", "3", "--val-interval", "1", "--batch-size", "2", "--patch-size", "64"]


def photographs(folder: Path, task: str) -> Path:
    """Three pairs of made-up color photographs; in each, the one is blurred where the other is not."""
    rng = np.random.default_rng(0)
    listing: dict[str, list] = {"training": [], "validation": []}
    for number in range(3):
        sharp = np.asarray(
            Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).resize((100, 80), Image.Resampling.BICUBIC)
        )
        blurred = np.asarray(Image.fromarray(sharp).resize((25, 20)).resize((100, 80)))
        left = (np.arange(100) < 50)[None, :, None]
        paths = [folder / f"{number}_{name}.png" for name in "ab"]
        for path, picture in zip(paths, (np.where(left, sharp, blurred), np.where(left, blurred, sharp)), strict=True):
            Image.fromarray(picture).save(path)
        entry = {"source_a": paths[0].name, "source_b": paths[1].name, "task": task, "name": str(number)}
        listing["validation" if number == 2 else "training"].append(entry)
    (folder / "datalist.json").write_text(json.dumps(listing))
    return folder


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mmif_amin", *words], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_a_task_of_photographs_is_trained_by_one_command_and_fuses(tmp_path):
    (tmp_path / "data").mkdir()
    data, out = photographs(tmp_path / "data", "multi-focus"), tmp_path / "out"
    result = command("train", "--dataset-dir", str(data), "--task", "multi-focus", "-o", str(out), *QUICK)
    assert result.returncode == 0, result.stderr[-3000:]
    header, row = (line.split(",") for line in (out / "loss_weights.csv").read_text().splitlines()[:2])
    assert {"outer/focus", "weight/edges", "weight/intensity"} <= set(header)
    assert "weight/local" not in header
    assert len(row) == len(header)
    pair = [str(data / f"2_{name}.png") for name in "ab"]
    fused = tmp_path / "fused.png"
    weights = ["--weights", str(out / "final.pt")]
    result = command("fuse", *pair, "--task", "multi-focus", "-o", str(fused), *weights)
    assert result.returncode == 0, result.stderr[-3000:]
    assert Image.open(fused).size == (100, 80)
    result = command("fuse", *pair, "-o", str(tmp_path / "wrong.png"), *weights)
    assert result.returncode == 2
    assert not (tmp_path / "wrong.png").exists()


def test_photographs_are_trained_task_by_task(tmp_path):
    tasks = [word for task in ("multi-focus", "PET-MRI") for word in ("--task", task)]
    result = command("train", *tasks, "-o", str(tmp_path / "out"))
    assert result.returncode == 2
    assert "expected one task of photographs" in result.stderr
    assert not (tmp_path / "out").exists()
