"""The columns are those of 0.4.0: readers of the tables count on them."""

from __future__ import annotations

import pytest

from mmif_amin.benchmark import ablation, columns

RANKED = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "ssim_legacy")
COLUMNS = [
    pytest.param(columns.RANKED, RANKED, id="ranked"),
    pytest.param(columns.TESTED, (*RANKED, "VIFmin", "Qabf_min", "VIFlocal"), id="tested"),
    pytest.param(columns.SHOWN, (*RANKED, "ssim", "VIFmin", "Qabf_min", "VIFlocal", "background"), id="report"),
    pytest.param(columns.DEFECTS, ("background",), id="defects"),
    pytest.param(
        ablation.COLUMNS, ("score", "way_closed", *RANKED, "ssim", "VIFmin", "Qabf_min", "VIFlocal"), id="ablation"
    ),
    pytest.param(
        ablation.DIFFERENCES, ("score", "way_closed", "Qabf", "VIFmin", "VIFlocal"), id="differences of the ablation"
    ),
]


@pytest.mark.parametrize(("columns", "expected"), COLUMNS)
def test_columns(columns, expected):
    assert columns == expected
