"""The command ``mmif-amin``: parses the words, runs a command, and says in one line what went wrong."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
import warnings
from collections.abc import Sequence

from . import commands
from .declarations import add_to_parser
from .exit_codes import BAD_INPUT, INTERRUPTED
from .memory import keep_freed_memory
from .old_spellings import modern_spelling

__all__ = ["main"]

DESCRIPTION = "Fuse two medical images of one patient (MRI with CT, PET or SPECT) into one. Not for diagnostic use."


class _Version(argparse.Action):
    """Prints the version when it is asked for, and reads it only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from . import __version__

        print(f"mmif-amin {__version__}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands from their declarations."""
    parser = argparse.ArgumentParser(prog="mmif-amin", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in commands.all_commands():
        command = module.COMMAND
        sub = subparsers.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        for argument in command.arguments:
            sub.add_argument(
                argument.name,
                metavar=argument.metavar,
                help=argument.help,
                nargs="*" if argument.many else "?" if argument.optional else None,
            )
        add_to_parser(sub, command.options)
        sub.set_defaults(declared=command, run=module.run)
    return parser


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the words; ``given`` names the options that were given, ``rest`` holds the keys of a config."""
    parser = build_parser()
    args, rest = parser.parse_known_args(words)
    if rest and not args.declared.takes_config_keys:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    args.given = {option.attribute for option in args.declared.options if hasattr(args, option.attribute)}
    for option in args.declared.options:
        if option.attribute not in args.given:
            setattr(args, option.attribute, [] if option.repeat else option.default)
    return args


def _tell(text: str) -> None:
    """Write to standard error; a name or a text from elsewhere that stands in it cannot steer the terminal."""
    from .scripts.utils.checks import printable

    print(f"mmif-amin: {printable(text)}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: words after the program's name. Defaults to those of the process.

    Returns:
        0, 2 where an input could not be used, 3 where some of many pairs or studies failed, or 130 after Ctrl-C.
    """
    words, outdated = modern_spelling(sys.argv[1:] if argv is None else argv)
    args = _parse(words)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up as after Ctrl-C
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
    warnings.showwarning = lambda message, *_, **__: _tell(f"warning: {message}")
    for line in outdated:
        _tell(f"warning: {line}")
    try:
        return args.run(args)
    except KeyboardInterrupt:
        _tell("interrupted")
        return INTERRUPTED
    except Exception as error:
        from .scripts.utils.checks import input_error_behind

        cause = input_error_behind(error)
        if cause is None:
            raise
        _tell(f"error: {cause}")
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
