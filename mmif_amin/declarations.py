"""What an option, an argument and a command of the command line are, and how they become a parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .scripts.utils.enums import FusionGrid

__all__ = ["Argument", "Command", "Option", "add_to_parser", "grid", "overrides_of", "positive", "whole"]


def positive(word: str) -> float:
    """Read a positive, finite number.

    Raises:
        ArgumentTypeError: When it is none.
    """
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {word}")
    return value


def whole(word: str) -> int:
    """Read a whole number from 0 up.

    Raises:
        ArgumentTypeError: When it is none.
    """
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {word}")
    return int(word)


def grid(word: str) -> str | float:
    """Read a fusion grid: the name of one, or the size of its voxels in millimeters.

    Raises:
        ArgumentTypeError: When it is neither.
    """
    if word in list(FusionGrid):
        return word
    try:
        return positive(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected reference, finest or a size in mm, got {word}") from None


@dataclass(frozen=True)
class Argument:
    """A word that a command takes by its place.

    Args:
        name: as the program calls it.
        metavar: as the help shows it.
        help: what it is.
        optional: whether it may be left out. Defaults to False.
        many: whether there may be any number of them, none too. Defaults to False.
    """

    name: str
    metavar: str
    help: str
    optional: bool = False
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option of the command line.

    Args:
        name: what is typed after the two dashes.
        help: what it does, one phrase.
        default: its value where it is not given. Defaults to None.
        default_text: how the help shows the default. Defaults to "": as it is, nothing for None and for flags.
        parse: reads the word; raises ArgumentTypeError or ValueError. Defaults to ``str``.
        choices: the words that are allowed. Defaults to (): any.
        metavar: how the help shows the value. Defaults to None: the name.
        short: a short spelling, such as ``-o``. Defaults to None.
        flag: whether it takes no value and is True where it is given. Defaults to False.
        many: whether it takes several values at once. Defaults to False.
        repeat: whether it may be given several times. Defaults to False.
        required: whether it must be given. Defaults to False.
        pictures: whether it means something for pictures. Defaults to True.
        volumes: whether it means something for volumes. Defaults to True.
        medical: whether it means something for medical images alone, not for photographs. Defaults to False.
        key: the config key that it sets. Defaults to "": its name with underscores.
    """

    name: str
    help: str
    default: Any = None
    default_text: str = ""
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    short: str | None = None
    flag: bool = False
    many: bool = False
    repeat: bool = False
    required: bool = False
    pictures: bool = True
    volumes: bool = True
    medical: bool = False
    key: str = ""

    @property
    def attribute(self) -> str:
        """Name of its value among the parsed arguments."""
        return self.name.replace("-", "_")

    @property
    def shown_default(self) -> str:
        """The default as the help and the documentation show it; empty where there is nothing to show."""
        if self.default_text or self.flag or self.required or self.default is None:
            return self.default_text
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


@dataclass(frozen=True)
class Command:
    """One command of ``mmif-amin``.

    Args:
        name: what is typed.
        help: what it does, one phrase.
        arguments: words that it takes by their place. Defaults to none.
        options: its options. Defaults to none.
        takes_config_keys: whether any further ``--key value`` overrides the config. Defaults to False.
        photographs: whether it takes photographs too, not only medical images. Defaults to False.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    takes_config_keys: bool = False
    photographs: bool = False


def add_to_parser(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add options to a parser; those that are not given leave no attribute behind."""
    for option in options:
        words = [f"--{option.name}", *([option.short] if option.short else [])]
        text = option.help + (f" [{option.shown_default}]" if option.shown_default else "")
        settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text, "required": option.required}
        if option.flag:
            settings["action"] = "store_true"
        else:
            settings.update(
                type=option.parse, metavar=option.metavar, choices=[str(word) for word in option.choices] or None
            )
            settings.update({"nargs": "+"} if option.many else {}, **({"action": "append"} if option.repeat else {}))
        parser.add_argument(*words, **settings)


def overrides_of(values: Any, options: Iterable[Option]) -> dict[str, Any]:
    """Config keys to values, for the options that set one.

    Args:
        values: the parsed arguments.
        options: which options.
    """
    return {option.key or option.attribute: getattr(values, option.attribute) for option in options}
