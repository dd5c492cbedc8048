"""MMIF-AMIN: fuse two medical images of one patient into one.

>>> from mmif_amin import load                     # doctest: +SKIP
>>> fused = load()(mri, pet)                       # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scripts.inferers.fuser import Fuser, load

__all__ = ["Fuser", "load"]
__version__ = "0.4.0"


def __getattr__(name: str) -> Any:
    """Import the API at first use, so that ``mmif-amin --version`` does not wait for torch."""
    if name in __all__:
        from .scripts.inferers import fuser

        return getattr(fuser, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
