"""``mmif-amin upload``: brings a training that went on without its MLflow server to it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Argument, Command
from ..options import TRACKING_URI
from ..scripts.utils.checks import InputError

__all__ = ["COMMAND", "run"]

STORE = "mlruns.db"
COMMAND = Command(
    "upload",
    "bring the runs in a training's or an evaluation's folder to an MLflow server",
    (Argument("folder", "FOLDER", "output of train or evaluate"),),
    (replace(TRACKING_URI, help="MLflow server, such as http://localhost:5000", required=True),),
)


def run(args: argparse.Namespace) -> int:
    """Upload."""
    from ..scripts.handlers.tracking_store import sqlite_uri
    from ..scripts.handlers.tracking_upload import upload_runs
    from ..scripts.utils.checks import first_line

    store = Path(args.folder, STORE).resolve()
    if not store.is_file():
        raise InputError(f"{args.folder}: expected the output of train or evaluate, found no {STORE} in it.")
    local = sqlite_uri(store)
    try:
        names = upload_runs(local, args.tracking_uri)
    except Exception as error:  # MLflow, SQLAlchemy and requests have no common class
        raise InputError(
            f"{args.tracking_uri}: the upload failed: {first_line(error)} Start the same command again when the server "
            "is back: what is there does not come twice."
        ) from error
    print(f"{len(names)} runs are on {args.tracking_uri}: {', '.join(sorted(set(names)))}")
    return 0
