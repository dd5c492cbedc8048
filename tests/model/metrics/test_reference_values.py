"""The metrics, and the independent version of them, against the field's evaluator (that of MMIF-CDDFuse)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts.metrics.suite import METRIC_NAMES, fusion_metrics

from tests.conftest import make_pair
from tests.model.metrics.cases import RULES, gray, made_up
from tests.model.metrics.reference import all_metrics

SYNTHETIC = json.loads(Path(__file__).with_name("field_evaluator_values.json").read_text())


def ours(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    return {name: value.item() for name, value in fusion_metrics(*gray(f, a, b), data_range=255).items()}


VERSIONS = [pytest.param(ours, id="metrics"), pytest.param(all_metrics, id="independent-version")]


def real_images(values: dict, folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, dict]]:
    """Fused, source A, source B and the evaluator's values of each real pair and rule."""
    for task, pairs in values.items():
        for name, rules in pairs.items():
            b = np.array(Image.open(folder / task / "MRI" / f"{name}.png").convert("L")).astype(float)
            a = np.array(Image.open(folder / task / task.split("-")[0] / f"{name}.png")).astype(float)
            if a.ndim == 3:
                a = np.round(a[..., :3] @ np.array([0.299, 0.587, 0.114]))
            for rule, expected in rules.items():
                yield RULES[rule](a, b), a, b, expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pair", SYNTHETIC["pairs"], ids=lambda pair: "x".join(map(str, pair["size"])))
def test_evaluator_on_made_up_images(version, pair):
    b, a = np.rint(make_pair(tuple(pair["size"]), pair["seed"])[0].double().numpy() * 255)
    assert [a.sum(), b.sum()] == pair["pixel_sums"]
    for rule, expected in pair["values"].items():
        values = version(RULES[rule](a, b), a, b)
        for metric, value in expected.items():
            assert values[metric] == pytest.approx(value, rel=1e-5, abs=1e-7), (rule, metric)


@pytest.mark.parametrize("version", [VERSIONS[0], pytest.param(all_metrics, id="independent", marks=pytest.mark.slow)])
def test_evaluator_on_real_images(version, reference_values, shared_harvard):
    """Values made by others with the same evaluator; see ../shared/reference/README.md."""
    count = 0
    for f, a, b, expected in real_images(reference_values["values"], shared_harvard):
        with np.errstate(divide="ignore", invalid="ignore"):  # SCD of a copy
            values = version(f, a, b)
        for metric, value in expected.items():
            if value is not None:
                assert values[metric] == pytest.approx(value, rel=1e-4, abs=2e-6), metric
                count += 1
    assert count > 500


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("size", [(96, 80), (61, 77), (192, 208)], ids=["even", "odd", "five-scales"])
def test_independent_version(size, seed):
    """Also those metrics that the field's evaluator lacks."""
    images = [x[0, 0].numpy() for x in made_up(size, seed)]
    values, expected = ours(*images), all_metrics(*images)
    assert set(expected) == set(METRIC_NAMES)
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-5, abs=1e-9), name
