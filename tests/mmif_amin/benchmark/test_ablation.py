from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from scripts.metrics.suite import METRIC_NAMES
from scripts.utils.checks import InputError

from mmif_amin import cli
from mmif_amin.benchmark.ablation import COLUMNS, CONFIGS, VARIANTS, ablation, ablation_table


def means(value: float) -> dict[str, float]:
    return dict.fromkeys((*METRIC_NAMES, "score", "way_closed"), value)


def test_table_shows_what_each_part_earns():
    table = ablation_table({"full": means(0.5), "no Transformer": means(0.4)})
    assert "| full | 0.500 |" in table
    assert "0.400 (-0.100)" in table


def test_every_override_is_a_key_of_the_config():
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "train.json"))
    for changes in VARIANTS.values():
        for key in changes:
            if key == "config_file":
                assert (CONFIGS / changes[key]).is_file()
            else:
                assert key.split("#")[0] in parser.get()


def test_finished_variants_are_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def train(command, check):
        folder = next(Path(word.removeprefix("--output=")) for word in command if word.startswith("--output="))
        trained.append(folder.name.replace("_", " "))
        if len(trained) == 3:
            raise KeyboardInterrupt
        folder.mkdir(parents=True)
        (folder / "best.json").write_text(json.dumps({"metrics": means(0.1 * len(trained))}))
        (folder / "way_closed.json").write_text(json.dumps({"CT-MRI": 0.2, "PET-MRI": 0.6}))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("mmif_amin.benchmark.ablation.subprocess.run", train)
    with pytest.raises(KeyboardInterrupt):
        ablation("data", tmp_path, epochs=1)
    assert len((tmp_path / "ablation.md").read_text().splitlines()) == 4
    results = ablation("data", tmp_path, epochs=1)
    assert trained == [*list(VARIANTS)[:3], *list(VARIANTS)[2:]]
    assert list(results) == list(VARIANTS)
    assert results["full"]["VIF"] == pytest.approx(0.1)
    assert results["full"]["way_closed"] == pytest.approx(0.4)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_names_of_folders_are_names_in_every_variant(tmp_path, monkeypatch, name):
    """The words of each training go through the command line's parser as they came: none is an expression."""
    monkeypatch.chdir(tmp_path)
    odd = '$__import__("os").mkdir("ran")'
    seen = {}
    monkeypatch.setattr("mmif_amin.workflow.run_config", lambda files, run, overrides: seen.update(overrides))

    def train(command, check):
        assert command[1:5] == ["-P", "-m", "mmif_amin", "train"]
        seen.clear()
        assert cli.main(command[4:]) == 0
        if Path(seen["output_dir"]).name == name.replace(" ", "_"):
            raise KeyboardInterrupt
        Path(seen["output_dir"]).mkdir(parents=True)
        Path(seen["output_dir"], "best.json").write_text(json.dumps({"metrics": means(0.5)}))
        Path(seen["output_dir"], "way_closed.json").write_text(json.dumps({"CT-MRI": 0.5}))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("mmif_amin.benchmark.ablation.subprocess.run", train)
    with pytest.raises(KeyboardInterrupt):
        ablation(odd, f"out {odd}", epochs=2, seed=5)
    changes = {key: value for key, value in VARIANTS[name].items() if key != "config_file"}
    budget = {"epochs": 2, "val_interval": 2, "seed": 5}
    folder = str(Path(f"out {odd}") / name.replace(" ", "_"))
    assert seen == {"output_dir": folder, "dataset_dir": odd, **budget, **changes}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["{bad", "[]", '{"score": "high"}'])
def test_damaged_figures_of_an_earlier_run_are_named(tmp_path, text):
    done = tmp_path / "full" / "done_1_0.json"
    done.parent.mkdir()
    done.write_text(text)
    with pytest.raises(InputError, match=r"done_1_0\.json: expected"):
        ablation("data", tmp_path, epochs=1)
    assert "score" in COLUMNS


def test_a_training_that_fails_ends_the_ablation(tmp_path, monkeypatch):
    ended = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr("mmif_amin.benchmark.ablation.subprocess.run", lambda command, check: ended)
    with pytest.raises(InputError, match="full: this training ended with exit code 2"):
        ablation("data", tmp_path, epochs=1)
