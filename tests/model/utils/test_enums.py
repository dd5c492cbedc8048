from __future__ import annotations

import json

import pytest
from scripts.utils.enums import SourceKeys, StudyKeys

from tests.conftest import BUNDLE


@pytest.mark.parametrize(
    ("made", "member"),
    [
        pytest.param(StudyKeys.file(SourceKeys.SOURCE_A), StudyKeys.SOURCE_A_FILE, id="file of A"),
        pytest.param(StudyKeys.file(SourceKeys.SOURCE_B), StudyKeys.SOURCE_B_FILE, id="file of B"),
        pytest.param(StudyKeys.window(SourceKeys.SOURCE_A), StudyKeys.SOURCE_A_WINDOW, id="window of A"),
        pytest.param(StudyKeys.window(SourceKeys.SOURCE_B), StudyKeys.SOURCE_B_WINDOW, id="window of B"),
        pytest.param(StudyKeys.unregistered(SourceKeys.SOURCE_B), StudyKeys.SOURCE_B_UNREGISTERED, id="unregistered"),
        pytest.param(StudyKeys.registration(SourceKeys.SOURCE_B), StudyKeys.SOURCE_B_REGISTRATION, id="registration"),
        pytest.param(StudyKeys.color("pred"), StudyKeys.PRED_COLOR, id="color"),
    ],
)
def test_made_keys_are_the_members(made, member):
    assert made == member


def test_the_volume_config_names_the_same_keys():
    config = json.loads((BUNDLE / "configs" / "inference_volume.json").read_text())
    steps = {step["_target_"].rpartition(".")[2]: step for step in config["preprocessing"]["transforms"]}
    sources = [SourceKeys.SOURCE_A, SourceKeys.SOURCE_B]
    assert steps["ChooseGridd"]["keys"] == sources
    assert (steps["RegisterToMatchd"]["keys"], steps["RegisterToMatchd"]["key_dst"]) == tuple(reversed(sources))
    assert steps["ResampleVolumed"]["keys"] == [*sources, StudyKeys.SOURCE_B_UNREGISTERED]
    assert steps["ResampleVolumed"]["key_dst"] == StudyKeys.GRID
    assert steps["NormalizeStudyd"]["keys"] == sources
    assert StudyKeys.color(config["postprocessing"]["transforms"][0]["keys"]) == StudyKeys.PRED_COLOR
