"""An MLflow store that is there at once: MLflow takes seconds to make one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scripts.handlers.tracking_store import sqlite_uri, tracking_client


@pytest.fixture(scope="session")
def store_in(tmp_path_factory) -> Callable[[Path], str]:
    """A function that returns the URI of the store in a folder, and puts an empty one there if there is none."""
    empty = tmp_path_factory.mktemp("store") / "mlruns.db"
    tracking_client(sqlite_uri(empty))

    def store_in(folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        if not (folder / "mlruns.db").exists():
            shutil.copyfile(empty, folder / "mlruns.db")
        return sqlite_uri(folder / "mlruns.db")

    return store_in
