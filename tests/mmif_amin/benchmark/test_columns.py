"""The columns are those of 0.4.0: readers of the tables count on them."""

from __future__ import annotations

import pytest

from mmif_amin.benchmark import columns
from mmif_amin.benchmark.ablation import table

RANKED = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "ssim_legacy")
KEPT = ("lesions_kept/both", "lesions_kept/lesions")
COLUMNS = [
    pytest.param(columns.RANKED, RANKED, id="ranked"),
    pytest.param(columns.TESTED, (*RANKED, "VIFmin", "Qabf_min", "VIFlocal"), id="tested"),
    pytest.param(columns.SHOWN, (*RANKED, "ssim", "VIFmin", "Qabf_min", "VIFlocal", "background"), id="report"),
    pytest.param(columns.DEFECTS, ("background",), id="defects"),
    pytest.param(
        table.COLUMNS,
        ("way_closed", *KEPT, *RANKED, "ssim", "VIFmin", "Qabf_min", "VIFlocal"),
        id="ablation",
    ),
    pytest.param(
        table.DIFFERENCES,
        ("way_closed", *KEPT, "Qabf", "VIFmin", "VIFlocal"),
        id="differences of the ablation",
    ),
]


PHOTOGRAPHS = [
    pytest.param("infrared-visible", (*RANKED, "FMI"), id="infrared-visible"),
    pytest.param("multi-focus", ("MI", "VIF", "Qabf", "ssim", "FMI"), id="multi-focus"),
    pytest.param("multi-exposure", ("MI", "VIF", "Qabf", "ssim", "FMI", "MEF-SSIM"), id="multi-exposure"),
]


@pytest.mark.parametrize(("task", "expected"), PHOTOGRAPHS)
def test_photographs_are_ranked_by_what_the_field_reports(task, expected):
    assert columns.ranked(task) == expected
    assert columns.shown(task)[: len(expected)] == expected
    assert columns.tested(task) == tuple(
        name for name in columns.names_of(task) if name in (*expected, "VIFmin", "Qabf_min", "VIFlocal")
    )
    assert columns.names_of("PET-MRI") == tuple(name for name in columns.names_of(task) if name != "MEF-SSIM")


@pytest.mark.parametrize(("columns", "expected"), COLUMNS)
def test_columns(columns, expected):
    assert columns == expected
