"""Keeps each source file of the model in one module, whichever of its two doors a process comes in by.

Configs name the model's code ``scripts``, as all bundles of the Model Zoo do; this package imports it as
``mmif_amin.scripts``. A process that does both, such as a notebook that calls ``load()`` and then
``monai.bundle.run``, gets the same module for both names. A foreign package called ``scripts`` is left alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["unite"]

CONFIG_NAME = "scripts"
OWN_NAME = f"{__package__}.{CONFIG_NAME}"


def unite(folder: Path) -> None:
    """Let ``scripts`` and ``mmif_amin.scripts`` be the same modules from now on.

    Args:
        folder: the model's code.
    """
    source = str(folder / "__init__.py")
    loaded = sys.modules.get(CONFIG_NAME)
    if loaded is not None and getattr(loaded, "__file__", None) == source:
        for name in [name for name in sys.modules if name.split(".")[0] == CONFIG_NAME]:
            sys.modules[f"{__package__}.{name}"] = sys.modules[name]
        setattr(sys.modules[__package__], CONFIG_NAME, loaded)
    sys.meta_path.insert(0, _ConfigNameFinder(source))


class _ConfigNameFinder(MetaPathFinder, Loader):
    """Answers imports of ``scripts`` with the modules of ``mmif_amin.scripts``, where both are the same files.

    Args:
        source: the file of the model's top package.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the model's modules; None for all other modules."""
        top, _, rest = fullname.partition(".")
        if top != CONFIG_NAME:
            return None
        found = sys.modules[top] if rest else PathFinder.find_spec(top)
        origin = getattr(found, "__file__" if rest else "origin", None)
        if origin is None or Path(origin).resolve() != Path(self.source):
            return None
        if rest and importlib.util.find_spec(f"{OWN_NAME}.{rest}") is None:
            return None
        return ModuleSpec(fullname, self, origin=origin)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that is there, or is imported now, under the package's own name."""
        module = importlib.import_module(f"{__package__}.{spec.name}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module back its own specification, which the import system has replaced."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state
