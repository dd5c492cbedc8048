"""The class of the stores that hold blocks and nets by name."""

from __future__ import annotations

from typing import Any

from monai.utils import ComponentStore, look_up_option

__all__ = ["NetworkStore"]


class NetworkStore(ComponentStore):
    """MONAI's store of components; an unknown name is refused with the near miss, as in MONAI's layer factories.

    Args:
        name: of the store.
        description: what it holds.

    Raises:
        ValueError: When a name is looked up that the store does not have.

    Example:
        >>> store = NetworkStore("Colors", "what a wall can have")
        >>> store.add("green", "as grass", (0, 255, 0))
        (0, 255, 0)
        >>> store["green"]
        (0, 255, 0)
    """

    def __getitem__(self, name: str) -> Any:
        """Return the component of this name."""
        return super().__getitem__(look_up_option(name, self.names))
