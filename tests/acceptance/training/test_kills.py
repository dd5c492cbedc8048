"""A training that is killed again and again goes on from its last epoch and reaches the same weights, bit by bit.

``MMIF_AMIN_KILLS=20`` kills a training of 20 epochs twenty times in a row instead of one of 3 epochs twice.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from pathlib import Path

import pytest
from scripts.utils.weights import load_state

from tests.acceptance.training.runs import begin, import_everything
from tests.same import assert_same

KILLS = int(os.environ.get("MMIF_AMIN_KILLS", "2"))
EPOCHS = max(3, KILLS)
LATEST = min(0.7, 4 / KILLS)  # a kill, in times of an undisturbed run
STATES = ("last.pt", "best.pt", "final.pt")


def assert_whole(folder: Path) -> None:
    """Each file that has its final name can be used."""
    for path in folder.glob("[!.]*.pt"):
        load_state(path)
    for path in folder.glob("[!.]*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    if (folder / "mlruns.db").exists():
        with sqlite3.connect(folder / "mlruns.db") as store:
            assert store.execute("select count(*) from alembic_version").fetchone() == (1,)


def assert_refused(folder: Path, data: Path) -> None:
    """A second training into the folder of one that runs ends with one sentence."""
    while not (folder / "train.lock").exists():
        time.sleep(0.02)
    second = begin(folder, data)
    second.join(120)
    said = folder.with_suffix(".log").read_text()
    assert second.exitcode == 2, said[-3000:]
    assert f"mmif-amin: error: {folder}: another training writes there." in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_kill_9_at_random_moments_in_a_row(tmp_path, harvard_like):
    straight, killed = tmp_path / "straight", tmp_path / "killed at 50% of $time"  # MLflow must stand the name too
    import_everything()
    began = time.monotonic()
    process = begin(straight, harvard_like, epochs=str(EPOCHS))
    assert_refused(straight, harvard_like)
    process.join(300)
    assert process.exitcode == 0, (tmp_path / "straight.log").read_text()[-3000:]
    duration, seed = time.monotonic() - began, random.randrange(2**32)
    moments = random.Random(seed)
    for number in range(KILLS):
        process = begin(killed, harvard_like, epochs=str(EPOCHS))
        process.join(moments.uniform(0.01, LATEST) * duration)
        process.kill()
        process.join()
        assert process.exitcode in (-9, 0), (seed, number, Path(f"{killed}.log").read_text()[-3000:])
        assert_whole(killed)
    process = begin(killed, harvard_like, epochs=str(EPOCHS))
    process.join(300)
    assert process.exitcode == 0, (seed, Path(f"{killed}.log").read_text()[-3000:])

    for name in STATES:
        assert_same(load_state(straight / name), load_state(killed / name), f"seed {seed}, {name}")
    assert set(load_state(killed / "last.pt")) >= {"network", "loss", "teacher", "optimizer"}
    for name in ("loss_weights.csv", "best.json"):
        assert (straight / name).read_text() == (killed / name).read_text(), (seed, name)
    assert not list(killed.glob(".*")) + list(killed.glob("examples/.*")), "temporary files were left"
    with sqlite3.connect(killed / "mlruns.db") as store:
        assert {status for (status,) in store.execute("select status from runs")} == {"FINISHED"}
        steps = store.execute("select distinct step from metrics where key = 'loss' order by step")
        assert [step for (step,) in steps] == [*range(1, EPOCHS + 1)]
