"""Writes the pages of ``docs/`` that are made from the code: ``python -m mmif_amin.documentation docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from .commands import all_commands
from .declarations import Command, Option

__all__ = ["command_line_page", "main"]

HEADING = """# Command line

This page is made from the options' declarations by `make docs`; do not edit it.

`mmif-amin COMMAND --help` prints the same. The exit code is 0; 2 where an input or option cannot be used, and one line
on standard error says what was expected, what came and what to do; 3 where some of many pairs or studies failed; 130
after Ctrl-C. Nothing is ever half-written.
"""


def command_line_page() -> str:
    """Render all commands and their options as Markdown."""
    return "\n".join([HEADING, *(_section(module.COMMAND) for module in all_commands())])


def _section(command: Command) -> str:
    words = " ".join(
        f"[{arg.metavar} ...]" if arg.many else f"[{arg.metavar}]" if arg.optional else arg.metavar
        for arg in command.arguments
    )
    lines = [f"## mmif-amin {command.name} {words}".rstrip(), "", f"{command.help[0].upper()}{command.help[1:]}.", ""]
    lines += [f"- `{argument.metavar}`: {argument.help}" for argument in command.arguments]
    lines += [""] if command.arguments else []
    if command.options:
        lines += ["| option | value | default | for | what it does |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(option, command.photographs) for option in command.options]
    return "\n".join(lines) + "\n"


def _row(option: Option, photographs: bool) -> str:
    words = f"`--{option.name}`" + (f", `{option.short}`" if option.short else "")
    value = "" if option.flag else ", ".join(f"`{word}`" for word in option.choices) or option.metavar or ""
    default = "required" if option.required else option.shown_default
    what_for = {(True, True): "", (True, False): "pictures", (False, True): "volumes"}[option.pictures, option.volumes]
    what_for = "medical" if photographs and option.medical and not what_for else what_for
    return f"| {words} | {value} | {default} | {what_for} | {option.help} |"


def main(folder: str) -> None:
    """Write the pages.

    Args:
        folder: the documentation's.
    """
    from .benchmark.metrics_page import metrics_page

    for name, text in (("command-line.md", command_line_page()), ("metrics.md", metrics_page())):
        (Path(folder) / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
