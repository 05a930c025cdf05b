"""How much goes to the screen: ``--quiet`` and ``-v`` hold for everything a command line starts."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether progress and the words of what went well stay away; answers, errors and JSON never do."""

DECISION_LOGGER = "advosync.decisions"
"""The logger that ``-v`` lets through: what was decided about which entry."""

UNLIMITED_WIDTH = 10_000
"""The width of what is no terminal: a program that reads lines wants them whole."""

GAP = "  "


def log_level(verbose: int) -> int:
    """From which level on logs are written: so often ``-v`` was given, and ``--quiet`` or not."""
    if verbose > 1:
        return logging.DEBUG
    return logging.WARNING if QUIET.get() and not verbose else logging.INFO


def make_console() -> Console:
    """Where tables go. Asked for when there is something to show: loaded before the logs, rich would enter them too."""
    from rich.console import Console  # noqa: PLC0415 - not for --help and --json

    return Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH)


def print_rows(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table where it fits; where it does not, a block of lines for each row: no value is ever broken.

    A number that ends in the next line is copied in half, and nobody notices.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    table = [headings, *rows]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(headings))]
    if sum(widths) + len(GAP) * (len(widths) - 1) <= console.width:
        for number, row in enumerate(table):
            line = GAP.join(text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
            print_line(console, Text(line.rstrip(), style="bold" if number == 0 else ""))
        return
    heading_width = max(map(len, headings))
    for row in rows:
        for heading, text in zip(headings, row, strict=True):
            if text:
                print_line(console, Text(f"{heading:<{heading_width}}{GAP}{text}"))
        console.print()


def print_line(console: Console, line: Text) -> None:
    """One line as it is, however narrow the terminal."""
    console.print(line, no_wrap=True, overflow="ignore", crop=False)
