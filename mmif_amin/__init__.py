"""MMIF-AMIN: fuse two medical images of one patient into one.

>>> from mmif_amin import load                     # doctest: +SKIP
>>> fused = load()(mri, pet)                       # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import one_name

if TYPE_CHECKING:
    from .fuser import Fuser, load

__all__ = ["BUNDLE", "Fuser", "load"]

# The model is one folder: in a checkout it lies beside this package, in the wheel inside of it. Its code is
# imported as ``mmif_amin.scripts`` in both cases, and by no other name (see ``one_name``).
_HERE = Path(__file__).resolve().parent
BUNDLE = next(folder for folder in (_HERE / "bundle", _HERE.parent / "bundle") if (folder / "scripts").is_dir())
__path__.append(str(BUNDLE))
one_name.unite(BUNDLE / "scripts")


def __getattr__(name: str) -> Any:
    """Import the API at first use, so that ``mmif-amin --version`` does not wait for anything."""
    if name in ("Fuser", "load"):
        from . import fuser

        return getattr(fuser, name)
    if name == "__version__":
        import json

        return json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
