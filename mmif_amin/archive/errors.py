"""The error of an archive, and trying again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..scripts.utils.checks import InputError
from .extra import require_archive

__all__ = ["ArchiveError", "with_retries"]

FIRST_WAIT, LONGEST_WAIT = 500, 30_000  # milliseconds, doubled after each try

Result = TypeVar("Result")


class ArchiveError(InputError):
    """An archive did not do what was asked.

    Args:
        text: what was expected, what came, what to do. It names no patient.
        lasting: whether another try would end the same way, such as with a wrong certificate. Defaults to False.
    """

    def __init__(self, text: str, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


def with_retries(call: Callable[[], Result], tries: int) -> Result:
    """Call a function, and again after growing pauses while it raises an :class:`ArchiveError` that may pass.

    Args:
        call: what to do; doing it twice must have the same effect as once.
        tries: how often at most.

    Returns:
        What it returns.

    Raises:
        ArchiveError: The last one.
    """
    return (
        require_archive("retrying")
        .Retrying(
            retry_on_exception=lambda error: isinstance(error, ArchiveError) and not error.lasting,
            stop_max_attempt_number=tries,
            wait_exponential_multiplier=FIRST_WAIT / 2,  # the library doubles it before the first pause
            wait_exponential_max=LONGEST_WAIT,
        )
        .call(call)
    )
