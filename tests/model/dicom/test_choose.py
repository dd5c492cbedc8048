from __future__ import annotations

import re

import pytest
from scripts.utils.enums import Modality

from tests.model.dicom.reading import read, refusal

REFUSED = [
    pytest.param(lambda f: None, "expected DICOM images, found none", id="empty-folder"),
    pytest.param(lambda f: (f / "a.dcm").write_text("text"), "expected DICOM images, found none", id="only-text"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


@pytest.mark.parametrize(
    ("keywords", "number"),
    [
        pytest.param({"series": "3"}, 3, id="number"),
        pytest.param({"series": "1.2.840.992.20"}, 2, id="uid"),
        pytest.param({"series": "992.20"}, 2, id="uid-end"),
        pytest.param({"series": "1.2.840.993"}, 3, id="uid-start"),
        pytest.param({"series": "1.2.840", "modality": "PET"}, 6, id="uid-start-and-modality"),
        pytest.param({"modality": Modality.PET}, 6, id="modality"),
        pytest.param({"modality": "CT"}, 4, id="modality-but-not-the-scout"),
        pytest.param({"series": "5"}, 5, id="the-scout-by-number"),
    ],
)
def test_choice(study, keywords, number):
    assert read(study, **keywords).headers[0].SeriesNumber == number


@pytest.mark.parametrize(
    ("keywords", "count"),
    [
        pytest.param({"modality": "MRI"}, 2, id="two-mr"),
        pytest.param({"modality": "SPECT"}, 0, id="no-spect"),
        pytest.param({}, 4, id="any"),
        pytest.param({"series": "7"}, 0, id="no-such-number"),
        pytest.param({"series": "1.2.840"}, 5, id="uid-of-all"),
    ],
)
def test_no_choice_lists_the_series(study, keywords, count):
    text = refusal(study, **keywords)
    assert f"found {count}. Choose with --series-a/--series-b" in text
    assert "3: MR, 3 images of 6x5, 1x1.5 mm, P1, 2024-01-02, F1, 'MR phantom', UID 1.2.840.993.30" in text
    assert "5: CT localizer, 3 images" in text
    assert ("such as --task PET-MRI" in text) == (keywords in ({}, {"modality": "SPECT"}))
