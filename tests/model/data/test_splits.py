"""Photographs in data lists: their folders, their tasks beside medical ones, and splits that no scene crosses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scripts.data.datalist import fusion_datalist, patient_shards, tasks_of
from scripts.data.splits import case_of, split_names
from scripts.utils.checks import InputError

from tests.conftest import BUNDLE, write_gray

SPLIT_FILE = BUNDLE / "docs" / "photographs_split.json"
SPLIT = json.loads(SPLIT_FILE.read_text())
# Pairs of one scene: of one drive, one object, one room or one picture.
SCENES = {
    "infrared-visible": [r"FLIR_video_\d+", r"FLIR_0(8[89]|9)\d+"],
    "multi-focus": ["aymaz_(07|20)", "savic_(01|02|09|11|14)", "savic_(12|13)", r"savic_(1[5-9]|20)", "stand_0[34]"],
    "multi-exposure": [r"ICCV_(08|10|11)", r"Knossos\d", "building|buildingRoad|road|town", "door2|flower|flowerGate2"],
}


@pytest.fixture
def photographs(tmp_path):
    """Ten pairs of focus settings of several sizes and endings, and two of infrared and visible."""
    for k in range(10):
        write_gray(tmp_path / "multi-focus" / "a" / f"scene_{k}.png", np.zeros((20 + k, 30)))
        write_gray(tmp_path / "multi-focus" / "b" / f"scene_{k}.{'jpg' if k % 2 else 'bmp'}", np.zeros((20 + k, 30)))
    for name in ("street_001", "street_002"):
        for folder in ("infrared", "visible"):
            write_gray(tmp_path / "infrared-visible" / folder / f"{name}.png", np.zeros((20, 20)))
    return tmp_path


@pytest.mark.parametrize("task", SPLIT)
def test_no_scene_is_in_both_parts_and_a_fifth_is_validation(task):
    training, validation = (set(SPLIT[task][part]) for part in ("training", "validation"))
    assert not training & validation
    assert 0.18 < len(validation) / (len(training) + len(validation)) < 0.22
    for scene in SCENES[task]:
        found = [bool([name for name in part if re.fullmatch(scene, name)]) for part in (training, validation)]
        assert sorted(found) == [False, True], scene


def test_numbered_frames_of_the_two_parts_are_far_apart():
    """The frames are numbered in the order in which they were taken: those of one scene have near numbers."""
    parts = SPLIT["infrared-visible"]
    numbers = [[int(n[5:]) for n in parts[key] if n[5:].isdecimal()] for key in ("training", "validation")]
    assert min(abs(a - b) for a in numbers[0] for b in numbers[1]) >= 70


def test_the_split_file_decides(photographs):
    path = photographs / "own.json"
    path.write_text(json.dumps({"multi-focus": {"training": ["scene_1"], "validation": ["scene_2", "scene_9"]}}))
    options = {"tasks": ["multi-focus"], "split_file": path}
    assert [i["name"] for i in fusion_datalist(photographs, "training", **options)] == ["scene_1"]
    assert [i["name"] for i in fusion_datalist(photographs, "validation", **options)] == ["scene_2", "scene_9"]
    folders = [photographs / "multi-focus" / side for side in "ab"]
    assert [i["name"] for i in fusion_datalist(folders, "training", **options)] == ["scene_1"]
    with pytest.raises(InputError, match="expected the task infrared-visible in it, found multi-focus"):
        fusion_datalist(photographs, "training", ["infrared-visible"], split_file=path)
    with pytest.raises(InputError, match="expected a split, a JSON file"):
        fusion_datalist(photographs, "training", split_file=photographs / "none.json")
    with pytest.raises(InputError, match="is a data list and has its own split"):
        fusion_datalist(BUNDLE / "sample_data", "training", split_file=path)


def test_folders_of_photographs_alone_and_beside_medical_ones(photographs, harvard_like):
    assert tasks_of(fusion_datalist(photographs)) == ["infrared-visible", "multi-focus"]
    item = fusion_datalist(photographs, tasks=["infrared-visible"])[0]
    assert item["source_a"].endswith("infrared/street_001.png")
    assert item["source_b"].endswith("visible/street_001.png")
    (photographs / "multi-focus").rename(harvard_like / "multi-focus")
    assert tasks_of(fusion_datalist(harvard_like)) == ["CT-MRI", "PET-MRI"], "medical tasks are the default there"
    assert len(fusion_datalist(harvard_like, tasks=["multi-focus"])) == 10
    assert tasks_of(fusion_datalist(harvard_like, tasks=["PET-MRI", "multi-focus"])) == ["PET-MRI", "multi-focus"]


def test_without_a_written_split_neighboring_frames_stay_together(photographs):
    parts = [[i["name"] for i in fusion_datalist(photographs, s, ["multi-focus"])] for s in ("training", "validation")]
    assert [len(part) for part in parts] == [8, 2]
    assert max(parts[0]) < min(parts[1])
    assert split_names("infrared-visible", ["x", "y"], "validation", None) == set(), "two are too few to hold one out"


def test_each_photograph_is_its_own_case():
    names = ["FLIR_00006", "FLIR_00018", "town"]
    assert [case_of(name, "multi-exposure") for name in names] == names
    assert case_of("20005", "CT-MRI") == case_of("20005") == "20"
    items = [{"task": "infrared-visible", "name": name, "source_a": "x", "slice": -1} for name in names]
    assert len(patient_shards(items, 3)) == 3
