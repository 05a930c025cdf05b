"""Progress of long work, on standard error and only where that is a terminal. What it shows, a run reports itself."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tell = Callable[[str, int, int], None]

LONG = 10
"""Fewer than this are done before a bar could be read."""

WORDS = {"EspoCRM": "Reading EspoCRM", "Advoware": "Reading Advoware", "persons": "Persons", "backfill": "Backfill"}
"""What a run calls its long parts, and what people are told."""


@contextmanager
def shown() -> Iterator[Tell]:
    """Give what a run calls with (what, number of the one under way from 0, of how many); bars vanish at the end."""
    if not sys.stderr.isatty():
        yield lambda _what, _number, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    terminal = sys.stderr
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars, moved_logs(terminal):
        tasks = {}

        def tell(what: str, number: int, of: int) -> None:
            if of < LONG:
                return
            part, _, more = what.partition("|")  # a part may say what is left of it in words of its own
            words = f"{WORDS.get(part, part)} {more}".rstrip()
            if part not in tasks:
                tasks[part] = bars.add_task(words, total=of)
            bars.update(tasks[part], completed=number + 1, total=of, description=words)

        yield tell


@contextmanager
def moved_logs(terminal: object) -> Iterator[None]:
    """Let logs that go to this terminal appear above the bars: rich sees them only where they pass ``sys.stderr``."""
    handlers = [
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and one.stream is terminal
    ]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(terminal)
