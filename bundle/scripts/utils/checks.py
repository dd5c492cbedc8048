"""The error of a user's input, and how to find and shorten an error's message. Imports neither torch nor MONAI."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["InputError", "first_line", "in_words", "input_error_behind"]


class InputError(ValueError):
    """An input of the user (file, folder, option) that cannot be used; the command line turns it into exit code 2."""


def input_error_behind(error: BaseException | None) -> InputError | None:
    """Find the InputError behind an exception: MONAI wraps every exception of a transform or a config in its own.

    Args:
        error: the exception that was caught, or None.

    Returns:
        The first InputError among the exception, its causes and its contexts; None where there is none.

    Example:
        >>> try:
        ...     raise RuntimeError("applying transform") from InputError("no such file")
        ... except RuntimeError as caught:
        ...     input_error_behind(caught)
        InputError('no such file')
    """
    while error is not None:
        if isinstance(error, InputError):
            return error
        error = error.__cause__ or error.__context__
    return None


def in_words(items: Sequence[str], last: str = "and") -> str:
    """Items as a sentence lists them.

    Example:
        >>> in_words(["a", "b", "c"]), in_words(["a", "b"], "or"), in_words(["a"])
        ('a, b and c', 'a or b', 'a')
    """
    return f" {last} ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def first_line(error: BaseException) -> str:
    r"""First line of an exception's text, or its type where it has none: torch's messages run over many lines.

    Example:
        >>> first_line(RuntimeError("first\nsecond")), first_line(AssertionError())
        ('first', 'AssertionError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
