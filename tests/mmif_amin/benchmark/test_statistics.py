from __future__ import annotations

import numpy as np
import pytest
from scripts.metrics.suite import METRIC_NAMES

from mmif_amin.benchmark.columns import RANKED
from mmif_amin.benchmark.statistics import (
    agreement,
    bootstrap_interval,
    draw_cases,
    holm,
    mean_ranks,
    paired_tests,
    probe_warnings,
)


def test_interval_has_the_width_of_theory():
    """Independent cases: mean +- 1.96 standard errors."""
    values = np.random.default_rng(0).normal(3, 1, (400, 2))
    low, high = bootstrap_interval(values, [str(i) for i in range(400)])
    assert np.allclose((high - low) / 2, 1.96 * values.std(axis=0) / 20, rtol=0.1)
    assert np.all((low < values.mean(axis=0)) & (values.mean(axis=0) < high))


def test_interval_widens_when_slices_share_a_patient():
    patients = np.random.default_rng(0).normal(0, 1, 20)
    values, cases = np.repeat(patients, 10)[:, None], np.repeat(np.arange(20), 10).astype(str)
    by_case, by_slice = (bootstrap_interval(values, c) for c in (cases, np.arange(200).astype(str)))
    assert (by_case[1] - by_case[0]) > 2.5 * (by_slice[1] - by_slice[0])  # sqrt(10) in theory


def test_one_patient_has_the_interval_of_its_slices():
    values = np.random.default_rng(0).normal(0, 1, (50, 1))
    one, each = (bootstrap_interval(values, cases) for cases in (["p"] * 50, [str(i) for i in range(50)]))
    assert one[1] - one[0] == pytest.approx(each[1] - each[0], rel=0.1)


def test_holm_is_the_textbook_example():
    """Four tests at .01, .04, .03, .005: adjusted .03, .06, .06, .02 (Holm 1979, as in R's p.adjust)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_probes_take_no_rank_from_the_others():
    means = {name: dict.fromkeys(RANKED, value) for name, value in (("good", 2.0), ("bad", 1.0), ("sum", 3.0))}
    assert mean_ranks(means, ["sum"]) == {"good": 1.0, "bad": 2.0, "sum": 1.0}
    assert mean_ranks(means)["good"] == 2.0


def test_paired_tests_find_a_constant_gain_and_no_other():
    rng = np.random.default_rng(0)
    base = rng.normal(1, 0.1, (40, len(METRIC_NAMES)))
    better, column = base.copy(), METRIC_NAMES.index("Qabf")
    better[:, column] += 0.05
    tests = paired_tests({"ours": better, "other": base}, "ours")["other"]
    assert tests["Qabf"]["difference"] == pytest.approx(0.05)
    assert tests["Qabf"]["p"] < 1e-6
    assert tests["VIF"]["p"] == 1


FAIR = {"background": 0.0, "VIFmin": 0.2, "VIFlocal": 0.12}
AVERAGE = {"VIFmin": 0.2, "VIFlocal": 0.13}
COPIES = [{"VIFmin": 0.03}, {"VIFmin": 0.04}]


@pytest.mark.parametrize(
    ("change", "white", "expected"),
    [
        pytest.param({}, 0.0, [], id="fair"),
        pytest.param({"background": 0.5}, 0.0, ["grays the background: 50%"], id="gray"),
        pytest.param({}, 0.1, ["clips like a sum: 10.0%"], id="sum"),
        pytest.param({"VIFmin": 0.04}, 0.0, ["keeps one source only: VIFmin 0.040"], id="copy"),
        pytest.param({"VIFlocal": 0.08}, 0.0, ["cuts and pastes: VIFlocal 0.080"], id="cut-and-paste"),
    ],
)
def test_warnings_name_the_trick(change, white, expected):
    found = probe_warnings({**FAIR, **change}, AVERAGE, COPIES, white, 0.2)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_agreement_is_kendalls_tau_with_defects_turned():
    """Four methods; VIF in the same order, SD reversed, Qabf with one pair of six swapped: tau 1, -1 and 2/3."""
    values = {"p": (1, 4, 1, 0.4), "q": (2, 3, 3, 0.3), "r": (3, 2, 2, 0.2), "s": (4, 1, 4, 0.1)}
    means = {
        name: {**dict.fromkeys(METRIC_NAMES, 1.0), "VIF": v, "SD": sd, "Qabf": q, "background": b}
        for name, (v, sd, q, b) in values.items()
    }
    found = agreement(means, {"p": 0.1, "q": 0.2, "r": 0.3, "s": 0.4, "of no metric": 0.5})
    assert {name: round(entry["tau"], 3) for name, entry in found.items()} == {
        "VIF": 1.0,
        "SD": -1.0,
        "Qabf": 0.667,
        "background": 1.0,
    }
    assert all(entry["methods"] == 4 for entry in found.values())
    assert agreement(means, {"p": 0.1, "q": 0.2}) == {}


def test_draws_hold_as_many_cases_as_there_are():
    index, draws = draw_cases(["x", "y", "x", "z"])
    assert index.tolist() == [0, 1, 0, 2]
    assert set(draws.sum(axis=1)) == {3}
    assert draw_cases(["x", "x"])[0].tolist() == [0, 1]
