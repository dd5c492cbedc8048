"""``mmif-amin listen``: a DICOM node that fuses what it gets and sends the result on."""

from __future__ import annotations

import argparse

from ..declarations import Command, Option, overrides_of, positive, whole
from ..options import NETWORK_OPTIONS, VOLUME_OPTIONS, WEIGHTS
from ..scripts.utils.checks import InputError

__all__ = ["COMMAND", "run"]

FUSION_OPTIONS = (*(option for option in VOLUME_OPTIONS if option.name != "dicom"), WEIGHTS, *NETWORK_OPTIONS)
SETTINGS = (
    Option("folder", "where the queue and the studies are", metavar="FOLDER", default_text="the file's"),
    Option("port", "TCP port to listen at", parse=whole, metavar="PORT", default_text="the file's, or 11112"),
    Option(
        "quiet-seconds",
        "a study of which nothing has come for so long is complete",
        parse=positive,
        metavar="S",
        default_text="the file's, or 60",
    ),
    Option("workers", "processes that fuse", parse=whole, metavar="N", default_text="the file's, or 1"),
)
COMMAND = Command(
    "listen",
    "a DICOM node: receive studies, fuse them, send the result on",
    (),
    (
        Option("config", "settings of the node, TOML or JSON; see docs/archive.md", metavar="FILE", required=True),
        *SETTINGS,
        *FUSION_OPTIONS,
    ),
)


def run(args: argparse.Namespace) -> int:
    """Work until Ctrl-C or SIGTERM; what is under way then is begun again the next time."""
    import sqlite3

    from ..archive.journal import public_reason
    from ..archive.service import NodeService
    from ..archive.settings import read_settings

    given = {option.attribute: getattr(args, option.attribute) for option in SETTINGS if option.attribute in args.given}
    settings = read_settings(args.config, given)
    try:
        service = NodeService(settings, overrides_of(args, FUSION_OPTIONS))
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{settings.folder}: expected a folder to write to: {public_reason(error)}.") from error
    try:
        service.run()
    except KeyboardInterrupt:
        pass
    return 0
