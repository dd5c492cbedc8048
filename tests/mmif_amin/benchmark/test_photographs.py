"""The benchmark on photographs: their own metrics, rules and weights; pairs of several sizes, one above a tile."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch
from mmif_amin.scripts.metrics.detection.lesions import STANDARD
from PIL import Image
from scripts.data.tasks import task_of
from scripts.utils.checks import InputError

from mmif_amin import fuser
from mmif_amin.benchmark.detection.planting import Planting, planted_items
from mmif_amin.benchmark.methods import KEEPS_LESIONS, OURS
from mmif_amin.benchmark.run import benchmark
from tests.conftest import make_pair

SIZES = {"small": (64, 72), "town-2": (80, 48), "wide": (48, 800)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Color pairs of three tasks in files of two kinds, and a split."""
    root = tmp_path_factory.mktemp("photographs")
    split = {}
    for task in ("infrared-visible", "multi-focus", "multi-exposure"):
        sizes = SIZES if task == "multi-exposure" else {"small": SIZES["small"], "town-2": SIZES["town-2"]}
        for seed, (name, size) in enumerate(sizes.items()):
            sources = (make_pair(size, seed)[0].numpy() * 255).round().astype(np.uint8)
            for folder, gray, ending in zip(task_of(task).folders, sources, ("png", "bmp"), strict=True):
                (root / task / folder).mkdir(parents=True, exist_ok=True)
                colors = np.stack([gray, gray // 2, gray], axis=-1)
                Image.fromarray(colors).save(root / task / folder / f"{name}.{ending}")
        split[task] = {"training": ["none"], "validation": list(sizes)}
    (root / "split.json").write_text(json.dumps(split))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained networks: what is compared here is not how well they fuse."""
    folder = tmp_path_factory.mktemp("weights")

    def of(task):
        torch.save(fuser._network(task_of(task)).state_dict(), folder / f"{task}.pt")
        return folder / f"{task}.pt"

    return of


@pytest.mark.parametrize(
    ("task", "own", "rule"), [("multi-focus", "FMI", "SML"), ("multi-exposure", "MEF-SSIM", "Mertens")]
)
def test_focus_and_exposure(tmp_path, photographs, weights, task, own, rule):
    out = tmp_path / "out"
    chosen = {"tasks": [task], "weights": weights(task), "planting": Planting((STANDARD,), 1)}
    with pytest.warns(UserWarning, match="holds no SHA-256"):
        result = benchmark(photographs, out, pairs=3, **chosen)
    found = result.tasks[task]
    assert {OURS, rule, "GFF", "Average", "Copy of A"} <= set(found.means)
    assert not {"SML", "Mertens"} - {rule} & set(found.means)
    assert found.detection is None, "both photographs show the same things"
    assert not any("cuts and pastes" in text for texts in found.warnings.values() for text in texts)
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert ("MEF-SSIM" in rows[0]) == (task == "multi-exposure")
    assert np.mean([float(r[own]) for r in rows if r["method"] == rule]) == pytest.approx(
        found.means[rule][own], abs=1e-5
    )
    page = json.loads(
        re.search(r"const RESULT = (.*);\n", (out / "benchmark.html").read_text()).group(1).replace("<\\/", "</")
    )
    assert own in page["tasks"][task]["rankedBy"]
    assert [pair["name"] for pair in page["tasks"][task]["pairs"]] == found.names
    assert (
        f"Mean rank over {', '.join(page['tasks'][task]['rankedBy'])}; 1 is best" in (out / "benchmark.md").read_text()
    )
    for name in found.names:
        assert Image.open(out / "fused" / OURS / task / f"{name}.png").size == SIZES[name][::-1]


def test_targets_are_looked_for_in_infrared_and_visible(tmp_path, photographs, weights):
    task = "infrared-visible"
    chosen = {"tasks": [task], "weights": weights(task), "planting": Planting((STANDARD,), 1), "classical": False}
    with pytest.warns(UserWarning, match="holds no SHA-256"):
        result = benchmark(photographs, tmp_path / "out", pairs=0, **chosen)
    found = result.tasks[task].detection
    assert {OURS, "Average"} <= set(found.gray)
    assert KEEPS_LESIONS not in found.gray, "these networks know no such wish"
    assert (tmp_path / "out" / "detectability.csv").is_file()


def test_nothing_is_planted_where_both_sources_show_the_same(photographs):
    assert {i["task"] for i in planted_items(photographs, "validation", None, None)} == {"infrared-visible"}
    with pytest.raises(InputError, match="multi-focus has one kind"):
        planted_items(photographs, "validation", ["multi-focus"], None)
