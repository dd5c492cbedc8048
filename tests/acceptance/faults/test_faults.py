"""A disk fails, or a program is killed, at any of the operations that write an output: the old or the new one is there.

Some are tried. ``FAULTS=all`` tries all, ``FAULTS=KILLED,GONE`` all operations with these faults, ``FAULTS_PART=2/3``
the second third of them.
"""

from __future__ import annotations

import os
import shutil
from itertools import product

import pytest

pytest.importorskip("resource", reason="this system has no limits of a file's size")

from tests.acceptance.faults import scenarios
from tests.acceptance.faults.faulty_disk import DONE, KILLED, Fault, Outcome, count_operations, run_with_fault
from tests.acceptance.faults.scenarios import contents, hidden

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the child of the test is a fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
WANTED = os.environ.get("FAULTS", "")
NAMES = [fault.name for fault in Fault] if WANTED in ("", "all") else WANTED.split(",")
FAULTS = [fault for fault in Fault if fault is not Fault.NONE and fault.name in NAMES]
PART, PARTS = map(int, os.environ.get("FAULTS_PART", "1/1").split("/"))
IN_WRITES = (Fault.FULL, Fault.KILLED_IN_WRITE)
QUICK = [
    pytest.param(scenarios.picture, False, id="picture"),
    pytest.param(scenarios.volume, False, id="volume"),
    pytest.param(scenarios.batch_table, False, id="table of a batch"),
    pytest.param(scenarios.exports, False, id="exports"),
]
LONG = [
    pytest.param(scenarios.picture_and_loss_map, True, id="picture and loss map"),
    pytest.param(scenarios.study, True, id="study with DICOM"),
    pytest.param(scenarios.benchmark, True, id="benchmark"),
]


def chosen(count: int, opening: set[int], long: bool) -> list[tuple[Fault, int]]:
    """Faults and the operations, from 1, at which they come."""
    everywhere = [
        pair for pair in product(FAULTS, range(1, count + 1)) if pair[0] not in IN_WRITES or pair[1] in opening
    ]
    if WANTED:
        return everywhere[PART - 1 :: PARTS]
    if long:
        return [(Fault.FAILS, count // 2), (Fault.KILLED, count)]
    return [(fault, number) for fault, number in everywhere if number in (min(opening), count)]


@pytest.mark.parametrize(("make", "long"), [*QUICK, *LONG])
def test_the_old_or_the_new_output_is_there(tmp_path, monkeypatch, make, long):
    inputs, folder, before = tmp_path / "in", tmp_path / "out", tmp_path / "before"
    for place in (inputs, folder):
        place.mkdir()
    scenario = make(inputs, folder, monkeypatch)
    scenario.new()  # imports what each child would import again
    shutil.rmtree(folder)
    folder.mkdir()
    if scenario.old:
        scenario.old()
    shutil.copytree(folder, before)
    old = contents(folder)
    operations, opening = count_operations(scenario.new, folder)
    new = contents(folder)
    assert operations > 2
    assert new != old
    reached = 0
    for fault, number in chosen(operations, opening, long):
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        ended = run_with_fault(scenario.new, folder, fault, number)
        said = f"disk {fault} at operation {number} of {operations}: ended with {ended}"
        reached += ended != Outcome.NOT_REACHED
        assert ended in allowed(fault), said
        judge(folder, scenario, old, new, said)
        if fault is Fault.FULL:
            assert not hidden(folder), said
        if contents(folder) != new:
            assert run_with_fault(scenario.new, folder, Fault.NONE) == DONE, said
        assert contents(folder) == new, said
    print(f"{operations} operations, {reached} faults")


def allowed(fault: Fault) -> tuple[int, ...]:
    """How a program may end: killed, refused with one line, or unharmed; never with a traceback."""
    killed = KILLED if fault in (Fault.KILLED, Fault.KILLED_IN_WRITE) else ()
    return (*killed, Outcome.REFUSED, DONE, Outcome.NOT_REACHED)


def judge(folder, scenario, old, new, said) -> None:
    """Check that each file is old or new, that none is missing, and, of a folder, that all are there or none."""
    found = contents(folder)
    if scenario.together:
        assert found in (old, new), said
    for name, content in found.items():
        assert content in (old.get(name), new.get(name)) or name.endswith(".csv"), f"{said}: {name} is neither"
    assert set(old) - {"manifest.json"} <= set(found) <= set(old) | set(new), said
    scenario.check(folder)
