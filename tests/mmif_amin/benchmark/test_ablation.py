"""The ablation: its variants, its table and the seeds' spread, going on after an interruption, and what it measures."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
import torch
from scripts.metrics.suite import METRIC_NAMES
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.checks import InputError

from mmif_amin import BUNDLE, cli
from mmif_amin.benchmark.ablation import run as runner
from mmif_amin.benchmark.ablation.measure import KEPT, WAY, Measure
from mmif_amin.benchmark.ablation.run import ablation
from mmif_amin.benchmark.ablation.table import ablation_table, seed_spread
from mmif_amin.benchmark.ablation.variants import BASE, VARIANTS, command_of, network_options


def means(value: float) -> dict[str, float]:
    return dict.fromkeys((*METRIC_NAMES, "score", WAY, f"{KEPT}/both"), value)


def folder_of(command: list[str]) -> Path:
    return next(Path(word.removeprefix("--output=")) for word in command if word.startswith("--output="))


class NoMeasure:
    """Stands for what takes minutes: figures that say which training they are of."""

    def __init__(self, dataset_dir: str, optima: Path) -> None:
        self.count = 0

    def __call__(self, network: MMIFAMIN) -> dict[str, float]:
        self.count += 1
        return {WAY: self.count / 100, f"{KEPT}/both": 0.5}


@pytest.fixture
def quick(monkeypatch):
    """No training and no measurement: the folders of the trainings that were asked for."""
    trained: list[Path] = []

    def train(command, check):
        trained.append(folder_of(command))
        trained[-1].mkdir(parents=True, exist_ok=True)
        (trained[-1] / "best.json").write_text(json.dumps({"metrics": means(0.1 * len(trained))}))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(runner.subprocess, "run", train)
    monkeypatch.setattr(runner, "Measure", NoMeasure)
    monkeypatch.setattr(runner, "load_network", lambda network, weights, runtime: network)
    return trained


def test_spread_is_pooled_over_the_variants():
    results = {"full": [means(1.0), means(3.0)], "no Transformer": [means(5.0), means(5.0)]}
    assert seed_spread(results, "VIF") == pytest.approx(1.0)  # variances 2 and 0
    assert math.isnan(seed_spread({"full": [means(1.0)]}, "VIF"))


def test_table_marks_what_the_seeds_do_not_explain():
    full, near, far = [means(0.50), means(0.52)], [means(0.51), means(0.53)], [means(0.60), means(0.62)]
    table = ablation_table({"full": full, "no condition": near, "no Transformer": far})
    assert "| full | 0.510 |" in table
    assert "| no condition | 0.520 (+0.010) |" in table
    assert "| no Transformer | 0.610 (+0.100)* |" in table
    assert "| spread of the seeds | 0.014 |" in table
    assert "–" in table  # the figure of --keep lesions, which none of them has


def test_one_seed_has_no_spread_and_no_mark():
    table = ablation_table({"full": [means(0.5)], "no Transformer": [means(0.9)]})
    assert "0.900 (+0.400) |" in table
    assert "*" not in table


def test_every_override_is_a_key_of_the_config():
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    for changes in (BASE, *VARIANTS.values()):
        for key in changes:
            assert key.split("#")[0] in parser.get()


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_is_another_network_or_another_training(name):
    options = network_options(VARIANTS[name])
    network = MMIFAMIN(spatial_dims=2, **options)
    assert network(torch.rand(1, 2, 32, 32)).shape == (1, 1, 32, 32)
    full = sum(parameter.numel() for parameter in MMIFAMIN(spatial_dims=2).parameters())
    assert (sum(parameter.numel() for parameter in network.parameters()) != full) is bool(options)


def test_finished_trainings_are_not_repeated(tmp_path, quick, monkeypatch):
    train = runner.subprocess.run

    def interrupted(command, check):
        if len(quick) == 3:
            raise KeyboardInterrupt
        return train(command, check)

    monkeypatch.setattr(runner.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ablation("data", tmp_path, epochs=1)
    assert len((tmp_path / "ablation.md").read_text().splitlines()) == 6  # header, three variants, spread
    monkeypatch.setattr(runner.subprocess, "run", train)
    results = ablation("data", tmp_path, epochs=1)
    names = [name.replace(" ", "_") for name in VARIANTS]
    assert [(folder.parent.name, folder.name) for folder in quick] == [
        (name, f"seed_{seed}") for seed in range(2) for name in names
    ]
    assert list(results) == list(VARIANTS)
    assert [figures["VIF"] for figures in results["full"]] == pytest.approx([0.1, 0.1 * (len(VARIANTS) + 1)])
    assert json.loads((tmp_path / "ablation.json").read_text()) == {"epochs": 1, "seeds": 2, "results": results}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_names_of_folders_are_names_in_every_variant(tmp_path, monkeypatch, name):
    """The words of each training go through the command line's parser as they came: none is an expression."""
    monkeypatch.chdir(tmp_path)
    odd = '$__import__("os").mkdir("ran")'
    seen: dict = {}
    monkeypatch.setattr("mmif_amin.workflow.run_config", lambda files, run, overrides: seen.update(overrides))
    command = command_of(VARIANTS[name], odd, Path(f"out {odd}"), epochs=2, seed=5)
    assert command[1:5] == ["-P", "-m", "mmif_amin", "train"]
    assert cli.main(command[4:]) == 0
    budget = {"epochs": 2, "val_interval": 2, "optimum_steps": 0, "seed": 5}
    assert seen == {"output_dir": f"out {odd}", "dataset_dir": odd, **budget, **BASE, **VARIANTS[name]}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["{bad", "[]", '{"score": "high"}'])
def test_damaged_figures_of_an_earlier_run_are_named(tmp_path, quick, text):
    done = tmp_path / "full" / "seed_0" / "done_1.json"
    done.parent.mkdir(parents=True)
    done.write_text(text)
    with pytest.raises(InputError, match=r"done_1\.json: expected"):
        ablation("data", tmp_path, epochs=1)
    assert not quick


def test_a_training_that_fails_ends_the_ablation(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(runner.subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 2))
    with pytest.raises(InputError, match="seed_0: this training ended with exit code 2"):
        ablation("data", tmp_path, epochs=1)


def test_no_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="--seeds: expected at least 1, got 0"):
        ablation("data", tmp_path, seeds=0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What is measured of the network at its start, on the sample, with optima that one step finds."""
    folder = tmp_path_factory.mktemp("measure")
    patch = pytest.MonkeyPatch()
    patch.setattr("mmif_amin.benchmark.ablation.measure.STEPS", 3)
    measure = Measure(str(BUNDLE / "sample_data"), folder / "optima.json")
    patch.undo()
    return folder / "optima.json", measure(MMIFAMIN(spatial_dims=2).eval()), measure.items


def test_a_network_at_its_start_has_gone_nothing_of_the_way(measured):
    optima, figures, items = measured
    assert figures[WAY] == pytest.approx(0, abs=0.05)
    assert {key for key in figures if key.startswith(f"{WAY}/")} == {f"{WAY}/{item['task']}" for item in items}
    assert all(start > end for _, start, end in json.loads(optima.read_text()))


def test_the_optima_are_sought_once_and_belong_to_the_data(measured, monkeypatch):
    optima, _, _ = measured
    monkeypatch.setattr("mmif_amin.benchmark.ablation.measure.pixel_optima", None)
    assert len(Measure(str(BUNDLE / "sample_data"), optima).ways) == len(json.loads(optima.read_text()))
    optima.write_text('[["PET-MRI", 1.0]]')
    with pytest.raises(InputError, match="expected . pixel optima of this data set"):
        Measure(str(BUNDLE / "sample_data"), optima)
