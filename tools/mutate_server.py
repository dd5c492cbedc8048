"""Run the same tests again and again in a process that has torch loaded (a part of ``make mutate``).

An import of torch and MONAI takes longer than the tests that look at one mutant. So this program imports all that the
tests import and that is not ours, waits, and answers each line in ASK with the exit code of pytest in a fork of itself,
written as a line to ANSWER. The first answer is for the code as it is, followed by the seconds that it took::

    python tools/mutate_server.py ASK ANSWER TEST ...

Both are named pipes. The working directory is the tree whose code is changed. A fork that takes ten times as long as
the first one, and at least 20 s, is ended.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["foreign_modules", "main", "run_forked"]

NOT_AHEAD = ("itk.",)  # its modules count on being loaded by itk itself
PYTEST = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-o", "faulthandler_timeout=0"]


def run_forked(tests: list[str], limit: int, names: Path | None = None) -> int:
    """Exit code of pytest in a fork.

    Args:
        tests: files.
        limit: seconds after which it is ended; 0 for none.
        names: gets the names of the modules that are not ours. Defaults to None: no such file.
    """
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(limit)
    if names is None:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
    import pytest

    code = int(pytest.main([*PYTEST, *tests]))
    if names is not None:
        names.write_text("\n".join(foreign_modules()))
    os._exit(code)


def foreign_modules() -> list[str]:
    """Names of the loaded modules whose files are not in the working directory, in the order of their loading."""
    own = f"{Path.cwd()}{os.sep}"
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    foreign = [name for name, file in files.items() if file and not file.startswith(own)]
    return [name for name in foreign if not name.startswith(NOT_AHEAD)]


def main(ask: str, answer: str, *tests: str) -> None:
    """Answer until a line says ``end``."""
    names = Path(answer).with_suffix(".modules")
    code = run_forked(list(tests), 0, names)
    for name in names.read_text().split():
        try:
            importlib.import_module(name)
        except ImportError:  # a name that only a part of a package gives itself
            continue
    start = time.monotonic()
    code = code or run_forked(list(tests), 0)
    seconds = time.monotonic() - start
    limit = max(20, round(10 * seconds))
    Path(answer).write_text(f"{code} {seconds:.1f}\n")
    while Path(ask).read_text().strip() != "end":
        Path(answer).write_text(f"{run_forked(list(tests), limit)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
