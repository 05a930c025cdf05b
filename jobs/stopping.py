"""SIGTERM and Ctrl-C: the request under way is finished and recorded, then the run ends (rules.md §6, Stopping).

The first signal raises a flag. Whoever sleeps wakes up, and the next request is not sent: the client's ``checkpoint``
raises ``Stopped`` before it. The second signal ends the process at once; the next run recovers what it was at.

No lock is taken in the handler: Python runs it in the main thread between two instructions, and that thread may hold
the very lock an ``Event`` would need. A byte in a pipe that nobody reads wakes every sleeper instead.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from jobs.world import World

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KILLED_BY = 128
"""What shells add to a signal's number to make it an exit code."""


class Stopping:
    """Whether somebody asked to stop, and a sleep that ends when somebody does. Any thread may ask."""

    def __init__(self) -> None:
        self.by: str | None = None
        self._awake, self._wake = os.pipe()

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._awake)
        os.close(self._wake)

    def fileno(self) -> int:
        """What ``select`` watches: readable from the moment somebody asked."""
        return self._awake

    def ask(self, by: str) -> None:
        """Ask everything to stop; ``by`` names what did."""
        self.by = by
        os.write(self._wake, b"!")

    def check(self) -> None:
        """Raise ``Stopped`` once somebody asked: called before each request."""
        if self.by is not None:
            raise Stopped(f"Stopped by {self.by}; what is left waits for the next run.")

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody asks to stop."""
        select.select([self._awake], [], [], max(0.0, seconds))

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """The first signal: ask. From now on a signal ends the process."""
        for one in SIGNALS:
            signal.signal(one, at_once)
        self.ask(signal.Signals(number).name)


def at_once(number: int, _frame: FrameType | None) -> None:
    """End here and now. Not by the default effect: the first process of a container has none."""
    os._exit(KILLED_BY + number)


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """Signals ask to stop for the time of the block, in the main thread; afterwards they do what they did before."""
    stopping = Stopping()
    before = {number: signal.signal(number, stopping.on_signal) for number in SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stopping.close()


def heeding(world: World, stopping: Stopping) -> World:
    """The same world, in which requests and sleeps give way to a wish to stop."""
    return replace(world, checkpoint=stopping.check, sleep=stopping.sleep)
