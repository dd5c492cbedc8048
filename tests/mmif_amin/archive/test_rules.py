"""The rules of series_rules.json on made-up headers, and what a user's words make of them."""

from __future__ import annotations

import json

import pydicom
import pytest
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.archive.remote import narrowed_rules
from mmif_amin.archive.rules import SHIPPED_RULES, Candidate, candidates_in, choose_by_rules, read_rules
from tests.mmif_amin.archive.made_up import write_study

ORIGINAL = ["ORIGINAL", "PRIMARY", "AXIAL"]
SCOUT = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def candidate(number: int, modality: str, image_type: list[str] | None = None, **keywords) -> Candidate:
    header = pydicom.Dataset()
    header.SeriesNumber, header.Modality, header.PatientID = number, modality, "P1"
    header.ImageType = image_type or ORIGINAL
    header.SeriesDescription = f"{modality} brain {number}"
    header.EchoTime = 10 * number
    header.SeriesInstanceUID = f"1.2.840.9{number}"
    for keyword, value in keywords.items():
        setattr(header, keyword, value)
    return Candidate("1.2.3", header.SeriesInstanceUID, header, 12)


def rules(structural: dict | None = None, functional: dict | None = None) -> str:
    conditions = (structural or {"Modality": "^MR$"}, functional or {"Modality": "^CT$"})
    pairs = zip(("structural", "functional"), conditions, strict=True)
    return json.dumps({"selections": [{"name": name, "conditions": value} for name, value in pairs]})


MR, CT, PT = candidate(1, "MR"), candidate(2, "CT"), candidate(3, "PT")
FUSED = candidate(1001, "MR", ["DERIVED", "SECONDARY", "OTHER"])
RESAMPLED = candidate(1002, "CT", Manufacturer="MMIF-AMIN")
CASES = [
    pytest.param(read_rules(SHIPPED_RULES), [MR, CT, RESAMPLED], (1, 2), id="what we made ourselves"),
    pytest.param(read_rules(SHIPPED_RULES), [MR, CT], (1, 2), id="shipped"),
    pytest.param(read_rules(SHIPPED_RULES), [candidate(9, "MR", SCOUT), FUSED, MR, CT], (1, 2), id="scout and fused"),
    pytest.param(rules(functional={"Modality": "^pt$"}), [MR, CT, PT], (1, 3), id="any case"),
    pytest.param(rules(functional={"SeriesDescription": "brain 3"}), [MR, CT, PT], (1, 3), id="text anywhere"),
    pytest.param(rules(functional={"SeriesNumber": 3}), [MR, CT, PT], (1, 3), id="number"),
    pytest.param(rules(functional={"EchoTime": [25, 40]}), [MR, CT, PT], (1, 3), id="from to"),
    pytest.param(rules(functional={"EchoTime": [25, ">"]}), [MR, CT, PT], (1, 3), id="comparison"),
    pytest.param(rules({"Modality": "MR", "EchoTime": [10, "!="]}), [MR, candidate(4, "MR"), CT], (4, 2), id="not"),
    pytest.param(narrowed_rules(read_rules(SHIPPED_RULES), "PET-MRI", None, None), [MR, CT, PT], (1, 3), id="task"),
    pytest.param(
        narrowed_rules(read_rules(SHIPPED_RULES), None, "9", "1.2.840.92"),
        [candidate(9, "MR", SCOUT), MR, CT, PT],
        (9, 2),
        id="named",
    ),
]


@pytest.mark.parametrize(("text", "found", "expected"), CASES)
def test_which_series_are_chosen(text, found, expected):
    assert tuple(c.header.SeriesNumber for c in choose_by_rules(text, found)) == expected


REFUSED = [
    pytest.param(rules(), [CT], "one structural series, none fits the rules. There are: series 2 .CT, 12", id="no MR"),
    pytest.param(rules(), [], "none fits the rules. There are: none", id="nothing"),
    pytest.param(read_rules(SHIPPED_RULES), [MR, CT, PT], "one functional series, 2 fit the rules.*series 3", id="two"),
    pytest.param(rules(), [MR, candidate(2, "CT", PatientID="P2")], "series of one patient", id="two patients"),
    pytest.param(rules({"Modality": "(" * 2}), [MR, CT], "Modality cannot be applied.*no regular", id="no expression"),
    pytest.param(rules({"EchoTime": [1, "~"]}), [MR, CT], "EchoTime cannot be applied", id="no comparison"),
    pytest.param(rules({"Modality": [1, 2]}), [MR, CT], "Modality cannot be applied", id="numbers for text"),
]


@pytest.mark.parametrize(("text", "found", "message"), REFUSED)
def test_what_is_refused(text, found, message):
    with pytest.raises(InputError, match=message) as caught:
        choose_by_rules(text, found)
    assert "brain" not in str(caught.value)  # a description may name the patient


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "FileNotFoundError", id="missing"),
        pytest.param("{", "expected rules in JSON", id="no JSON"),
        pytest.param('{"selections": []}', "expected the selections .*, got none", id="empty"),
        pytest.param(rules({"ImageType": "ORIGINAL"}), "each with a condition beside ImageType", id="no condition"),
    ],
)
def test_rules_that_cannot_be_used(tmp_path, text, message):
    if text is not None:
        (tmp_path / "rules.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_rules(tmp_path / "rules.json")


def test_one_person_with_two_ids():
    """As for studies on the disk: two ids are refused, unless they are said to be one person's."""
    other = candidate(2, "CT", PatientID="P2")
    assert choose_by_rules(rules(), [MR, other], same_patient=True) == (MR, other)
    nameless = candidate(2, "CT", PatientID="")
    assert choose_by_rules(rules(), [MR, nameless]) == (MR, nameless)


def test_the_series_of_a_folder(tmp_path):
    uid = write_study(tmp_path, shape=(16, 16, 3), scout=True)
    found = candidates_in(tmp_path)
    assert {(c.study, c.header.Modality, c.images, len(c.files)) for c in found} == {
        (uid, "MR", 3, 3),
        (uid, "CT", 3, 3),
    }
    pair = choose_by_rules(read_rules(SHIPPED_RULES), found)
    assert [c.header.SeriesNumber for c in pair] == [1, 2]
