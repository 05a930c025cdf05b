"""What a run takes from outside: time, and how the two systems are reached. Tests and the sandbox give their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class World:
    """Clock, patience and transports; ``durable`` off only where a power loss does not matter (tests)."""

    utcnow: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    espo_transport: httpx.BaseTransport | None = None
    advo_transport: httpx.BaseTransport | None = None
    checkpoint: Callable[[], None] = lambda: None
    progress: Callable[[str, int, int], None] = lambda what, done, of: None
    durable: bool = True
    heartbeat: bool = True

    def now(self) -> str:
        """UTC text, as both the store and EspoCRM write times."""
        return self.utcnow().strftime("%Y-%m-%d %H:%M:%S")


REAL = World()
