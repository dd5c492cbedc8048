"""One training at a time in a folder, and nothing of a killed one left in its way."""

from __future__ import annotations

import os
import signal
import time

import pytest
from scripts.utils.checks import InputError
from scripts.utils.files import UNFINISHED
from scripts.utils.run_folder import RunFolder


def test_a_second_training_is_refused_until_the_first_has_ended(tmp_path):
    with RunFolder(tmp_path / "run"):
        with pytest.raises(InputError, match="another training writes there. Wait until it has ended"):
            RunFolder(tmp_path / "run").__enter__()
        with RunFolder(tmp_path / "other"):
            pass
    with RunFolder(tmp_path / "run"):
        pass


def test_it_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), RunFolder(tmp_path):
        raise KeyError
    with RunFolder(tmp_path):
        pass


def test_kill_9_of_its_holder_frees_it(tmp_path):
    """A real process, killed."""
    child = os.fork()
    if child == 0:
        with RunFolder(tmp_path):
            (tmp_path / "held").touch()
            time.sleep(60)
        os._exit(1)
    try:
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
        with pytest.raises(InputError, match="another training"):
            RunFolder(tmp_path).__enter__()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with RunFolder(tmp_path):
        pass


def test_what_a_killed_training_had_not_finished_is_deleted_and_nothing_else(tmp_path):
    unfinished = [f"{UNFINISHED}abcdefgh.{suffix}" for suffix in ("pt", "csv", "db-journal")]
    unfinished += [f"examples/{UNFINISHED}abcdefgh.png"]
    kept = [".gitignore", "last.pt", ".last_coming.pt", f"sub/{UNFINISHED}abcdefgh.pt", "examples/epoch_0001.png"]
    for name in unfinished + kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f"{UNFINISHED}12345678").mkdir()
    (tmp_path / f"{UNFINISHED}12345678" / "mlruns.db-journal").touch()
    with RunFolder(tmp_path):
        pass
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*kept, "train.lock"}
    assert not (tmp_path / f"{UNFINISHED}12345678").exists()


@pytest.mark.parametrize("place", ["/proc/nothing_can_be_made_here", "file/run"])
def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path, place):
    """``/proc`` refuses root too."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot train there: .*Choose another output"):
        RunFolder(tmp_path / place).__enter__()
