from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset
from scripts.dicom.read import read_dicom_volume
from scripts.dicom.region import body_region

from tests.model.dicom.dicom_phantoms import item_of, write_enhanced_mr


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
        pytest.param("CERVICAL SPINE", None, "spine", id="words apart"),
        pytest.param("C SPINE", None, "spine", id="of one letter"),
        pytest.param("LEFT KNEE", None, "extremity", id="side first"),
        pytest.param("LOW_EXM", None, "extremity", id="GE's lower extremity"),
        pytest.param("UPPER ABDOMEN", None, "abdomen", id="part first"),
        pytest.param("CERVIX", None, "pelvis", id="cervix of the uterus"),
        pytest.param("CHESTABDPELVIS", None, "whole-body", id="the whole trunk"),
        pytest.param("CHEST ABD PELVIS", None, "whole-body", id="the whole trunk in words"),
        pytest.param("SKULL TO THIGH", None, "whole-body", id="PET-CT in words"),
        pytest.param("MAXILLA", None, "head", id="term of the head"),
        pytest.param("HEART", None, "chest", id="no ear"),
        pytest.param(None, "Entire head", "head", id="code of several words"),
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


def test_the_region_of_a_multi_frame_file(tmp_path):
    write_enhanced_mr(tmp_path / "a")
    header = pydicom.dcmread(tmp_path / "a")
    anatomy = item_of(AnatomicRegionSequence=item_of(CodeMeaning="Knee"))
    header.PerFrameFunctionalGroupsSequence[0].FrameAnatomySequence = anatomy
    header.save_as(tmp_path / "a")
    assert body_region(read_dicom_volume(tmp_path).headers[0]) == "extremity"
