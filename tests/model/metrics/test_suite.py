from __future__ import annotations

import csv
import math
import shutil
import subprocess
import sys

import pytest
import torch
from scripts.metrics.shared import edges, similarity, visual_information
from scripts.metrics.suite import (
    METRIC_NAMES,
    METRICS_MIN_SIZE,
    FusionMetricSuite,
    fusion_metrics,
    score,
    write_means,
    write_rows,
)

from tests.conftest import ROOT
from tests.model.metrics.cases import made_up


def test_suite_aggregates_by_task_and_weighs_tasks_equally():
    suite = FusionMetricSuite(tasks=("CT-MRI", "PET-MRI"), data_range=255)
    sets = [made_up(seed=s) for s in range(3)]
    for (f, a, b), task in zip(sets, ("CT-MRI", "CT-MRI", "PET-MRI"), strict=True):
        suite(f, torch.cat([a, b], dim=1), tasks=[task])
    means = suite.aggregate()
    sd = [x[0].std(correction=0).item() for x in sets]
    assert means["CT-MRI/SD"] == pytest.approx((sd[0] + sd[1]) / 2)
    assert means["PET-MRI/SD"] == pytest.approx(sd[2])
    assert means["SD"] == pytest.approx((means["CT-MRI/SD"] + means["PET-MRI/SD"]) / 2)


def test_a_task_without_images_has_no_means():
    suite = FusionMetricSuite(tasks=("CT-MRI", "PET-MRI", "SPECT-MRI"))
    for task in ("CT-MRI", "SPECT-MRI"):
        suite(torch.rand(1, 1, 48, 48), torch.rand(1, 2, 48, 48), tasks=[task])
    means = suite.aggregate()
    assert {name.split("/")[0] for name in means if "/" in name} == {"CT-MRI", "SPECT-MRI"}
    assert not any(math.isnan(value) for value in means.values())


def test_suite_names_what_is_wrong():
    f, a, b = made_up()
    suite = FusionMetricSuite(tasks=("CT-MRI",), data_range=255)
    with pytest.raises(ValueError, match=r"Tasks \['SPECT-MRI'\] are not in `tasks`"):
        suite(f, torch.cat([a, b], dim=1), tasks=["SPECT-MRI"])
    with pytest.raises(ValueError, match="`y` must hold both sources"):
        suite(f, a)
    with pytest.raises(ValueError, match="No image was seen"):
        suite.aggregate()
    with pytest.raises(ValueError, match=f"at least {METRICS_MIN_SIZE}x{METRICS_MIN_SIZE}"):
        fusion_metrics(*(x[..., :30, :30] for x in (f, a, b)))


@pytest.mark.parametrize(
    ("module", "work", "calls"),
    [
        pytest.param(visual_information, "_information", 4, id="VIF: four scales"),
        pytest.param(edges, "_sobel", 3, id="Qabf: three images"),
        pytest.param(similarity, "box_kernel", 1, id="ssim: one window"),
    ],
)
def test_a_family_is_computed_once(monkeypatch, module, work, calls):
    counted, original = [], getattr(module, work)
    monkeypatch.setattr(module, work, lambda *args: counted.append(0) or original(*args))
    fusion_metrics(*made_up(), data_range=255)
    assert len(counted) == calls


def test_score_is_the_formula_of_its_docstring():
    means = {"VIF": 0.8, "Qabf": 0.7, "ssim": 1.4, "SCD": 1.2, "VIFlocal": 0.1, "background": 0.25}
    whole = (0.8 / 2 * 0.7 * 1.4 / 2 * (1.2 + 2) / 4) ** 0.25
    assert score(dict.fromkeys(METRIC_NAMES, 0.0) | means) == pytest.approx((whole * 0.1) ** 0.5 * 0.75)
    for name in ("VIF", "Qabf", "ssim", "VIFlocal"):
        assert score(means | {name: -0.1 if name == "ssim" else 0.0}) == 0, name


def test_tables_hold_every_metric(tmp_path):
    suite = FusionMetricSuite(tasks=("CT-MRI", "PET-MRI"), data_range=255)
    f, a, b = made_up()
    names = [("CT-MRI", "one"), ("PET-MRI", "two, three")]
    suite(torch.cat([f, f]), torch.cat([torch.cat([a, b], dim=1)] * 2), tasks=[task for task, _ in names])
    means = suite.aggregate()
    write_means(tmp_path / "metrics.md", means)
    lines = (tmp_path / "metrics.md").read_text().splitlines()
    assert lines[:2] == ["| metric | CT-MRI | PET-MRI | mean |", "| --- | ---: | ---: | ---: |"]
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == [*METRIC_NAMES, "score"]
    assert lines[2] == f"| EN | {means['EN']:.4f} | {means['EN']:.4f} | {means['EN']:.4f} |"
    write_rows(tmp_path / "metrics.csv", names, suite.get_buffer()[:, 1:].tolist())
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["name"]) for row in rows] == names
    assert rows[1]["VIF"] == f"{means['VIF']:.6f}"


NEW_METRIC = '''
import torch
from .base import FusionMetric, MetricDeclaration, Triplet

def mean_level(fused, source_a, source_b, data_range=1.0):
    """Mean level of the fused image.

    Reference: none.
    """
    return DECLARATION(fused, source_a, source_b, data_range)

DECLARATION = MetricDeclaration(
    name="LEVEL", order=35, function=mean_level, compute=lambda images: images.fused.mean(dim=(-2, -1)),
    low=0.0, high=255.0, ranked=("medical",), tested=True, shown=True,
)

class MeanLevelMetric(FusionMetric):
    """Accumulates."""

    declaration = DECLARATION
'''
WHERE_IT_IS = """
import torch
from mmif_amin.benchmark import columns, metrics_page, report
from mmif_amin.benchmark.ablation import table
from mmif_amin.scripts.metrics.suite import METRIC_NAMES, fusion_metrics
assert METRIC_NAMES[3] == "LEVEL"
assert fusion_metrics(*torch.ones(3, 1, 1, 48, 48))["LEVEL"].item() == 255
assert columns.RANKED[3] == columns.TESTED[3] == columns.SHOWN[3] == table.COLUMNS[6] == "LEVEL"
row = "| LEVEL | higher | 0 to 255 | 2 | medical | yes | Mean level of the fused image. |"
assert row in metrics_page.metrics_page()
"""


@pytest.mark.slow
def test_a_new_metric_is_one_new_file(tmp_path):
    """In a copy of model and product: suite, columns of all tables, ranks, tests and the page have it at once."""
    for package in ("bundle", "mmif_amin"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    (tmp_path / "bundle" / "scripts" / "metrics" / "mean_level.py").write_text(NEW_METRIC)
    command = [sys.executable, "-c", WHERE_IT_IS]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
