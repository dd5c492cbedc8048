"""Tampered pictures, NIfTI and DICOM: read, or refused with one line, soon and in little memory.

Some dozens are tried, the same in each run. ``FUZZ=20000`` tries so many of each kind, with ``FUZZ_SEED=2`` others.
``FUZZ_SECONDS=300`` ends each test after this time; what it prints says how many it has tried until then.
"""

from __future__ import annotations

import ctypes
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scripts.data.nifti import read_nifti_volume
from scripts.data.pictures import read_source
from scripts.dicom.privacy import patient_words
from scripts.dicom.read import read_dicom_volume
from scripts.utils.checks import InputError

from tests.acceptance.faults.hostile_files import CHANGES, changed, dicom_seeds, nifti_seeds, picture_seeds
from tests.mutations import SECONDS, TimeIsUp

COUNT = int(os.environ.get("FUZZ", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
LONGEST = 10.0  # seconds of computing
MOST_MEMORY = 2**30  # bytes; a picture of the largest size that is taken needs as much, see utils/limits.py


def read_dicom(path: Path) -> None:
    """What is done with a DICOM file: looking for the patient's name, finding the series, and reading it."""
    patient_words(path)
    read_dicom_volume(path)


READERS = [
    pytest.param(lambda folder: picture_seeds(), read_source, id="pictures"),
    pytest.param(lambda folder: nifti_seeds(), read_nifti_volume, id="nifti"),
    pytest.param(dicom_seeds, read_dicom, id="dicom"),
]


@pytest.mark.parametrize(("make_seeds", "read"), READERS)
def test_tampered_files(tmp_path, make_seeds, read):
    seeds = make_seeds(tmp_path / "seeds")
    outcomes: Counter[str] = Counter()
    slowest, largest, began = 0.0, 0, time.monotonic()

    @hypothesis.settings(
        max_examples=COUNT or 40,
        database=None,
        deadline=None,
        derandomize=not COUNT,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.seed(SEED)
    @hypothesis.given(seed=st.sampled_from(seeds), changes=CHANGES)
    def reads_or_refuses(seed, changes):
        nonlocal slowest, largest
        if time.monotonic() - began > SECONDS:
            raise TimeIsUp
        path = tmp_path / seed.name
        path.write_bytes(changed(seed, changes))
        with measured() as cost, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(path)
                outcomes["read"] += 1
            except InputError:
                outcomes["refused"] += 1
        slowest, largest = max(slowest, cost.seconds), max(largest, cost.memory)
        assert slowest < LONGEST
        assert largest < MOST_MEMORY

    for seed in seeds:
        (tmp_path / seed.name).write_bytes(changed(seed, []))
        read(tmp_path / seed.name)  # what is tampered with is valid
    with suppress(TimeIsUp):
        reads_or_refuses()
    print(f"{dict(outcomes)}, slowest {slowest:.2f} s, most memory {largest / 1e6:.0f} MB")
    assert outcomes["refused"]


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux says the largest memory")
@pytest.mark.parametrize("megabytes", [16, 200])
def test_the_measure_sees_what_is_taken(megabytes):
    """Each time anew, and nothing of what was taken before."""
    for _ in range(2):
        with measured() as cost:
            np.ones((megabytes, 2**17))
        assert megabytes * 2**20 * 0.9 < cost.memory < (megabytes + 16) * 2**20
    with measured() as cost:
        sum(range(10**6))
    assert cost.memory < 8 * 2**20
    assert 0 < cost.seconds < 5


@dataclass
class Cost:
    """What a piece of work took.

    Args:
        seconds: of computing.
        memory: bytes above what the process had before.
    """

    seconds: float = 0.0
    memory: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure what the work inside takes; memory that is touched, also if it is given back. Only Linux says that."""
    cost = Cost()
    if os.path.exists("/proc/self/clear_refs"):
        ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would be taken again, and not seen
        Path("/proc/self/clear_refs").write_text("5")  # Linux begins to measure the largest memory anew
    before, began = resident("VmRSS"), time.process_time()
    yield cost
    cost.seconds, cost.memory = time.process_time() - began, resident("VmHWM") - before


def resident(kind: str) -> int:
    """Memory of this process, bytes: now (``VmRSS``) or at most (``VmHWM``); 0 where Linux does not say it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))
