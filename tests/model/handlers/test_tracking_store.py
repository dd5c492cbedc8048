"""An MLflow store in a file is whole or not there, whatever kills the program that makes it."""

from __future__ import annotations

import os
import signal
import time

from monai.utils import path_to_sqlite_uri
from scripts.handlers.tracking_store import tracking_client
from scripts.utils.files import UNFINISHED
from scripts.utils.run_folder import RunFolder

AIMED = int(os.environ.get("MMIF_AMIN_KILLS", "1"))


def test_kill_9_while_the_store_is_made_leaves_none(tmp_path):
    """MLflow cannot go on with a store whose tables are half-made. ``MMIF_AMIN_KILLS`` says how many kills."""
    uri = path_to_sqlite_uri(str(tmp_path / "mlruns.db"))
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
