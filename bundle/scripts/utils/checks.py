"""The error of a user's input, and how to find and shorten an error's message. Imports neither torch nor MONAI."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["InputError", "first_line", "in_words", "input_error_behind", "is_plain", "printable"]

UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode: controls, surrogates, separators of lines and paragraphs
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they turn the reading order


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


def is_plain(text: str) -> bool:
    r"""Whether a text is one line of characters that can be shown and written: no control characters, no half letters.

    Example:
        >>> is_plain("Gr\u00f6\u00dfe 2"), is_plain("two\nlines"), is_plain("\x1b[2J"), is_plain("\ud800")
        (True, False, False, False)
    """
    return not any(unicodedata.category(letter) in UNSEEN for letter in text)


def printable(text: str) -> str:
    r"""A text of elsewhere as a terminal may show it: what moves the cursor or turns the reading order is spelled out.

    Names of files and texts of DICOM come from elsewhere, and a terminal obeys what stands in them. Ends of lines stay.

    Example:
        >>> print(printable("MR \x1b[2Jhead\u202e, Gr\u00f6\u00dfe"))
        MR \x1b[2Jhead\u202e, Größe
    """
    return "".join(
        letter
        if letter == "\n" or (unicodedata.category(letter) not in UNSEEN and letter not in TURNING)
        else letter.encode("unicode_escape").decode()
        for letter in text
    )
