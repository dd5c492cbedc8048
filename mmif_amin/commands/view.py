"""``mmif-amin view``: the page that shows a fused study."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..declarations import Argument, Command, Option
from ..scripts.utils.checks import InputError

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "view",
    "look at a fused study in a browser",
    (Argument("folder", "OUT", "folder that fuse made of two volumes"),),
    (Option("html", "write the page there and do not open it", metavar="FILE", default_text="OUT/view.html, opened"),),
)


def run(args: argparse.Namespace) -> int:
    """Make the page, and open it where no file is named for it."""
    import webbrowser

    from ..reports.study_view import write_study_view

    if args.html is not None and Path(args.html).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {args.html}: expected a name ending in .html.")
    page = write_study_view(args.folder, args.html)
    print(page)
    if args.html is None:
        webbrowser.open(page.resolve().as_uri())
    return 0
