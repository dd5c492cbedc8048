from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from contextlib import nullcontext

import pytest

from mmif_amin.memory import quick_imports
from tests.conftest import ROOT

CODE = """
import ctypes, re
from mmif_amin.memory import keep_freed_memory
def used():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print({call})
before = used()
arrays = [bytearray(b"x") * (4 * 2**20) for _ in range(32)]
arrays.clear()
print(used() - before)
"""


def run(call: str, **variables: str) -> tuple[str, float]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CODE.format(call=call)]
    result = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
    first, second = result.stdout.split()
    return first, float(second)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is asked")
def test_freed_memory_is_kept():
    """Of 128 MB in arrays of 4 MB."""
    assert run("keep_freed_memory()") == ("True", pytest.approx(128, abs=16))
    assert run("None") == ("None", pytest.approx(0, abs=16))


def test_what_the_user_set_is_left_alone():
    assert run("keep_freed_memory()", MALLOC_ARENA_MAX="2")[0] == "False"


@pytest.mark.parametrize("fails", [False, True])
def test_the_collector_rests_only_while_packages_are_imported(monkeypatch, fails):
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    monkeypatch.delitem(sys.modules, "monai", raising=False)
    with nullcontext() if not fails else pytest.raises(ImportError), quick_imports():
        assert not gc.isenabled()
        if fails:
            raise ImportError
    assert gc.isenabled()
    assert frozen == [True] * (not fails)


def test_the_collector_works_on_where_monai_is_there_already(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", sys)
    with quick_imports():
        assert gc.isenabled()
