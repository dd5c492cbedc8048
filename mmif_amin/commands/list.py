"""``mmif-amin list``: the series of a DICOM folder, and which of them could be fused."""

from __future__ import annotations

import argparse
import json

from ..declarations import Argument, Command, Option
from ._studies import headers_bar

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "list",
    "series of a DICOM folder, and which could be fused",
    (Argument("folder", "FOLDER", "DICOM folder, searched with the folders in it, or a file"),),
    (Option("json", "as JSON", False, flag=True),),
)


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    from ..listing import list_folder

    listing = list_folder(args.folder, headers_bar)
    print(json.dumps(listing.to_dict(), indent=4) if args.json else "\n".join(listing.lines()))
    return 0
