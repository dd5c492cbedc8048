"""Change the code in small ways and count the changes that no test notices (``make mutate``).

Run it with the Python of an environment that has the packages of ``tools/mutate.txt``::

    python tools/mutate.py PYTHON [--most N] [ROOM ...]

PYTHON is that of the product's environment. A ROOM is a section ``[mutate:ROOM]`` of setup.cfg: files and folders that
are changed, and the tests that look at them. Without one all rooms are run. Cosmic Ray changes the files one by one in
build/mutate/tree, a copy; the tests run in forks of ``tools/mutate_server.py``. ``build/mutate/ROOM.diff`` gets the
changes that survived; the figures are printed as a table.
"""

from __future__ import annotations

import argparse
import configparser
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

__all__ = ["main", "run_room"]

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "mutate"
TREE = BUILD / "tree"
PROGRAMS = Path(sys.executable).parent
# Changes that raise at once, as the bits of a float do, and would flatter; `|` in annotations, and caches.
LEFT_OUT = [
    r"core/ReplaceBinaryOperator_\w+_(BitAnd|BitOr|BitXor|LShift|RShift|FloorDiv|Mod|Pow|MatMul)$",
    "core/ReplaceBinaryOperator_BitOr_",
    r"core/ReplaceComparisonOperator_\w+_(Is|IsNot)$",
    "core/ReplaceUnaryOperator_USub_(Invert|Not)$",
    "core/RemoveDecorator",
    "core/ExceptionReplacer",
    "core/Variable",
]
CONFIG = """[cosmic-ray]
module-path = [{modules}]
timeout = 600.0
excluded-modules = ["**/__init__.py"]
test-command = "sh -c 'echo go > {ask} && read code < {answer} && exit $code'"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [{operators}]
"""


def copy_tree() -> None:
    """Make build/mutate/tree anew from all files that git knows or could know."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, TREE / name)


def _tool(name: str, *words: str | Path) -> None:
    subprocess.run([PROGRAMS / name, *words], cwd=TREE, check=True)


def _first_answer(server: subprocess.Popen, answer: Path) -> str:
    """Seconds that the tests take on the code as it is.

    Raises:
        SystemExit: When they fail, or the server does.
    """
    pipe = os.open(answer, os.O_RDONLY | os.O_NONBLOCK)  # so that a server that dies is not waited for
    words: list[str] = []
    while not words and server.poll() is None:
        words = os.read(pipe, 100).decode().split()
        time.sleep(0.1)
    os.close(pipe)
    if words[:1] != ["0"]:
        sys.exit(f"Expected tests that pass on the code as it is, got {' '.join(words) or 'no answer'}.")
    return words[1]


def _keep_some(session: Path, most: int) -> None:
    """Leave out all mutants but some, always the same ones."""
    with use_db(session, WorkDB.Mode.open) as work:
        waiting = [item.job_id for item in sorted(work.pending_work_items, key=lambda item: str(item.mutations))]
        random.Random(0).shuffle(waiting)
        skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED, output="not in the sample")
        work.set_multiple_results(waiting[most:], skipped)


def run_room(room: str, section: configparser.SectionProxy, python: str, most: int | None) -> tuple[int, int]:
    """Run the mutants of a room.

    Args:
        room: name.
        section: ``changed`` and ``tests``, paths.
        python: runs the tests.
        most: number of mutants, chosen by chance; None for all.

    Returns:
        How many mutants were killed, and of how many.

    Raises:
        SystemExit: When the tests fail on the code as it is.
    """
    ask, answer, session = (BUILD / f"{room}.{kind}" for kind in ("ask", "answer", "sqlite"))
    for path in (ask, answer, session):
        path.unlink(missing_ok=True)
    os.mkfifo(ask)
    os.mkfifo(answer)
    quoted = [", ".join(f"'{word}'" for word in words) for words in (section["changed"].split(), LEFT_OUT)]
    config = BUILD / f"{room}.toml"
    config.write_text(CONFIG.format(modules=quoted[0], operators=quoted[1], ask=ask, answer=answer))
    environment = os.environ | {"PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    words = [python, str(Path(__file__).with_name("mutate_server.py")), str(ask), str(answer)]
    server = subprocess.Popen([*words, *section["tests"].split()], cwd=TREE, env=environment, stdout=sys.stderr)
    try:
        seconds = _first_answer(server, answer)
        _tool("cosmic-ray", "init", config, session)
        _tool("cr-filter-operators", session, config)
        if most is not None:
            _keep_some(session, most)
        with use_db(session, WorkDB.Mode.open) as work:
            print(f"{room}: {len(list(work.pending_work_items))} mutants, {seconds} s each", flush=True)
        _tool("cosmic-ray", "exec", config, session)
        ask.write_text("end\n")
    finally:
        server.kill()
        server.wait()
    with use_db(session, WorkDB.Mode.open) as work:
        run = [result for _, result in work.results if result.worker_outcome is WorkerOutcome.NORMAL]
    survived = [result.diff or "" for result in run if result.test_outcome is TestOutcome.SURVIVED]
    (BUILD / f"{room}.diff").write_text("\n\n".join(survived))
    return len(run) - len(survived), len(run)


def main() -> None:
    """Run the rooms and print the table."""
    rooms = configparser.ConfigParser()
    rooms.read(ROOT / "setup.cfg")
    names = [name.removeprefix("mutate:") for name in rooms.sections() if name.startswith("mutate:")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("--most", type=int, help="mutants of each room, chosen by chance")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(names))
    arguments = parser.parse_intermixed_args()
    if unknown := set(arguments.rooms) - set(names):
        parser.error(f"expected rooms of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    BUILD.mkdir(parents=True, exist_ok=True)
    lines = []
    for room in arguments.rooms or names:
        copy_tree()
        killed, count = run_room(room, rooms[f"mutate:{room}"], os.path.abspath(arguments.python), arguments.most)
        lines.append(f"| {room} | {killed} | {count} | {killed / max(count, 1):.0%} |")
        print(lines[-1], flush=True)
    print("\n| Room | Killed | Mutants | |\n| --- | --- | --- | --- |", *lines, sep="\n")


if __name__ == "__main__":
    main()
