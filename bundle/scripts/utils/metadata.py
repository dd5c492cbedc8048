"""The bundle's own ``configs/metadata.json``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from .. import BUNDLE_ROOT

__all__ = ["bundle_metadata"]


@cache
def bundle_metadata() -> dict[str, Any]:
    """Content of ``configs/metadata.json``: version, contract of the network, requirements; read once a process.

    Raises:
        FileNotFoundError: When the bundle is not complete.

    Example:
        >>> bundle_metadata()["network_data_format"]["outputs"]["pred"]["type"]
        'image'
    """
    return json.loads((Path(BUNDLE_ROOT) / "configs" / "metadata.json").read_text(encoding="utf-8"))
