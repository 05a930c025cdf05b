"""Progress of long work, on standard error and only where that is a terminal. What it shows, a run reports itself."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.screen import QUIET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ProgressCallback = Callable[[str, int, int], None]

MIN_TOTAL = 10
"""Fewer than this are done before a bar could be read."""

PART_LABELS = {
    "EspoCRM": "Reading EspoCRM",
    "Advoware": "Reading Advoware",
    "persons": "Persons",
    "backfill": "Backfill",
}
"""What a run calls its long parts, and what people are told."""


@contextmanager
def progress_bars() -> Iterator[ProgressCallback]:
    """Give what a run calls with (what, number of the one under way from 0, of how many); bars vanish at the end."""
    if QUIET.get() or not sys.stderr.isatty():
        yield lambda _what, _number, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    terminal = sys.stderr
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars, logs_above_bars(terminal):
        tasks = {}

        def report(label: str, number: int, total: int) -> None:
            if total < MIN_TOTAL:
                return
            part, _, detail = label.partition("|")  # a part may say what is left of it in words of its own
            text = f"{PART_LABELS.get(part, part)} {detail}".rstrip()
            if part not in tasks:
                tasks[part] = bars.add_task(text, total=total)
            bars.update(tasks[part], completed=number + 1, total=total, description=text)

        yield report


@contextmanager
def logs_above_bars(terminal: object) -> Iterator[None]:
    """Let logs that go to this terminal appear above the bars: rich sees them only where they pass ``sys.stderr``."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is terminal
    ]
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(terminal)
