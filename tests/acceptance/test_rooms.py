"""What `make mutate` and `make matrix` name is there: a room that lost its tests would seem well guarded or not run."""

from __future__ import annotations

import configparser

import pytest

from tests.conftest import ROOT
from tools import matrix

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
ROOMS = [name for name in SETUP.sections() if name.startswith("mutate:")]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_names_what_is_there(room):
    paths = [*SETUP[room]["changed"].split(), *SETUP[room]["tests"].split()]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert set(SETUP[room]) == {"changed", "tests"}


def test_the_tests_of_the_matrix_are_there():
    assert [path for path in matrix.TESTS if not (ROOT / path).exists()] == []


def test_versions_are_read_from_pins():
    assert matrix.versions_in("itk==5.4.0\nnumpy==1.25.0\n", ["numpy", "torch"]) == ["1.25.0", "-"]
    assert "-" not in matrix.versions_in((ROOT / "constraints.txt").read_text(), matrix.RUNNERS)
