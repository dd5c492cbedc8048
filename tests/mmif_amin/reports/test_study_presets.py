from __future__ import annotations

import numpy as np
import pytest
from scripts.data.study_report import SourceReport
from scripts.utils.enums import Modality

from mmif_amin.reports.study_presets import window_presets

VALUES = np.linspace(0, 1000, 1001, dtype=np.float32)
CASES = [
    pytest.param("CT", "HU", VALUES - 500, ("bone", -500.0, 1500.0), id="CT in HU"),
    pytest.param("CT", "arbitrary", VALUES, ("2 to 98 %", 20.98, 980.02), id="CT without HU"),
    pytest.param("MRI", "arbitrary", VALUES, ("1 to 99.5 %", 10.99, 995.005), id="MRI"),
    pytest.param("PET", "SUVbw", VALUES / 100, ("SUV 0 to 10", 0.0, 10.0), id="PET in SUV"),
    pytest.param("PET", "Bq/ml", VALUES, ("0 to 50% of the 99.5th percentile", 0.0, 497.5), id="PET in Bq/ml"),
    pytest.param("SPECT", "counts", VALUES, ("full range", 0.0, 1000.0), id="SPECT"),
]


@pytest.mark.parametrize(("modality", "unit", "values", "expected"), CASES)
def test_presets_by_modality(modality, unit, values, expected):
    source = SourceReport(modality=Modality(modality), unit=unit, window=(1.0, 9.0), notes=())
    presets = window_presets(source, values)
    assert presets[0] == ("as fused", 1.0, 9.0)
    found = {name: ends for name, *ends in presets}
    assert found[expected[0]] == pytest.approx(expected[1:], rel=1e-2)
    assert len({tuple(ends) for ends in found.values()}) == len(presets)


def test_no_preset_is_empty_or_offered_twice():
    source = SourceReport(modality=Modality.PET, unit="Bq/ml", window=(0.0, 5.0), notes=())
    assert window_presets(source, np.zeros(8)) == [("as fused", 0.0, 5.0)]


def test_a_preset_that_the_fusion_took_keeps_its_name():
    source = SourceReport(modality=Modality.CT, unit="HU", window=(-20.0, 180.0), notes=())
    assert window_presets(source, VALUES - 500)[0] == ("as fused (head)", -20.0, 180.0)
