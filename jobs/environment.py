"""What a run takes from outside: time, and how the two systems are reached. Tests and the sandbox give their own.

SIGTERM and Ctrl-C: the request under way is finished and recorded, then the run ends (rules §6, Stopping).

The first signal raises a flag. Whoever sleeps wakes up, and the next request is not sent: the client's ``checkpoint``
raises ``Stopped`` before it. The second signal ends the process at once; the next run recovers what it was at.

No lock is taken in the handler: Python runs it in the main thread between two instructions, and that thread may hold
the very lock an ``Event`` would need. A byte in a pipe that nobody reads wakes every sleeper instead.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from etl.errors import Stopped
from etl.times import format_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from etl.clients.request import Transport

class ClientClock(TypedDict):
    """The time and the signals a client goes by."""

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    utcnow: Callable[[], datetime]
    checkpoint: Callable[[], None]


@dataclass(frozen=True)
class Environment:
    """Clock, patience and transports; ``durable`` off only where a power loss does not matter (tests)."""

    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    espo_transport: Transport | None = None
    advo_transport: Transport | None = None
    ping_transport: Transport | None = None
    checkpoint: Callable[[], None] = lambda: None
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None
    durable: bool = True
    heartbeat: bool = True

    def for_clients(self) -> ClientClock:
        """What the clients take of it."""
        return ClientClock(sleep=self.sleep, monotonic=self.monotonic, utcnow=self.utcnow, checkpoint=self.checkpoint)

    def now(self) -> str:
        """UTC text, as both the store and EspoCRM write times."""
        return format_utc(self.utcnow())


PRODUCTION = Environment()


SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNAL_EXIT_BASE = 128
"""What shells add to a signal's number to make it an exit code."""


class StopSignal:
    """Whether somebody asked to stop, and a sleep that ends when somebody does. Any thread may ask."""

    def __init__(self) -> None:
        self.requested_by: str | None = None
        self._awake, self._wake = os.pipe()

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._awake)
        os.close(self._wake)

    def fileno(self) -> int:
        """What ``select`` watches: readable from the moment somebody asked."""
        return self._awake

    def request_stop(self, requester: str) -> None:
        """Ask everything to stop; ``requester`` names what did."""
        self.requested_by = requester
        os.write(self._wake, b"!")

    def check(self) -> None:
        """Raise ``Stopped`` once somebody asked: called before each request."""
        if self.requested_by is not None:
            raise Stopped(f"Stopped by {self.requested_by}; what is left waits for the next run.")

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody asks to stop."""
        select.select([self._awake], [], [], max(0.0, seconds))

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """The first signal: ask. From now on a signal ends the process."""
        for stop_signal_number in SIGNALS:
            signal.signal(stop_signal_number, exit_now)
        self.request_stop(signal.Signals(number).name)


def exit_now(number: int, _frame: FrameType | None) -> None:
    """End here and now. Not by the default effect: the first process of a container has none."""
    os._exit(SIGNAL_EXIT_BASE + number)


@contextmanager
def stop_on_signals() -> Iterator[StopSignal]:
    """Signals ask to stop for the time of the block; afterwards they do what they did before.

    In another thread than the main one Python lets nobody handle signals: they are left to whoever has that one.
    """
    stop_signal = StopSignal()
    numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    previous_handlers = {number: signal.signal(number, stop_signal.on_signal) for number in numbers}
    try:
        yield stop_signal
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
        stop_signal.close()


def with_stop_signal(environment: Environment, stop_signal: StopSignal) -> Environment:
    """The same world, in which requests and sleeps give way to a wish to stop."""

    def checkpoint() -> None:
        stop_signal.check()
        environment.checkpoint()

    return replace(environment, checkpoint=checkpoint, sleep=stop_signal.sleep)
