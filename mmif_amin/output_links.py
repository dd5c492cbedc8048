"""Links in an output folder, which could lead what is written there to other places."""

from __future__ import annotations

import os
from pathlib import Path

from .scripts.utils.checks import InputError

__all__ = ["check_links"]


def check_links(output: str | os.PathLike) -> None:
    """Refuse an output folder in which a link leads out of it: writing through it would change files elsewhere.

    The folder itself may be a link, such as ``runs`` to a larger disk.

    Args:
        output: the folder, which need not be there yet.

    Raises:
        InputError: When there is such a link.
    """
    inside = Path(output).resolve()
    for folder, folders, files in os.walk(inside):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InputError(
                    f"{Path(output) / path.relative_to(inside)}: is a link that leads out of the output folder. Remove "
                    "it, or choose another output."
                )
