"""Every option is written once: what the parser, the configs and the documentation say is compared with it."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json

import pytest

from mmif_amin.cli import build_parser
from mmif_amin.commands import NAMES, all_commands, evaluate, train
from mmif_amin.declarations import Option, add_to_parser, grid, positive, whole
from mmif_amin.documentation import command_line_page
from mmif_amin.old_spellings import modern_spelling
from mmif_amin.options import LOSS_MAP, NETWORK_OPTIONS, STUDY_OPTIONS, VOLUME_OPTIONS, WEIGHTS
from tests.conftest import BUNDLE, ROOT

VOLUME_CONFIG = json.loads((BUNDLE / "configs" / "inference_volume.json").read_text())
TRAIN_CONFIG = json.loads((BUNDLE / "configs" / "train.json").read_text())
EVALUATE_CONFIG = {**TRAIN_CONFIG, **json.loads((BUNDLE / "configs" / "evaluate.json").read_text())}
CHOSEN_BY_THE_COMMAND = {"device", "runtime"}  # "auto" in the command; a config names what it runs on


def pairs_of_options_and_configs():
    for option in (*VOLUME_OPTIONS, *NETWORK_OPTIONS, LOSS_MAP, WEIGHTS):
        yield pytest.param(option, VOLUME_CONFIG, id=f"volumes {option.name}")
    for command, options, config in (
        ("train", train.KEYS, TRAIN_CONFIG),
        ("evaluate", evaluate.DATA_KEYS, EVALUATE_CONFIG),
    ):
        for option in options:
            yield pytest.param(option, config, id=f"{command} {option.name}")


@pytest.mark.parametrize(("option", "config"), pairs_of_options_and_configs())
def test_the_configs_have_the_same_keys_and_defaults(option, config):
    key = option.key or option.attribute
    assert key in config
    shown_otherwise = option.default is None and str(config[key]).startswith(("$", "@"))  # the help describes it
    if key not in CHOSEN_BY_THE_COMMAND and not shown_otherwise:
        assert config[key] == option.default


def components(node):
    """Every component of a config with the arguments that are references to a key of it."""
    if isinstance(node, dict):
        if str(node.get("_target_", "")).startswith("scripts."):
            yield node["_target_"], {name: v[1:] for name, v in node.items() if str(v).startswith("@")}
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from components(value)


def test_the_components_have_the_same_defaults():
    options = {option.key or option.attribute: option for option in (*VOLUME_OPTIONS, LOSS_MAP, *NETWORK_OPTIONS)}
    compared = set()
    for target, references in components(VOLUME_CONFIG):
        module, _, name = target.rpartition(".")
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        for argument, key in references.items():
            default = parameters[argument].default
            if key in options and default is not inspect.Parameter.empty and key not in CHOSEN_BY_THE_COMMAND:
                assert default == options[key].default, (target, argument)
                compared.add(key)
    assert {"register", "start", "time_limit", "grid", "ct_window", "axes", "colormap", "lightness"} <= compared


def test_the_report_holds_every_option_of_volumes():
    (writer,) = VOLUME_CONFIG["handlers"]
    wanted = {option.attribute: f"@{option.attribute}" for option in VOLUME_OPTIONS if option.name != "dicom"}
    assert writer["settings"] == {**wanted, "keep": "@keep"}


def test_every_command_is_there_and_described():
    parser = build_parser()
    text = parser.format_help()
    for name, module in zip(NAMES, all_commands(), strict=True):
        assert module.COMMAND.name == name
        assert module.COMMAND.help in " ".join(text.split()) or name in text
    names = {(m.COMMAND.name, o.name) for m in all_commands() for o in m.COMMAND.options}
    assert not [name for _, name in names if "_" in name]


@pytest.mark.parametrize("word", ["output", "weights", "task", "dataset-dir", "seed", "device", "tracking-uri"])
def test_one_word_means_one_thing_everywhere(word):
    found = [option for module in all_commands() for option in module.COMMAND.options if option.name == word]
    assert len(found) > 1
    assert len({option.short for option in found}) == 1
    assert len({option.metavar for option in found}) == 1


def test_the_page_is_up_to_date():
    assert (ROOT / "docs" / "command-line.md").read_text() == command_line_page(), "run `make docs`"


def test_options_that_are_not_given_leave_no_trace():
    parser = argparse.ArgumentParser()
    add_to_parser(parser, STUDY_OPTIONS)
    assert vars(parser.parse_args([])) == {}
    given = vars(parser.parse_args(["--grid", "1.5", "--dicom"]))
    assert given == {"grid": 1.5, "dicom": True}


@pytest.mark.parametrize(
    ("parse", "word", "value"),
    [
        pytest.param(positive, "2.5", 2.5, id="number"),
        pytest.param(positive, "0", None, id="zero"),
        pytest.param(positive, "inf", None, id="infinite"),
        pytest.param(whole, "7", 7, id="whole"),
        pytest.param(whole, "-7", None, id="negative"),
        pytest.param(grid, "finest", "finest", id="name of a grid"),
        pytest.param(grid, "coarse", None, id="no grid"),
    ],
)
def test_reading_of_words(parse, word, value):
    if value is None:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            parse(word)
    else:
        assert parse(word) == value


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        pytest.param(Option("a", "", default=300.0), "300", id="number"),
        pytest.param(Option("a", "", default=None), "", id="none"),
        pytest.param(Option("a", "", default=False, flag=True), "", id="flag"),
        pytest.param(Option("a", "", default=None, default_text="all"), "all", id="words"),
    ],
)
def test_how_a_default_is_shown(option, shown):
    assert option.shown_default == shown


@pytest.mark.parametrize(
    ("words", "modern"),
    [
        pytest.param(["--output_dir", "x"], ["--output", "x"], id="renamed"),
        pytest.param(["--output_dir=x_y"], ["--output=x_y"], id="with an equals sign"),
        pytest.param(["--ckpt_path", "a.pt"], ["--weights", "a.pt"], id="weights"),
        pytest.param(["--tasks", "['PET-MRI', 'CT-MRI']"], ["--task", "PET-MRI", "--task", "CT-MRI"], id="tasks"),
        pytest.param(["--dataset_dir", "['a','b']"], ["--dataset-dir", "a", "b"], id="two folders"),
        pytest.param(["--val_interval", "3"], ["--val-interval", "3"], id="key of a config"),
        pytest.param(["--network_def#num_blocks", "[8,8]"], ["--network_def#num_blocks", "[8,8]"], id="a part's key"),
    ],
)
def test_old_spellings(words, modern):
    found, warnings = modern_spelling(words)
    assert found == modern
    assert len(warnings) == (words != modern)
