"""Damaged and hostile contents of files, for fuzzing with hypothesis.

In CI each test tries some dozens, always the same; ``FUZZ_CASES=20000 pytest -k fuzz -rP`` tries as many, others each
time. ``FUZZ_SECONDS=60`` ends each test after this time; what it prints says how many it has tried until then.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["CASES", "SECONDS", "Content", "TimeIsUp", "damaged", "other_json"]

SECONDS = float(os.environ.get("FUZZ_SECONDS", "inf"))
CASES = int(os.environ.get("FUZZ_CASES", "30"))
settings.register_profile(
    "fuzz",
    max_examples=CASES,
    derandomize="FUZZ_CASES" not in os.environ,
    database=None,
    deadline=10_000,  # ms: nothing may hang
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")

TOKENS = [
    *(b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b"Infinity", b"true", b'""', b'"\\ud800"', b"\0", b"\xff\xfe"),
    *(b"../", b"/etc/passwd", b"\\", b'"', b",", b":", b"\n", b"\r", b"[" * 3000, b'{"a":' * 3000, b"9" * 5000),
    *(b"0x10", b"\xef\xbb\xbf", b"'", b"=", b"<!--<script>", b"\x1b[2J", b"$", b"@", b"%", b"#", b"-" * 300),
]
TEXTS = ["../y", "/x/y", "PET-MRI", "training", "a\0b", "", "x" * 300, "$1", "@a", "1e400", "\ud800", "\u202e", "Ä"]
NUMBERS = [float("inf"), float("nan"), 2**70, -1, 0, 1e300]
Content = Callable[[], bytes]  # made when it is asked for: hypothesis keeps all that it draws, 0.8 MB a weights file
SEEDS = st.integers(0, 2**63)  # one number stands for all changes: hypothesis would take ten times as long to draw each


class TimeIsUp(BaseException):
    """Ends a fuzz test that has had its time; hypothesis lets what is no ``Exception`` through at once."""


def _change(data: bytes, rng: Random) -> bytes:
    """One change of some bytes."""
    at, what = rng.randrange(len(data) + 1), rng.randrange(7)
    if what == 0:
        return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
    if what == 1:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if what == 2:
        return data[:at] if rng.random() < 0.2 else data
    if what == 3:
        return data[:at] + data[at + rng.randint(1, 40) :]
    if what == 4:
        return data[: at + rng.randint(1, 40)] + data[at:]
    token = rng.choice(TOKENS)
    return data[:at] + token + data[at + (len(token) if what == 5 else 0) :]


def _value(rng: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    what = rng.randrange(10 if depth else 8)
    if what < 3:
        return rng.choice(TEXTS)
    if what < 8:
        number = rng.uniform(-2e3, 2e3)
        return (None, True, int(number), number, rng.choice(NUMBERS))[what - 3]
    inner = [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return inner if what == 8 else {rng.choice(TEXTS): value for value in inner}


def damaged(*wholes: bytes) -> st.SearchStrategy[Content]:
    """One of the given contents, changed in one to five places."""

    def make(seed: int) -> bytes:
        rng = Random(seed)
        data = rng.choice(wholes)
        for _ in range(rng.randint(1, 5)):
            data = _change(data, rng)
        return data

    return SEEDS.map(lambda seed: partial(make, seed))


def _places(node: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all values in a JSON value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def other_json(whole: Any) -> st.SearchStrategy[Content]:
    """A JSON value with one to three of its values replaced by others, or taken away."""

    def make(seed: int) -> bytes:
        rng = Random(seed)
        data = copy.deepcopy(whole)
        for _ in range(rng.randint(1, 3)):
            *path, last = rng.choice(_places(data)) or [None]
            if last is None:
                data = _value(rng)
                continue
            parent = data
            for key in path:
                parent = parent[key]
            if rng.random() < 0.7:
                parent[last] = _value(rng)
            else:
                del parent[last]
        return json.dumps(data).encode()

    return SEEDS.map(lambda seed: partial(make, seed))
