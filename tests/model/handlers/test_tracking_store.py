"""An MLflow store in a file is whole or not there, whatever kills the program that makes it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts
from scripts.handlers.tracking_store import open_run, sqlite_uri, tracking_client
from scripts.utils.checks import InputError
from scripts.utils.files import UNFINISHED
from scripts.utils.run_folder import RunFolder

AIMED = int(os.environ.get("MMIF_AMIN_KILLS", "1"))


def test_kill_9_while_the_store_is_made_leaves_none(tmp_path):
    """MLflow cannot go on with a store whose tables are half-made. ``MMIF_AMIN_KILLS`` says how many kills."""
    uri = sqlite_uri(tmp_path / "mlruns.db")
    for number in range(AIMED):
        child = os.fork()
        if child == 0:
            os.close(2)
            tracking_client(uri)
            os._exit(0)
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.glob(f"{UNFINISHED}*/mlruns.db")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.03 * number)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert not (tmp_path / "mlruns.db").exists()
    with RunFolder(tmp_path):
        assert len(tracking_client(uri).search_experiments()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns.db", "train.lock"}


def test_a_folder_of_any_name_has_its_store_and_its_files(tmp_path, store_in):
    """And no other folder is made: MLflow and SQLAlchemy understand a URI with escapes in two ways."""
    name = "Müller's runs, 50% of $HOME + a&b=c;d #1"
    folder, file = tmp_path / name, tmp_path / "log.txt"
    file.write_text("kept")
    uri = store_in(folder)
    run = open_run(uri, 8, {"experiment_name": "test"})
    number = run.client.create_run(run.client.create_experiment("test", run.artifact_location)).info.run_id
    run.client.log_artifact(number, str(file))
    assert [path.read_text() for path in (folder / "mlruns").rglob("log.txt")] == ["kept"]
    assert Path(download_artifacts(run_id=number, artifact_path="log.txt", tracking_uri=uri)).read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {name, "log.txt"}
    assert {path.name for path in folder.iterdir()} == {"mlruns.db", "mlruns"}


@pytest.mark.parametrize("name", ["what?", "a%20b"])
def test_a_folder_that_no_uri_can_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be made there: a store's address holds no \\? and no % before two"):
        sqlite_uri(tmp_path / name / "mlruns.db")
    assert not list(tmp_path.iterdir())
