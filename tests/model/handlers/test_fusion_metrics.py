from __future__ import annotations

import csv

import pytest
import torch
from ignite.engine import Engine
from scripts.handlers.fusion_metrics import FusionMetricsHandler
from scripts.metrics.suite import METRIC_NAMES, FusionMetricSuite, fusion_metrics, score

from tests.conftest import make_pair

PAIRS = [("CT-MRI", "one", 0), ("CT-MRI", "two", 1), ("PET-MRI", "three", 2)]  # task, name, seed


def evaluate(**paths) -> Engine:
    """An evaluator that fuses with the pixel maximum, one pair an iteration."""
    data = [[{"task": task, "name": name, "image": make_pair((48, 50), seed)[0]}] for task, name, seed in PAIRS]

    def fuse(engine, batch):
        return [{"image": item["image"], "pred": item["image"].amax(dim=0, keepdim=True)} for item in batch]

    engine = Engine(fuse)
    FusionMetricsHandler(FusionMetricSuite(tasks=("CT-MRI", "PET-MRI")), **paths).attach(engine, "key")
    engine.run(data, max_epochs=2)
    return engine


def expected(seed: int) -> dict[str, float]:
    pair = make_pair((48, 50), seed)
    values = fusion_metrics(pair.amax(dim=1, keepdim=True), pair[:, :1], pair[:, 1:])
    return {name: value.item() for name, value in values.items()}


def test_means_and_score_reach_the_engine():
    metrics = evaluate().state.metrics
    one, two, three = (expected(seed) for seed in range(3))
    ct = {name: (one[name] + two[name]) / 2 for name in METRIC_NAMES}
    assert metrics["CT-MRI/VIF"] == pytest.approx(ct["VIF"])
    assert metrics["PET-MRI/VIF"] == pytest.approx(three["VIF"])
    assert metrics["VIF"] == pytest.approx((ct["VIF"] + three["VIF"]) / 2)
    assert metrics["key"] == pytest.approx((score(ct) + score(three)) / 2)
    assert "score" not in metrics


def test_files_hold_one_epoch(tmp_path):
    evaluate(csv_path=tmp_path / "metrics.csv", table_path=tmp_path / "metrics.md")
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["name"]) for row in rows] == [pair[:2] for pair in PAIRS]
    assert float(rows[2]["Qabf"]) == pytest.approx(expected(2)["Qabf"], abs=1e-6)
    assert "| metric | CT-MRI | PET-MRI | mean |" in (tmp_path / "metrics.md").read_text()


def test_no_file_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate()
    assert not list(tmp_path.iterdir())


def test_a_task_that_the_suite_does_not_know_is_named():
    handler = FusionMetricsHandler(FusionMetricSuite(tasks=("CT-MRI",)))
    engine = Engine(lambda engine, batch: [{"image": item["image"], "pred": item["image"][:1]} for item in batch])
    handler.attach(engine, "key")
    with pytest.raises(ValueError, match=r"Tasks \['PET-MRI'\] are not in `tasks`"):
        engine.run([[{"task": "PET-MRI", "name": "x", "image": torch.rand(2, 48, 48)}]])
