"""What a run takes from outside: time, and how the two systems are reached. Tests and the sandbox give their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.clients.ask import Transport


class Around(TypedDict):
    """The time and the signals a client goes by."""

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    utcnow: Callable[[], datetime]
    checkpoint: Callable[[], None]


@dataclass(frozen=True)
class World:
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

    def surroundings(self) -> Around:
        """What the clients take of it."""
        return Around(sleep=self.sleep, monotonic=self.monotonic, utcnow=self.utcnow, checkpoint=self.checkpoint)

    def now(self) -> str:
        """UTC text, as both the store and EspoCRM write times."""
        return self.utcnow().isoformat(" ", "seconds")[:19]


REAL = World()
