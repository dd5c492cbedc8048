"""A handler in more than one place of a config."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["shared_handler"]

T = TypeVar("T")


def shared_handler(handler: T) -> T:
    """Return a handler that a config defines elsewhere, under a name of its own, to put it into a list of handlers.

    A plain reference such as ``"@tracking"`` does the same in Python. But ``ConfigWorkflow.check_properties`` looks for
    ``_target_`` in each entry of ``train#handlers``, so each entry of a config must be a dictionary.

    Args:
        handler: the handler, or None where it is disabled; MONAI leaves it out of the list then.

    Example:
        >>> shared_handler("tracking")
        'tracking'
    """
    return handler
