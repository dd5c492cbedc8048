from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from scripts.utils.checks import InputError, first_line, input_error_behind

from tests.conftest import BUNDLE


def raised(*errors: BaseException, context: bool = False) -> BaseException:
    """The last error, with those before as its causes or its contexts."""
    for earlier, later in pairwise(errors):
        setattr(later, "__context__" if context else "__cause__", earlier)
    return errors[-1]


INPUT = InputError("no such file")
CHAINS = [
    pytest.param(None, None, id="no error"),
    pytest.param(INPUT, INPUT, id="itself"),
    pytest.param(raised(InputError("a"), RuntimeError("b"), RuntimeError("c")), "a", id="cause of the cause"),
    pytest.param(raised(InputError("a"), RuntimeError("b"), context=True), "a", id="context"),
    pytest.param(raised(ValueError("a"), RuntimeError("b")), None, id="another error"),
]


@pytest.mark.parametrize(("error", "expected"), CHAINS)
def test_input_error_behind(error, expected):
    found = input_error_behind(error)
    assert found is expected if not isinstance(expected, str) else str(found) == expected


@pytest.mark.parametrize(
    ("error", "line"),
    [(RuntimeError("first\nsecond"), "first"), (AssertionError(), "AssertionError"), (ValueError(3), "3")],
)
def test_first_line(error, line):
    assert first_line(error) == line


def test_no_heavy_import():
    modules = "scripts.utils.checks, scripts.utils.tables"
    program = f"import sys, {modules}; print({{'torch', 'monai', 'numpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=BUNDLE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
