from __future__ import annotations

import json

import numpy as np
import pytest
from scripts.data.datalist import (
    balance_tasks,
    folder_pairs,
    fusion_datalist,
    harvard_pairs,
    patient_shards,
    spread_over_tasks,
    tasks_of,
)
from scripts.data.tasks import modalities_of
from scripts.utils.checks import InputError

from tests.conftest import BUNDLE, write_gray


def test_harvard_layout_without_a_split_holds_out_each_fifth_case(harvard_like):
    training, validation = (harvard_pairs(harvard_like, split) for split in ("training", "validation"))
    assert tasks_of(training) == ["CT-MRI", "PET-MRI"]
    assert len(training) == 8
    assert {item["name"] for item in validation} == {"5001"}
    assert not {(i["task"], i["name"]) for i in training} & {(i["task"], i["name"]) for i in validation}


def test_split_json_decides(harvard_like):
    (harvard_like / "split.json").write_text(json.dumps({"CT-MRI": {"train": ["1001"], "val": [2001, 3001]}}))
    assert [i["name"] for i in harvard_pairs(harvard_like, "training", ["CT-MRI"])] == ["1001"]
    assert [i["name"] for i in harvard_pairs(harvard_like, "validation", ["CT-MRI"])] == ["2001", "3001"]


def test_real_collection_and_its_split(shared_harvard):
    split = json.loads((shared_harvard / "split.json").read_text())
    for task, ids in split.items():
        for name, key in (("training", "train"), ("validation", "val")):
            assert {i["name"] for i in harvard_pairs(shared_harvard, name, [task])} == {str(x) for x in ids[key]}


def test_balance_repeats_the_smaller_tasks():
    items = [{"task": "CT-MRI", "name": str(k)} for k in range(2)] + [
        {"task": "PET-MRI", "name": str(k)} for k in range(5)
    ]
    balanced = balance_tasks(items)
    counts = [sum(i["task"] == task for i in balanced) for task in ("CT-MRI", "PET-MRI")]
    assert counts == [5, 5]


def test_two_folders(tmp_path):
    for name in ("b", "a"):
        for folder in ("mri", "ct"):
            write_gray(tmp_path / folder / f"{name}.png", np.zeros((20, 20)))
    assert [i["name"] for i in folder_pairs(tmp_path / "mri", tmp_path / "ct")] == ["a", "b"]
    (tmp_path / "ct" / "b.png").unlink()
    with pytest.raises(InputError, match="1 have no partner: b"):
        folder_pairs(tmp_path / "mri", tmp_path / "ct")


def test_two_folders_train_and_validate(tmp_path):
    for k in range(10):
        for folder in ("mri", "pet"):
            write_gray(tmp_path / folder / f"{k}.png", np.zeros((20, 20)))
    folders = [str(tmp_path / "mri"), str(tmp_path / "pet")]
    parts = [fusion_datalist(folders, split, ["PET-MRI"]) for split in ("training", "validation")]
    assert [len(part) for part in parts] == [8, 2]
    assert tasks_of(parts[0]) == ["PET-MRI"]
    with pytest.raises(InputError, match="two folders and one task"):
        fusion_datalist(folders)


def test_embedded_sample_is_a_datalist():
    for split in ("training", "validation"):
        assert tasks_of(fusion_datalist(BUNDLE / "sample_data", split)) == ["CT-MRI", "PET-MRI"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "expected a MONAI datalist JSON", id="broken"),
        pytest.param("[]", "found none", id="list"),
        pytest.param('{"training": []}', "found none", id="empty"),
        pytest.param('{"training": [{"source_a": "a.png"}]}', "must have source_a, source_b and task", id="no-task"),
        pytest.param(
            '{"training": [{"source_a": "a", "source_b": "b", "task": "XRAY-MRI"}]}', "Task 'XRAY-MRI'", id="odd-task"
        ),
    ],
)
def test_bad_datalists(tmp_path, content, message):
    path = tmp_path / "datalist.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        fusion_datalist(path)


def test_bad_folders(tmp_path, harvard_like):
    with pytest.raises(InputError, match="expected task folders"):
        fusion_datalist(tmp_path / "missing")
    with pytest.raises(InputError, match="SPECT-MRI"):
        fusion_datalist(harvard_like, tasks=["SPECT-MRI"])
    with pytest.raises(InputError, match="expected a folder of images, found nothing"):
        folder_pairs(tmp_path / "x", tmp_path / "y")
    with pytest.raises(ValueError, match="`split` must be one of"):
        fusion_datalist(harvard_like, "trainnig")


def test_modalities():
    assert [str(m) for m in modalities_of("PET-MRI")] == ["MRI", "PET"]


@pytest.mark.parametrize(
    ("tasks", "count", "chosen"),
    [
        pytest.param("A" * 6, 2, [1, 4], id="middle of each half"),
        pytest.param("A" * 3, 5, [0, 1, 2], id="fewer pairs than asked for"),
        pytest.param("BABAB", 1, [3, 2], id="each task by itself"),
        pytest.param("AB", 0, [], id="none"),
    ],
)
def test_pairs_to_show_are_spread_over_each_task(tasks, count, chosen):
    assert spread_over_tasks([{"task": task} for task in tasks], count) == chosen


def patients(shard: list[dict]) -> set[str]:
    return {item["name"][:-3] for item in shard}


def test_each_process_gets_whole_patients_and_as_many_pairs(tmp_path):
    slices = {"1": 5, "2": 3, "3": 2, "4": 1}
    for folder in ("mri", "ct"):
        for patient, count in slices.items():
            for number in range(count):
                write_gray(tmp_path / "CT-MRI" / folder.upper() / f"{patient}{number:03d}.png", np.zeros((4, 4)))
    options = {"split": None, "shard_by": "patient", "processes": 2}
    shards = [fusion_datalist(tmp_path, rank=rank, **options) for rank in range(2)]
    assert [patients(shard) for shard in shards] == [{"1", "4"}, {"2", "3"}]
    assert [len(shard) for shard in shards] == [6, 6], "one pair of the second process is there twice"
    assert fusion_datalist(tmp_path, None, processes=2) == fusion_datalist(tmp_path, None)


def test_slices_of_a_volume_are_one_patient():
    items = [{"source_a": volume, "name": f"slice_{n}", "slice": n} for n in range(3) for volume in "ab"]
    assert [{item["source_a"] for item in shard} for shard in patient_shards(items, 2)] == [{"a"}, {"b"}]


def test_too_few_patients_and_an_unknown_way_are_refused(harvard_like):
    with pytest.raises(
        InputError, match="got 4 patients and 5 processes. Start fewer processes, or use shard_by image"
    ):
        fusion_datalist(harvard_like, "training", shard_by="patient", processes=5)
    with pytest.raises(InputError, match="shard_by: expected one of image, patient, got 'case'"):
        fusion_datalist(harvard_like, shard_by="case")


ENTRY = {"source_a": "a.png", "source_b": "b.png", "task": "CT-MRI"}
BAD_ENTRIES = [
    pytest.param({"training": 5}, "'training' must be a list", id="no-list"),
    pytest.param({"training": ["a.png"]}, "entry 0 of 'training' must have source_a", id="no-object"),
    pytest.param({"training": [{**ENTRY, "source_a": 7}]}, "each a text", id="number-as-path"),
    pytest.param({"training": [{**ENTRY, "task": ["CT-MRI"]}]}, "each a text", id="list-as-task"),
    pytest.param({"training": [{**ENTRY, "source_b": "a\0b.png"}]}, "expected the path of a file", id="null-in-path"),
    pytest.param({"training": [{**ENTRY, "source_b": "\ud800"}]}, "expected the path of a file", id="half-a-letter"),
    pytest.param({"training": [ENTRY, {**ENTRY, "slice": "x"}]}, "entry 1 of 'training': slice must", id="slice"),
    pytest.param({"training": [{**ENTRY, "slice": True}]}, "slice must be a whole number", id="slice-true"),
    pytest.param({"training": [{**ENTRY, "slice": -7}]}, "slice must be a whole number", id="slice-negative"),
    *(
        pytest.param({"training": [{**ENTRY, "name": name}]}, "name of a pair that stays in the output", id=repr(name))
        for name in (
            *("../y", "/x/y", "a/../../y", "C:y", "..\\y", "\\\\host\\y", ".", "a\nb", "a\0b", "\x1b[2J", "\ud800"),
            *("n" * 201, ["y"], {"y": 1}, 1.5),
        )
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD_ENTRIES)
def test_bad_entries_are_named_and_not_printed_whole(tmp_path, content, message):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        fusion_datalist(path)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize("name", ["ct_022", "volume 1/slice 3", "Größe 患者", "a..b", 4013])
def test_names_of_pairs_may_be_of_any_letters_and_hold_folders(tmp_path, name):
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [{**ENTRY, "name": name}]}))
    assert [item["name"] for item in fusion_datalist(tmp_path)] == [str(name)]


@pytest.mark.parametrize(
    "text",
    ["{bad", "[]", "7", '{"CT-MRI": []}', '{"CT-MRI": {"training": "1001"}}', '{"CT-MRI": {"val": [["5001"]]}}'],
)
def test_a_damaged_split_is_named(harvard_like, text):
    (harvard_like / "split.json").write_text(text)
    with pytest.raises(InputError, match=r"split\.json: expected"):
        fusion_datalist(harvard_like, "validation")


def test_files_nested_deeper_than_python_reads_are_refused(harvard_like):
    for name in ("split.json", "datalist.json"):
        (harvard_like / name).write_text("[" * 100_000)
        with pytest.raises(InputError, match=f"{name}: expected .* got: maximum recursion depth"):
            fusion_datalist(harvard_like, "validation")
