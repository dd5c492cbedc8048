from __future__ import annotations

from scripts.metrics.suite import METRICS

from mmif_amin.benchmark.metrics_page import metrics_page
from tests.conftest import ROOT


def test_the_page_in_the_docs_is_up_to_date():
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == metrics_page(), "write docs/metrics.md anew with `make docs`"


def test_the_page_has_a_row_and_a_reference_for_each_metric():
    lines = metrics_page().splitlines()
    for metric in METRICS:
        assert sum(line.startswith(f"| {metric.name} | {metric.better} | ") for line in lines) == 1
        assert sum(line.startswith(f"- {metric.name}: {metric.reference}") for line in lines) == 1
