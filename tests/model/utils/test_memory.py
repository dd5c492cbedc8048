from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from scripts.utils.memory import PeakMemory

MEGABYTE = 1e6


def measure(megabytes: int) -> float:
    """What is measured while so many megabytes are held and given back, in megabytes."""
    memory = PeakMemory()
    memory.start()
    for _ in range(2):
        held = np.ones(int(megabytes * MEGABYTE), np.uint8)
        time.sleep(0.1)
        del held
    return memory.stop() / MEGABYTE


def test_the_peak_is_that_of_the_work_not_of_the_process():
    kept = np.ones(int(100 * MEGABYTE), np.uint8)
    figures = [measure(megabytes) for megabytes in (300, 100, 300)]
    assert figures == pytest.approx([300, 100, 300], abs=30)
    assert kept.sum() == kept.size


def test_small_blocks_that_were_freed_are_not_taken_for_held():
    """glibc keeps them for the process; without giving them back, the next work would seem to need nothing."""

    def lists() -> float:
        memory = PeakMemory()
        memory.start()
        held = [bytearray(100_000) for _ in range(1000)]
        time.sleep(0.1)
        assert len(held) == 1000
        return memory.stop() / MEGABYTE

    assert [lists(), lists()] == pytest.approx([100, 100], abs=30)


def test_the_watching_ends():
    memory = PeakMemory()
    assert memory.stop() == 0
    memory.start()
    memory.start()
    assert "peak memory" in [thread.name for thread in threading.enumerate()]
    first = memory.stop()
    end = time.monotonic() + 5
    while "peak memory" in [thread.name for thread in threading.enumerate()]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert memory.stop() == first


def test_what_a_child_takes_counts_where_it_is_asked_for():
    hold = "held = bytearray(200_000_000); held[::4096] = b'x' * len(held[::4096]); print('held', flush=True); input()"
    figures = {}
    for children in (False, True):
        memory = PeakMemory(children=children)
        memory.start()
        child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        figures[children] = memory.stop() / MEGABYTE
        assert memory.stop(rise=False) / MEGABYTE > figures[children] + 100, "Python and torch were there before"
        child.communicate(b"\n")
    assert figures[False] == pytest.approx(0, abs=30)
    assert figures[True] == pytest.approx(210, abs=30)
