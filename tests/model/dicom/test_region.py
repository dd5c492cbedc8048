from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from scripts.dicom.region import body_region


@pytest.mark.parametrize(
    ("part", "meaning", "region"),
    [
        pytest.param("HEAD", None, "head", id="head"),
        pytest.param("HEADNECK", None, "head", id="head and neck"),
        pytest.param("THIGH_LEFT", None, "extremity", id="as scanners write it"),
        pytest.param("WHOLEBODY", None, "whole-body", id="PET-CT"),
        pytest.param("LSPINE", None, "spine", id="spine"),
        pytest.param(None, "Lung structure", "chest", id="code"),
        pytest.param("", "Prostate", "pelvis", id="code after an empty element"),
        pytest.param("PHANTOM", None, None, id="unknown"),
        pytest.param(None, None, None, id="nothing"),
    ],
)
def test_region(part, meaning, region):
    header = Dataset()
    if part is not None:
        header.BodyPartExamined = part
    if meaning:
        header.AnatomicRegionSequence = [Dataset()]
        header.AnatomicRegionSequence[0].CodeMeaning = meaning
    assert body_region(header) == region
