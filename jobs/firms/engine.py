"""What does the turns: worker processes of this machine (`pool`) or a cluster's (`cluster`); from here both are alike.

An engine may begin a turn a second time, when a worker dies or is believed dead. The lease in the firm's own store
sees to it that only one writes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from jobs.firms.result import result_away, result_before_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobs.environment import StopSignal
    from jobs.firms.result import FirmResult, FirmTask

STOP_SECONDS = 80.0
"""Who is asked to stop may finish the request under way; a process that takes longer is stuck, and is ended."""


class Engine(Protocol):
    """Workers, each at one turn at a time."""

    def capacity(self, worker: str | None) -> int:
        """How many turns of firms whose store is with ``worker`` can take place at once; 0 while it is away."""

    def has_room(self, worker: str | None) -> bool:
        """Whether another such turn can begin now."""

    def is_busy(self) -> bool:
        """Whether any result is still to come."""

    def begin(self, task: FirmTask) -> None:
        """Hand a turn out."""

    def wait(self, stop_signal: StopSignal, seconds: float | None = None) -> list[FirmResult]:
        """Wait until turns end, somebody asks to stop, or for so long; the results that came."""

    def request_stop(self) -> None:
        """Ask all turns to end between two requests, as their results will say."""


def run_tasks(engine: Engine, tasks: Sequence[FirmTask], stop_signal: StopSignal) -> Iterator[FirmResult]:
    """Each task's result as it comes; once somebody asks to stop, runs end between requests and no turn begins."""
    waiting = deque(tasks)
    while waiting or engine.is_busy():
        if stop_signal.requested_by is not None:
            engine.request_stop()
            yield from (result_before_turn(task, stop_signal.requested_by) for task in waiting)
            waiting.clear()
        for _ in range(len(waiting)):
            task = waiting.popleft()
            if engine.capacity(task.worker) == 0:
                yield result_away(task)
            elif engine.has_room(task.worker):
                engine.begin(task)
            else:
                waiting.append(task)
        yield from engine.wait(stop_signal)
