from __future__ import annotations

from monai.bundle import ConfigParser

CURVES = {"_target_": "scripts.handlers.training_curves.TrainingCurvesHandler", "path": "curves.png"}
ENTRY = {"_target_": "scripts.handlers.shared.shared_handler", "handler": "@curves"}


def test_a_shared_handler_is_the_one_of_its_own_name():
    parser = ConfigParser({"curves": CURVES, "handlers": [ENTRY], "others": [ENTRY]})
    lists = [parser.get_parsed_content(key) for key in ("handlers", "others")]
    assert lists[0][0] is lists[1][0] is parser.get_parsed_content("curves")


def test_a_disabled_one_is_left_out():
    parser = ConfigParser({"curves": {**CURVES, "_disabled_": True}, "handlers": [ENTRY]})
    assert parser.get_parsed_content("handlers") == []
