"""Warm worker processes on this machine: each does one firm's turn at a time, and what one firm does harms no other.

No ready-made pool: those of the standard library give up all that waits when one process dies. Here a firm whose
worker died is tried once more, by a new one; its store's lease, not this pool, sees to it that only one writes.

A worker that does not end its turn within the task's limit, or within `STOP_SECONDS` after it was asked to stop, is
killed: it may hang where no signal or pipe reaches it. The lease of a process that is gone is free at once.

Signals are for the process that people see. Workers ignore them and watch a pipe that is closed when they shall stop,
which happens also when that process is killed: no worker is left behind.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from jobs.environment import SIGNALS, StopSignal
from jobs.exit_codes import CommandOutcome
from jobs.firms.engine import STOP_SECONDS
from jobs.firms.result import result_before_turn, result_of, result_stuck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from jobs.firms.result import FirmResult, FirmTask

PROCESSES = get_context("spawn")
"""A worker begins with nothing: it inherits no thread, lock, connection or secret."""

MAX_ATTEMPTS = 2
"""A firm whose worker dies so often is given up for now."""

EXIT_SECONDS = 5.0
"""A process whose end of the pipe is closed is gone so soon, or is ended."""


class Worker:
    """A process of its own and the task it is at."""

    def __init__(self, stop_watch: Connection) -> None:
        self.connection, other_end = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=serve_turns, args=(other_end, stop_watch), name="advosync-firms")
        self.process.start()
        other_end.close()
        self.task: FirmTask | None = None
        self.ends_by = math.inf

    def begin(self, task: FirmTask) -> None:
        """Hand a task out; a worker that died meanwhile is found out when its answer is asked for."""
        self.task = task
        self.ends_by = time.monotonic() + task.limit_seconds
        try:
            self.connection.send(task)
        except OSError:
            return

    def finish(self) -> FirmResult | None:
        """The result that is there; None where the worker died without any."""
        self.task = None
        try:
            result: FirmResult = self.connection.recv()
        except (EOFError, OSError):
            return None
        return result

    def is_stuck(self) -> bool:
        """Whether its turn should have ended by now."""
        return self.task is not None and time.monotonic() >= self.ends_by

    def close(self, ends_by: float) -> None:
        """Let it end by itself, after its turn, and wait for that until then (monotonic); then end it."""
        self.connection.close()
        self.process.join(max(0.0, ends_by - time.monotonic()))
        self.process.kill()
        self.process.join()
        self.process.close()


class Pool:
    """Workers, and the pipe whose end tells them to stop."""

    def __init__(self, size: int) -> None:
        self.stop_watch, self.stop_pipe = PROCESSES.Pipe(duplex=False)
        self.workers = [Worker(self.stop_watch) for _ in range(size)]
        self.attempts = Counter[str]()
        self.ends_by = math.inf

    def capacity(self, worker: str | None) -> int:
        """All workers are on this machine: whose store is with another one is away."""
        return 0 if worker is not None else len(self.workers)

    def has_room(self, worker: str | None) -> bool:
        """Whether a worker waits for a turn."""
        return worker is None and any(candidate.task is None for candidate in self.workers)

    def is_busy(self) -> bool:
        """Whether any worker is at a turn."""
        return any(worker.task is not None for worker in self.workers)

    def begin(self, task: FirmTask) -> None:
        """Give a waiting worker its turn."""
        self.attempts[task.firm] = 1
        next(worker for worker in self.workers if worker.task is None).begin(task)

    def wait(self, stop_signal: StopSignal, seconds: float | None = None) -> list[FirmResult]:
        """Wait until a worker has answered, died or been at it for too long, or somebody asks to stop."""
        connections = [worker.connection for worker in self.workers if worker.task is not None]
        watched = [] if self.is_stopping else [stop_signal.fileno()]
        left = min((worker.ends_by for worker in self.workers if worker.task is not None), default=math.inf)
        left = min(math.inf if seconds is None else seconds, max(0.0, left - time.monotonic()))
        ready = wait([*connections, *watched], None if left == math.inf else left)
        answering = [worker for worker in self.workers if worker.connection in ready]
        results = [result for worker in answering if (result := self.finish(worker)) is not None]
        stuck = [(worker, task) for worker in self.workers if worker.is_stuck() and (task := worker.task) is not None]
        for worker, task in stuck:
            worker.process.kill()
            self.replace(worker)
            results.append(result_stuck(task))
        return results

    def finish(self, worker: Worker) -> FirmResult | None:
        """A worker's result; None where it died, and another one is at the turn."""
        task = worker.task
        result = worker.finish()
        if result is not None or task is None:
            return result
        successor, exit_code = self.replace(worker)
        if self.is_stopping:
            return result_before_turn(task, "the end of its worker")
        if self.attempts[task.firm] >= MAX_ATTEMPTS:
            return result_of(task, CommandOutcome.CRASHED, f"its worker process died ({exit_text(exit_code)})")
        self.attempts[task.firm] += 1
        successor.begin(task)
        return None

    def replace(self, worker: Worker) -> tuple[Worker, int | None]:
        """Put a new worker where one died, and say what it died of."""
        worker.process.join(EXIT_SECONDS)
        exit_code = worker.process.exitcode
        worker.close(time.monotonic())
        successor = Worker(self.stop_watch)
        self.workers[self.workers.index(worker)] = successor
        return successor, exit_code

    @property
    def is_stopping(self) -> bool:
        """Whether the workers were told to stop."""
        return self.stop_pipe.closed

    def request_stop(self) -> None:
        """Tell all workers to end their turns between two requests."""
        if self.is_stopping:
            return
        self.stop_pipe.close()
        self.ends_by = time.monotonic() + STOP_SECONDS
        for worker in self.workers:
            worker.ends_by = min(worker.ends_by, self.ends_by)

    def close(self) -> None:
        """End the workers: whoever is still at a turn ends it between two requests, or is ended."""
        self.request_stop()
        for worker in self.workers:
            worker.close(self.ends_by)
        self.stop_watch.close()


@contextmanager
def worker_pool(size: int) -> Iterator[Pool]:
    """Workers for the time of the block."""
    pool = Pool(size)
    try:
        yield pool
    finally:
        pool.close()


def exit_text(exit_code: int | None) -> str:
    """How a process ended, as people know it."""
    return signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit {exit_code}"


# In the worker ----------------------------------------------------------------------------------------------------


def serve_turns(connection: Connection, stop_watch: Connection) -> None:
    """Do turn after turn until the other end is closed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    from jobs.firms.turn import take_turn  # noqa: PLC0415 - a second of imports that only workers need
    from jobs.telemetry.logs import configure_logging  # noqa: PLC0415 - likewise

    configure_logging()  # until a firm's file says how: standard output is for results alone
    stop_signal = StopSignal()
    threading.Thread(target=request_stop_at_end, args=[stop_watch, stop_signal], daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            connection.send(take_turn(task, stop_signal))
        except BrokenPipeError:
            return


def request_stop_at_end(stop_watch: Connection, stop_signal: StopSignal) -> None:
    """Ask to stop when the pipe is closed, by whoever started the worker or by its death."""
    wait([stop_watch])
    stop_signal.request_stop("the end of `advosync firms`")
