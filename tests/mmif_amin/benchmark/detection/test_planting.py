from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scripts.data.datalist import fusion_datalist
from scripts.metrics.detection.lesions import KINDS, STANDARD, Lesion, lesion_kind, plant
from scripts.transforms.pairs import LoadSourced
from scripts.utils.checks import InputError

from mmif_amin.benchmark.detection.planting import Planting, load_pair, write_planted
from mmif_amin.cli import main


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(np.float32) / 255


def test_the_manifest_says_what_the_files_hold(tmp_path, textures):
    out = tmp_path / "planted"
    words = [
        "--dataset-dir",
        str(textures),
        "--task",
        "CT-MRI",
        "--lesion",
        "ring-2.5-20",
        "--sets",
        "1",
        "--seed",
        "3",
    ]
    assert main(["plant", *words, "-o", str(out)]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["seed"], manifest["sets"], list(manifest["kinds"])) == (3, 1, ["ring-2.5-20"])
    clean = {entry["pair"]: entry for entry in manifest["pairs"] if "kind" not in entry}
    planted = [entry for entry in manifest["pairs"] if "kind" in entry]
    assert len(clean) == 12
    assert len(planted) == 24
    assert {entry["patient"] for entry in planted} == {"1", "2", "3"}
    folders = {"a": "MRI", "b": "CT"}
    for entry in planted:
        for source, folder in folders.items():
            before = pixels(out / "CT-MRI" / folder / f"{clean[entry['pair']]['name']}.png")
            after = pixels(out / "CT-MRI" / folder / f"{entry['name']}.png")
            lesions = [Lesion(**lesion) for lesion in entry["lesions"]] if source == entry["source"] else []
            assert after == pytest.approx(plant(before, lesion_kind(entry["kind"]), lesions), abs=1e-6)
            assert (np.abs(after - before).max() > 0.1) == bool(lesions)


def test_the_same_seed_writes_the_same_files(tmp_path, textures):
    planting = Planting((STANDARD,), sets=1)
    first, second = (write_planted(textures, tmp_path / name, planting, tasks=["CT-MRI"]) for name in "ab")
    assert first == second
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 2 * len(first["pairs"])
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


def test_names_change_with_seed_and_content_and_not_with_other_pairs(textures):
    items = fusion_datalist(textures, "validation", ["CT-MRI"])
    image = load_pair(LoadSourced(), items[0])[0].numpy()

    def names(planting, image=image):
        return [pair.item["name"] for pair in planting.pairs_of(image, items[0])]

    few, many = Planting((STANDARD,)), Planting(KINDS, sets=3)
    assert set(names(few)) <= set(names(many))
    assert len(set(names(many))) == len(names(many)) == 1 + 7 * 2 * 3
    assert not set(names(few)[1:]) & set(names(Planting((STANDARD,), seed=1)))
    assert not set(names(few)) & set(names(few, image * 0.9))


def test_where_one_source_shows_nothing_no_lesion_is_planted():
    image = np.stack([np.full((64, 64), 0.5), np.zeros((64, 64))])
    (clean,) = Planting().pairs_of(image, {"task": "CT-MRI", "name": "1001"})
    assert (clean.kind, clean.lesions) == (None, [])


def test_a_folder_that_holds_something_is_left_alone(tmp_path, textures):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError):
        write_planted(textures, tmp_path, Planting((STANDARD,), sets=1), tasks=["CT-MRI"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("words", [["--lesion", "star-2-10"], ["--sets", "0"]])
def test_wrong_words_end_with_2(tmp_path, textures, capsys, words):
    assert main(["plant", "--dataset-dir", str(textures), *words, "-o", str(tmp_path / "x")]) == 2
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
