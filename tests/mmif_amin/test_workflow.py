"""Configs: a value is never an expression, a config of others is announced as a program, a damaged one is named."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from mmif_amin.scripts.utils.checks import InputError

import mmif_amin
from mmif_amin.cli import main
from mmif_amin.workflow import CONFIGS, make_component, run_config

FILES = {"train": ["train.json"], "evaluate": ["train.json", "evaluate.json"], "volume": ["inference_volume.json"]}
KEYS = [
    pytest.param([CONFIGS / file for file in files], key, id=f"{name}-{key}")
    for name, files in FILES.items()
    for key in sorted(set().union(*(json.loads((CONFIGS / file).read_text()) for file in files)))
    if "#" not in key
]
HOSTILE = ['$__import__("os").mkdir("ran")', "@seed", "%seed", "a@::b", "a%::b", "%train.json::seed", "@@seed"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder: whatever runs by mistake leaves its traces there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("files", "key"), KEYS)
def test_a_value_of_any_key_is_a_value(here, files, key):
    """Of every key, and so of every option of every command, because each option is the value of a key."""
    assert make_component(files, key, {key: HOSTILE[0]}) == HOSTILE[0]
    assert make_component(files, key, {key: [*HOSTILE, {"a": HOSTILE}]}) == [*HOSTILE, {"a": HOSTILE}]
    assert list(here.iterdir()) == []


def test_no_module_hands_words_of_a_user_to_monais_own_parser():
    """``monai.bundle run --key value`` reads each value as an expression of a config."""
    sources = {path.name: path.read_text() for path in Path(mmif_amin.__file__).parent.rglob("*.py")}
    assert "workflow.py" in sources
    assert [name for name, text in sources.items() if '"monai.bundle"' in text] == []
    assert [name for name, text in sources.items() if "ConfigParser" in text or "create_workflow" in text] == []


def test_own_configs_run_without_a_warning_and_those_of_others_with_one(here):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_component([CONFIGS / "train.json", CONFIGS / "train_two_level.json"], "epochs", {})
    (here / "mine.json").write_text('{"epochs": 3}')
    with pytest.warns(UserWarning, match=r"mine\.json: this config is a program.*only if you trust who wrote it"):
        assert make_component([CONFIGS / "train.json", Path("mine.json")], "epochs", {}) == 3


def test_the_command_line_shows_that_warning_before_anything_runs(here, capsys):
    """It is shown although the config then does what it likes: here it ends the training at once."""
    (here / "mine.json").write_text('{"initialize": ["$__import__(\'os\').mkdir(\'ran\')"], "run": ["$1"]}')
    assert main(["train", "--config-file", "mine.json", "-o", "out"]) == 0
    assert "mmif-amin: warning: mine.json: this config is a program." in capsys.readouterr().err
    assert (here / "ran").is_dir()


DAMAGED = {
    "no JSON": "{bad",
    "empty": "",
    "list": "[1]",
    "number": "5",
    "null byte": "\0",
    "nested": "[" * 100_000,
    "no such place": '{"x#y#z": 1}',
    "no such number": '{"train#handlers#77": 1}',
    "merge of a number": '{"+train#handlers": 5}',
}


@pytest.mark.filterwarnings("ignore:.*this config is a program")
@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_damaged_config_is_named(here, name, suffix):
    path = here / f"mine{suffix}"
    path.write_text(DAMAGED[name])
    with pytest.raises(InputError, match=rf"mine{suffix}: expected configs of MONAI in JSON or YAML"):
        run_config([CONFIGS / "train.json", path], "run", {})


@pytest.mark.filterwarnings("ignore:.*this config is a program")
@pytest.mark.parametrize("text", ['{"_target_": 5}', '{"network_def": {"_target_": 7}}'])
def test_an_odd_target_is_no_key_of_the_command_line(here, text):
    (here / "mine.json").write_text(text)
    with pytest.raises(InputError, match="--network_def#tau0: no such key"):
        run_config([CONFIGS / "train.json", here / "mine.json"], "run", {"network_def#tau0": 1})
