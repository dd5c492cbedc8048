"""The configs as MONAI sees them: every file parses, properties are complete, overlays merge, everything runs."""

from __future__ import annotations

import ast
import csv
import json
import re
import sqlite3

import numpy as np
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image
from scripts.metrics.suite import METRIC_NAMES

from tests.conftest import BUNDLE

CONFIGS = BUNDLE / "configs"
TRAIN, EVALUATE, INFERENCE, VOLUME, MULTI_GPU, TWO_LEVEL = (
    str(CONFIGS / f"{name}.json")
    for name in ("train", "evaluate", "inference", "inference_volume", "multi_gpu_train", "train_two_level")
)
SMALL = {
    "epochs": 2,
    "val_interval": 1,
    "batch_size": 4,
    "patch_size": 64,
    "meta_interval": 2,
    "network_def#channels": 16,
    "network_def#growth": [4, 4],
    "network_def#num_blocks": [1, 1],
}


def run(files, output_dir, **overrides):
    workflow = ConfigWorkflow(
        config_file=files, workflow_type="train", output_dir=str(output_dir), device="$torch.device('cpu')", **overrides
    )
    workflow.initialize()
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


@pytest.mark.parametrize("path", [EVALUATE, MULTI_GPU, TWO_LEVEL], ids=lambda path: path.split("/")[-1])
def test_overlays_are_short_and_merge(path):
    overlay = json.loads(open(path).read())
    assert len(open(path).read().splitlines()) <= 60
    parser = ConfigParser()
    parser.read_config([TRAIN, path])
    known = json.loads(open(TRAIN).read())
    for key in overlay:
        assert key.split("#")[0] in {*known, "ckpt_path", "split", "examples", "evaluating", "finalize"}, key


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
    assert list((tmp_path / "mlruns").rglob("epoch_0002.png"))
    assert list((tmp_path / "mlruns").rglob("best.pt"))


@pytest.mark.slow
def test_training_taught_by_reconstruction(tmp_path, harvard_like):
    options = {**SMALL, "train#trainer#meta_warmup": 0}
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


def test_no_config_expression_hides_logic():
    """Glue in configs stays on one short line; longer logic is a tested function."""
    for path in CONFIGS.glob("*.json"):
        for expression in re.findall(r'"\$([^"]+)"', path.read_text()):
            assert len(expression) < 140, (path.name, expression)
            if not expression.startswith("import"):
                ast.parse(re.sub(r"@[\w#]+", "x", expression))
