"""Detectability of whole methods: laws that hold on any images, and the folder of another method."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from scripts.classical.rules import AVERAGE
from scripts.metrics.detection.lesions import STANDARD
from scripts.utils.checks import InputError

from mmif_amin.benchmark.detection.planting import Planting, write_planted
from mmif_amin.benchmark.detection.result import CEILING, ratios_with_intervals
from mmif_amin.benchmark.detection.run import detect
from mmif_amin.benchmark.detection.shown import OVERLAYS
from mmif_amin.benchmark.methods import OURS
from mmif_amin.benchmark.run import benchmark
from mmif_amin.cli import main

STANDARD_ONLY = Planting((STANDARD,))


@pytest.fixture(scope="module")
def found(textures, tmp_path_factory):
    return detect(textures, tmp_path_factory.mktemp("detect"), planting=STANDARD_ONLY, classical=False)


def fuse_folder(planted, fused, rule, task="CT-MRI", other="CT"):
    """What a method of somebody else does with the folder that `plant` wrote."""
    (fused / task).mkdir(parents=True)
    for path in (planted / task / "MRI").iterdir():
        a, b = (np.asarray(Image.open(planted / task / folder / path.name)).astype(float) for folder in ("MRI", other))
        Image.fromarray(np.rint(rule(a, b)).astype(np.uint8)).save(fused / task / path.name)
    return fused


def test_a_copy_shows_one_source_whole_and_nothing_of_the_other(found):
    for task in found.values():
        assert task.lesions.min() > 150
        assert task.sources.min() > 0.5
        for name, parts in (("Copy of A", (1, 0, 0)), ("Copy of B", (0, 1, 0))):
            assert task.gray[name][0, :, 0] == pytest.approx(parts, abs=1e-9)


def test_the_average_of_independent_clutter_has_the_closed_form(found):
    """Half the lesion in clutter of variance (1 + 1) / 4: sqrt(1 / 2) of d' on each side."""
    for task in found.values():
        assert task.gray[AVERAGE][0, :, 0] == pytest.approx(np.sqrt(0.5), abs=0.1)


def test_the_ceiling_is_at_least_the_source_itself(found):
    for task in found.values():
        assert task.gray[CEILING][0, :2, 0] == pytest.approx(1.0, abs=0.1)
        assert all(task.gray[CEILING][0, 2, 0] > value for value in task.smaller().values())


def test_intervals_hold_the_figures(found):
    for task in found.values():
        for figures in [*task.gray.values(), *task.color.values()]:
            assert np.all(figures[..., 1] <= figures[..., 0] + 1e-9)
            assert np.all(figures[..., 2] >= figures[..., 0] - 1e-9)


def test_only_functional_images_have_colors(found):
    assert found["CT-MRI"].color == {}
    assert {OURS, AVERAGE, *OVERLAYS} <= set(found["PET-MRI"].color)
    assert not set(OVERLAYS) & set(found["PET-MRI"].gray)


def test_more_opacity_shows_less_of_the_source_below(found):
    light, dense = (found["PET-MRI"].color[name][0, 0, 0] for name in OVERLAYS)
    assert light > dense


def test_another_methods_folder_has_the_figures_of_its_rule(tmp_path, textures, capsys, found):
    words = ["--dataset-dir", str(textures), "--task", "CT-MRI", "--lesion", STANDARD.name]
    assert main(["plant", *words, "-o", str(tmp_path / "planted")]) == 0
    fused = fuse_folder(tmp_path / "planted", tmp_path / "fused", lambda a, b: (a + b) / 2)
    out = tmp_path / "out"
    assert main(["detect", *words, "--no-classical", "--method", f"Mine={fused}", "-o", str(out)]) == 0
    assert "| Mine |" in capsys.readouterr().out
    figures = json.loads((out / "detectability.json").read_text())["CT-MRI"]["gray"]
    mine = [figures["Mine"][STANDARD.name][part]["ratio"] for part in ("a", "b", "smaller")]
    assert mine == pytest.approx(found["CT-MRI"].gray[AVERAGE][0, :, 0], abs=0.02)
    with (out / "detectability.csv").open() as file:
        rows = {(row["method"], row["lesion"], row["part"]): row for row in csv.DictReader(file)}
    assert float(rows["Mine", STANDARD.name, "a"]["ratio"]) == pytest.approx(mine[0], abs=1e-5)


def test_a_missing_planted_image_is_named_before_anything_is_written(tmp_path, textures, capsys):
    write_planted(textures, tmp_path / "planted", Planting((STANDARD,), 1), tasks=["CT-MRI"])
    fused = fuse_folder(tmp_path / "planted", tmp_path / "fused", np.maximum)
    sorted((fused / "CT-MRI").iterdir())[-1].unlink()
    words = ["--task", "CT-MRI", "--lesion", STANDARD.name, "--sets", "1", "--method", f"Mine={fused}"]
    assert main(["detect", "--dataset-dir", str(textures), *words, "-o", str(tmp_path / "out")]) == 2
    assert re.search(r"--method Mine: .*expected a fused image .*mmif-amin plant", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_name_of_the_benchmark_is_refused(tmp_path, textures):
    with pytest.raises(InputError, match="this name is the benchmark's own"):
        detect(textures, tmp_path / "out", {"Max": tmp_path})


def test_the_mean_and_the_smaller_side_by_hand():
    """Two kinds, d' 2 in each source; the smaller side is that of the means, not the mean of the smaller ones."""
    source = np.full((2, 2, 3), 2.0)
    method = np.stack([np.full((2, 3), [[1.0], [2.0]]), np.full((2, 3), [[2.0], [0.0]])])
    figures = ratios_with_intervals(method, source)[..., 0]
    assert figures.tolist() == [[0.5, 1.0, 0.5], [1.0, 0.0, 0.0], [0.75, 0.5, 0.5]]


def test_the_benchmark_shows_it_everywhere(tmp_path, textures):
    import mlflow

    planted, uri = tmp_path / "planted", f"sqlite:///{tmp_path}/m.db"
    write_planted(textures, planted, STANDARD_ONLY, tasks=["PET-MRI"])
    rules = {"Mine": np.maximum, "Plain": np.maximum}
    folders = {name: fuse_folder(planted, tmp_path / name, rule, "PET-MRI", "PET") for name, rule in rules.items()}
    for folder in folders.values():  # the pairs themselves, for the other metrics
        for path in (textures / "PET-MRI" / "MRI").iterdir():
            pair = [np.asarray(Image.open(textures / "PET-MRI" / where / path.name)) for where in ("MRI", "PET")]
            Image.fromarray(np.maximum(*pair)).save(folder / "PET-MRI" / path.name)
    for path in (folders["Plain"] / "PET-MRI").glob("*-*.png"):
        path.unlink()  # this method was never run on the planted pairs
    out = tmp_path / "out"
    result = benchmark(
        textures, out, folders, tasks=["PET-MRI"], pairs=1, planting=STANDARD_ONLY, tracking_uri=uri
    ).tasks["PET-MRI"]
    assert "Plain" not in result.detection.gray
    assert result.detection.gray["Mine"] == pytest.approx(result.detection.gray["Max"], abs=0.03)
    agreement = result.agreement["VIFmin"]
    assert -1 <= agreement["tau"] <= 1
    assert agreement["methods"] == 7  # ours, five rules and Mine; no probe
    smaller = f"{result.detection.gray[OURS][-1, 2, 0]:.2f} ["
    assert smaller in (out / "benchmark.md").read_text()
    assert "Kendall's tau" in (out / "benchmark.md").read_text()
    assert "so not here: Plain." in (out / "benchmark.md").read_text()
    content = json.loads((out / "benchmark.json").read_text())["PET-MRI"]
    assert content["detectability"]["gray"][OURS]["mean"]["smaller"]["ratio"] == result.detection.gray[OURS][-1, 2, 0]
    assert content["kendall_tau_with_detectability"]["VIFmin"] == agreement
    page = (out / "benchmark.html").read_text()
    data = json.loads(re.search(r"const RESULT = (.*);\n", page).group(1))["tasks"]["PET-MRI"]["lesions"]
    assert {row["name"] for row in data["rows"]} >= {OURS, "Mine", "Max", CEILING}
    assert (out / "detectability.csv").is_file()
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mmif_amin").experiment_id])
    assert run.data.metrics[f"PET-MRI/{OURS}/detectability_gray_mean_smaller"] == pytest.approx(
        result.detection.gray[OURS][-1, 2, 0]
    )
    assert run.data.metrics["PET-MRI/kendall_tau/VIFmin"] == pytest.approx(agreement["tau"])


def test_a_data_set_without_room_is_said_so(tmp_path, harvard_like, capsys):
    for path in (harvard_like / "CT-MRI" / "CT").iterdir():
        Image.new("L", (64, 64), 0).save(path)
    words = ["--dataset-dir", str(harvard_like), "--task", "CT-MRI", "--no-classical"]
    assert main(["detect", *words, "-o", str(tmp_path / "out")]) == 0
    assert "There was no room for lesions" in capsys.readouterr().out


# The project's reference figures of CT-MRI on the public test set: d' of sources A and B, and the parts of it kept.
SOURCES = (1.27, 1.35)
KEPT = {AVERAGE: (0.50, 0.65), "Max": (0.37, 0.58)}


@pytest.mark.slow
def test_figures_on_real_pairs_are_near_those_of_the_public_test_set(tmp_path, shared_harvard):
    """Other patients, so near and not equal. The average keeps more than the maximum, as there."""
    found = detect(shared_harvard, tmp_path, planting=STANDARD_ONLY, tasks=["CT-MRI"])["CT-MRI"]
    assert found.sources[0] == pytest.approx(SOURCES, rel=0.25)
    for name, parts in KEPT.items():
        assert found.gray[name][0, :2, 0] == pytest.approx(parts, abs=0.25), name
    assert found.gray[AVERAGE][0, 0, 0] > found.gray["Max"][0, 0, 0]
