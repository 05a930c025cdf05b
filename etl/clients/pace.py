"""A ceiling of requests a second over all threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """Lets callers through at most ``per_second`` times a second, evenly spaced; 0 lets everybody through at once."""

    def __init__(self, per_second: float, *, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._spacing = 1 / per_second if per_second > 0 else 0.0
        self._sleep = sleep
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next = float("-inf")

    def wait(self) -> None:
        """Return when the caller's turn has come; turns are given in the order of asking."""
        if not self._spacing:
            return
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + self._spacing
        if turn > now:
            self._sleep(turn - now)
