from __future__ import annotations

from types import SimpleNamespace

import pytest
from scripts.dicom.structure import structural_one


@pytest.mark.parametrize(
    ("descriptions", "expected"),
    [
        pytest.param(("t2_flair_sag", "t1_mprage"), 1, id="T1 and FLAIR"),
        pytest.param(("Ax T2 FSE", "ADC (10^-6 mm2/s)"), 0, id="T2 and ADC"),
        pytest.param(("T2", "T1 post"), 1, id="T1 and T2"),
        pytest.param(("ep2d_diff_b1000", "T2 FLAIR"), 1, id="FLAIR and diffusion"),
        pytest.param(("AX T1 FLAIR", "AX T2 PROPELLER"), 0, id="a T1 FLAIR is a T1"),
        pytest.param(("t2_space", "t1_space"), 1, id="T1 and T2 of one sequence"),
        pytest.param(("T2 GRE", "3D T1 GRE"), 1, id="T1 and T2 gradient echo"),
        pytest.param(("T2", "t1_vibe_dce"), 0, id="perfusion is no structure"),
        pytest.param(("AXFLAIR", "s3DT1"), 1, id="words written together"),
        pytest.param(("dADC", "oAx T2"), 1, id="derived ADC"),
        pytest.param(("T1", "Oral contrast"), None, id="no word that only begins alike"),
        pytest.param(("T1", "T1 post"), None, id="two T1"),
        pytest.param(("T1", "series 7"), None, id="no words"),
        pytest.param(("T1",), None, id="one"),
        pytest.param(("T1", "T2", "FLAIR"), None, id="three"),
    ],
)
def test_structural_one(descriptions, expected):
    series = [SimpleNamespace(description=text) for text in descriptions]
    assert structural_one(series) is (None if expected is None else series[expected])
