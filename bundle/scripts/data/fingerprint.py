"""What a training or evaluation saw, as a word that tells data sets apart and names nobody."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.enums import SourceKeys

__all__ = ["data_fingerprint"]

DIGITS = 12


def data_fingerprint(items: Sequence[Mapping[str, Any]]) -> str:
    """The number of pairs, and a hash of their tasks and of the names and sizes of their files.

    It is the same wherever the files lie. A tracking server that gets it learns no path, in which a patient may be
    named.

    Args:
        items: of ``fusion_datalist``.

    Returns:
        Such as ``"12 pairs, 0123456789ab"``.
    """
    lines = sorted(
        f"{item.get(SourceKeys.TASK)} {Path(item[key]).name} {os.path.getsize(item[key])}"
        for item in items
        for key in (SourceKeys.SOURCE_A, SourceKeys.SOURCE_B)
    )
    return f"{len(items)} pairs, {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:DIGITS]}"
