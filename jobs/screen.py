"""How much goes to the screen, and how: ``--quiet`` and ``-v``; texts and tables in which no value is broken in two."""

from __future__ import annotations

import codecs
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC
from typing import TYPE_CHECKING

from jobs.times import with_local_times

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import tzinfo

    from rich.console import Console
    from rich.text import Text

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether progress and the words of what went well stay away; answers, errors and JSON never do."""

ZONE: ContextVar[tzinfo] = ContextVar("zone", default=UTC)
"""The zone of the firm (``schedule.timezone``), once its configuration is read."""

DECISION_LOGGER = "advosync.decisions"
"""The logger that ``-v`` lets through: what was decided about which entry."""

UNLIMITED_WIDTH = 10_000
"""The width of what is no terminal: a program that reads lines wants them whole."""

GAP = "  "
INDENT = "    "

GLUED = re.compile(r"(?<=\d) (?=\w|\(\d|[/-] )|(?<=[/)-]) (?=\d)| (?=/ )|(?<= /) |(?<=→) | (?=→ –)")
"""Spaces at which no line ends: in numbers, times and spans, around a slash, after an arrow, before one to nothing."""

QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"")
"""What stays whole where a line has room for it: commands, and what somebody typed."""

SIGNS = dict(zip("→←–·…×≈✓„“", '><--.x~+""', strict=True))
"""Our own signs, and what a terminal shows that lacks them. A letter of somebody's value becomes "?" and no other
letter: a mail address with ue in place of ü is somebody else's."""


def replace_unprintable(error: UnicodeError) -> tuple[str, int]:
    """What stands for letters that a terminal lacks: one sign for each, so that columns stay where they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SIGNS.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


REPLACE_UNPRINTABLE = "advosync.replace_unprintable"
codecs.register_error(REPLACE_UNPRINTABLE, replace_unprintable)


def log_level(verbose: int) -> int:
    """From which level on logs are written: so often ``-v`` was given, and ``--quiet`` or not."""
    if verbose > 1:
        return logging.DEBUG
    return logging.WARNING if QUIET.get() and not verbose else logging.INFO


def sentence_for_people(sentence: str) -> str:
    """A sentence as it goes to the screen; in the log, in JSON and in the store its times stay UTC."""
    return with_local_times(sentence, ZONE.get())


def make_console() -> Console:
    """Where tables go. Asked for when there is something to show: loaded before the logs, rich would enter them too."""
    from rich.console import Console  # noqa: PLC0415 - not for --help and --json

    return Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH)


def print_rows(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table where it fits; where it does not, a block of lines for each row."""
    from rich.cells import cell_len  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    widths = [max(cell_len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    if sum(widths) + len(GAP) * (len(widths) - 1) <= console.width:
        print_columns(console, [[Text(heading, "bold") for heading in headings], *rows])
        return
    for row in rows:
        block = [(heading, text) for heading, text in zip(headings, row, strict=True) if text]
        print_columns(console, block, max(map(len, headings)))
        console.print()


def print_columns(
    console: Console, rows: Sequence[Sequence[str | Text]], min_width: int = 0, *, whole: Collection[str] = ()
) -> None:
    """Rows in columns, the last one wrapped under its own beginning.

    Where a value has no room there, it stands right behind the others, or else beneath them. The first column is at
    least ``min_width`` wide; ``whole`` as in ``print_text``.
    """
    from rich.text import Text  # noqa: PLC0415 - not for --json

    table = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in list(zip(*table, strict=True))[:-1]]
    widths[:1] = [max(width, min_width) for width in widths[:1]]
    for *cells, last in table:
        line = Text()
        for cell, width in zip(cells, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len) + GAP)
        room = console.width - widest_piece(last.plain, console.width - len(INDENT), whole)
        if line.cell_len > room:
            line = line[: len(line.plain.rstrip()) + len(GAP)]
        if line.cell_len > room:
            print_text(console, line)
            line = Text(indentation(line.plain) + INDENT)
        print_text(console, line + last, hanging=line.cell_len, whole=whole)


def print_text(
    console: Console, text: str | Text, style: str = "", *, hanging: int | None = None, whole: Collection[str] = ()
) -> None:
    """A text whose lines end between words, never inside a value; what follows its first line hangs under it.

    A number that goes on in the next line is copied in half, and nobody notices. Numbers, times, commands and what is
    quoted are known by their form; names and whatever else has spaces are given as ``whole``.
    """
    from rich.text import Text  # noqa: PLC0415 - not for --json

    lines = (Text(text, style) if isinstance(text, str) else text).split("\n", allow_blank=True)
    for line in lines[1:]:
        line.pad_left(hanging or 0)
    for line in lines:
        indent = len(indentation(line.plain)) + len(GAP) if hanging is None else hanging
        ends = list(line_ends(line.plain, console.width, indent, whole))
        for number, part in enumerate(line.divide(ends)):
            part.rstrip()
            print_line(console, Text(" " * indent).append_text(part[1:]) if number else part)


def line_ends(text: str, width: int, hanging: int, whole: Collection[str]) -> Iterator[int]:
    """The spaces of a line in place of which the next one begins."""
    from rich.cells import cell_len  # noqa: PLC0415 - not for --json

    if cell_len(text) <= width:
        return
    start, indent, last = 0, 0, None
    for space in [*free_spaces(text, width - hanging, whole), len(text)]:
        if last is not None and indent + cell_len(text[start:space]) > width:
            yield last
            start, indent = last + 1, hanging
        last = space


def widest_piece(text: str, width: int, whole: Collection[str]) -> int:
    """How wide the widest piece is that no line may end in, on lines of this width."""
    from rich.cells import cell_len  # noqa: PLC0415 - not for --json

    spaces = sorted({0, *free_spaces(text, width, whole), *(match.start() for match in re.finditer("\n", text))})
    pieces = zip(spaces, [*spaces[1:], len(text)], strict=True)
    return max(cell_len(text[start:end].strip()) for start, end in pieces)


def free_spaces(text: str, width: int, whole: Collection[str]) -> list[int]:
    """Where a line may end: the spaces that are not inside a value, as far as lines of this width have room for it."""
    from rich.cells import cell_len  # noqa: PLC0415 - not for --json

    values = [re.finditer(re.escape(value), text) for value in whole if value]
    spans = [match.span() for matches in (QUOTED.finditer(text), *values) for match in matches]
    glued = {match.start() for match in GLUED.finditer(text)} | set(range(len(indentation(text))))
    for start, end in spans:
        if cell_len(text[start:end]) <= width:
            glued.update(range(start, end))
    return [place for place, letter in enumerate(text) if letter == " " and place not in glued]


def indentation(text: str) -> str:
    """The spaces a line begins with."""
    return text[: len(text) - len(text.lstrip(" "))]


def print_line(console: Console, line: Text) -> None:
    """One line as it is, however narrow the terminal."""
    console.print(line, no_wrap=True, overflow="ignore", crop=False)
