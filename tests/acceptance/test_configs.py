"""The configs as MONAI sees them: every file parses, properties are complete, overlays merge, everything runs."""

from __future__ import annotations

import ast
import csv
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image
from scripts.losses.teachers import ReconstructionTeacher, RegretTeacher
from scripts.metrics.suite import METRIC_NAMES
from scripts.utils.checks import input_error_behind

from tests.conftest import BUNDLE

CONFIGS = BUNDLE / "configs"
TRAIN, EVALUATE, INFERENCE, VOLUME, MULTI_GPU, MULTI_GPU_EVALUATE, TWO_LEVEL = (
    str(CONFIGS / f"{name}.json")
    for name in (
        "train",
        "evaluate",
        "inference",
        "inference_volume",
        "multi_gpu_train",
        "multi_gpu_evaluate",
        "train_two_level",
    )
)
SMALL = {
    "epochs": 2,
    "val_interval": 1,
    "batch_size": 4,
    "patch_size": 64,
    "meta_interval": 2,
    "optimum_steps": 0,
    "network_def#channels": 16,
    "network_def#growth": [4, 4],
    "network_def#decoder_channels": 8,
}
OVERLAYS = [EVALUATE, MULTI_GPU, MULTI_GPU_EVALUATE, TWO_LEVEL]
PROPERTIES = [
    pytest.param("train", [TRAIN], id="train"),
    pytest.param("train", [TRAIN, EVALUATE], id="evaluate"),
    pytest.param("train", [TRAIN, TWO_LEVEL], id="train_two_level"),
    pytest.param("infer", [INFERENCE], id="inference"),
    pytest.param("infer", [VOLUME], id="inference_volume"),
]
TEACHERS = [
    pytest.param([TRAIN], {}, RegretTeacher, id="regret"),
    pytest.param([TRAIN, TWO_LEVEL], {}, ReconstructionTeacher, id="reconstruction"),
    pytest.param([TRAIN], {"adaptive": False}, type(None), id="fixed-loss"),
]


def workflow_of(files, output_dir, kind="train", **overrides) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        config_file=files, workflow_type=kind, output_dir=str(output_dir), device="$torch.device('cpu')", **overrides
    )
    workflow.initialize()
    return workflow


def run(files, output_dir, **overrides):
    workflow = workflow_of(files, output_dir, **overrides)
    workflow.run()
    workflow.finalize()
    return workflow


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda p: p.name)
def test_files_are_json_with_four_spaces(path):
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=4, ensure_ascii=False) + "\n"
    assert not re.search(r'"/(home|work|root|tmp|workspace)', text)


def test_every_target_resolves():
    from pydoc import locate

    for path in CONFIGS.glob("*.json"):
        for target in re.findall(r'"_target_": "([^"]+)"', path.read_text()):
            if "." in target:
                assert locate(target) is not None, f"{path.name}: {target}"


def test_training_and_inference_share_the_network():
    train, *others = (json.loads(open(path).read())["network_def"] for path in (TRAIN, INFERENCE, VOLUME))
    assert others == [train, train]


def test_training_and_inference_find_their_code_in_the_same_way():
    train, *others = (json.loads(open(path).read()) for path in (TRAIN, INFERENCE, VOLUME))
    for key in ("bundle_root", "foreign_scripts"):
        assert [other[key] for other in others] == [train[key]] * 2
    for path in (TRAIN, INFERENCE, VOLUME, EVALUATE, MULTI_GPU, MULTI_GPU_EVALUATE):
        assert json.loads(open(path).read())["run"][0] == "$@bundle_root", path


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.split("/")[-1])
def test_overlays_have_at_most_50_lines_and_merge(path):
    overlay = json.loads(open(path).read())
    assert len(open(path).read().splitlines()) <= 50
    new = {"ckpt_path", "split", "examples", "evaluating", "finalize", "shard_by", "store"}
    new |= {"reconstruction_def", "reconstruction", "reconstruction_optimizer"}
    known = json.loads(open(TRAIN).read())
    parser = ConfigParser()
    parser.read_config([TRAIN, path])
    for key, value in overlay.items():
        assert key.split("#")[0] in {*known, *new}, key
        assert parser[key] == value


@pytest.mark.parametrize(("kind", "files"), PROPERTIES)
def test_properties_are_complete(tmp_path, kind, files):
    assert workflow_of(files, tmp_path, kind).check_properties() == []


@pytest.mark.parametrize(("files", "options", "teacher"), TEACHERS)
def test_a_training_builds_what_its_teacher_needs(tmp_path, harvard_like, files, options, teacher):
    """The default one builds no reconstruction network; with the fixed loss nothing is taught."""
    workflow = workflow_of(files, tmp_path, dataset_dir=str(harvard_like), **SMALL, **options)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    assert type(trainer.teacher) is teacher
    built = {type(item).__name__ for item in workflow.parser.ref_resolver.resolved_content.values()}
    assert ("SourceReconstructionNet" in built) == (teacher is ReconstructionTeacher)


@pytest.mark.parametrize("patch_size", [46, 65], ids=["too-small", "odd"])
def test_an_unfit_patch_size_is_refused_at_the_start(tmp_path, harvard_like, patch_size):
    with pytest.raises(RuntimeError) as caught:
        run(TRAIN, tmp_path, dataset_dir=str(harvard_like), **{**SMALL, "patch_size": patch_size})
    expected = f"patch_size: expected an even number of at least 48 pixels, got {patch_size}."
    assert str(input_error_behind(caught.value)).startswith(expected)
    assert not list(tmp_path.glob("*.pt"))


def test_training_takes_two_steps(tmp_path, harvard_like):
    workflow = run(TRAIN, tmp_path, dataset_dir=str(harvard_like), **{**SMALL, "epochs": 1, "val_interval": 2})
    assert workflow.parser.get_parsed_content("train#trainer").state.iteration == 2
    assert torch.load(tmp_path / "last.pt", weights_only=True)["iteration"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("adaptive", [True, False], ids=["adaptive", "fixed"])
def test_training_on_a_collection(tmp_path, harvard_like, adaptive):
    options = {**SMALL, "network_def#reversible": adaptive}
    run(TRAIN, tmp_path, dataset_dir=str(harvard_like), adaptive=adaptive, **options)
    written = {p.name for p in tmp_path.iterdir()}
    assert {"best.pt", "best.json", "last.pt", "metrics.csv", "mlruns.db"} <= written
    assert {"loss_weights.csv", "loss_weights.png", "training_curves.png"} <= written
    sheet = np.asarray(Image.open(tmp_path / "examples" / "epoch_0002.png"))
    assert sheet.shape[1] == 6 * (64 + 4)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["task"], row["name"]) for row in rows} == {("CT-MRI", "5001"), ("PET-MRI", "5001")}
    assert all(np.isfinite(float(row[name])) for row in rows for name in METRIC_NAMES)
    logged = sqlite3.connect(tmp_path / "mlruns.db")
    names = {name for (name,) in logged.execute("select distinct key from metrics")}
    for name in (
        "loss",
        "learning_rate",
        "weight/edges",
        "term/local",
        "share/structure_a",
        "val/score",
        "val/PET-MRI/VIF",
    ):
        assert name in names, name
    assert not logged.execute("select count(*) from metrics where is_nan").fetchone()[0]
    parameters = dict(logged.execute("select key, value from params"))
    assert parameters["adaptive"] == str(adaptive)
    assert parameters["teacher"] == ("RegretTeacher" if adaptive else "NoneType")
    assert list((tmp_path / "mlruns").rglob("epoch_0002.png"))
    assert list((tmp_path / "mlruns").rglob("best.pt"))


@pytest.mark.slow
def test_training_taught_by_reconstruction(tmp_path, harvard_like):
    options = {**SMALL, "teacher#warmup": 0}
    run([TRAIN, TWO_LEVEL], tmp_path, dataset_dir=str(harvard_like), **options)
    with (tmp_path / "loss_weights.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["outer/reconstruction"]) > 0
    assert abs(float(last["weight_PET-MRI/local"]) - 10 / 40) < 0.2


def test_evaluation_with_the_shipped_weights(tmp_path):
    run([TRAIN, EVALUATE], tmp_path, examples=1)
    table = (tmp_path / "metrics.md").read_text()
    assert "| metric | CT-MRI | PET-MRI | mean |" in table
    background = next(line for line in table.splitlines() if line.startswith("| background"))
    assert [float(x) for x in background.split("|")[2:-1]] == [0, 0, 0]
    assert (tmp_path / "examples" / "sheet.png").is_file()


def test_inference_writes_gray_and_colour(tmp_path, harvard_like):
    run(INFERENCE, tmp_path, dataset_dir=str(harvard_like))
    gray, color = (np.asarray(Image.open(tmp_path / task / "5001.png")) for task in ("CT-MRI", "PET-MRI"))
    assert gray.shape == color.shape == (64, 64, 3)
    assert (gray[..., 0] == gray[..., 2]).all()
    assert (color[..., 0] != color[..., 2]).any()


def test_metadata_versions_and_hash():
    import hashlib

    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    weights = (BUNDLE / "models" / "model.pt").read_bytes()
    assert metadata["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert len(weights) < 5_000_000


def expressions(path) -> Iterator[tuple[str, str]]:
    """Key and text of each expression of a config."""

    def walk(key: str, node: Any) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict | list):
            for name, value in node.items() if isinstance(node, dict) else enumerate(node):
                yield from walk(str(name), value)
        elif isinstance(node, str) and node.startswith("$"):
            yield key, node[1:]

    return walk("", json.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda p: p.name)
def test_expressions_are_python_of_less_than_140_characters(path):
    for key, expression in expressions(path):
        assert len(expression) < 140, (key, expression)
        ast.parse(re.sub(r"@[\w#]+", "x", expression))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda p: p.name)
def test_no_expression_but_that_of_bundle_root_names_the_code(path):
    """The product sets bundle_root, and gives the names in ``_target_`` its own prefix."""
    assert {key for key, expression in expressions(path) if "scripts" in expression} <= {"bundle_root"}


def test_inference_leaves_the_hosts_seeds_as_they_are(tmp_path, harvard_like):
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.backends.cudnn.benchmark
    run(INFERENCE, tmp_path, dataset_dir=str(harvard_like))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.backends.cudnn.benchmark) == before
    assert torch.initial_seed() == 3


@pytest.mark.parametrize("given", [[], ["--dataset_dir", "elsewhere"]], ids=["sample", "own-data"])
def test_beside_a_foreign_package_scripts_there_is_one_clear_error(tmp_path, given):
    foreign = tmp_path / "scripts" / "__init__.py"
    foreign.parent.mkdir()
    foreign.touch()
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file", INFERENCE, *given]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    error = result.stderr.strip().splitlines()[-1]
    assert f"own package `scripts`, got <module 'scripts' from '{foreign}'>" in error
    assert "hides the bundle's: start in another folder, or take it off PYTHONPATH" in error
    assert not (tmp_path / "runs").exists()
