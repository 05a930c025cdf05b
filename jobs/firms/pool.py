"""Warm worker processes on this machine: each does one firm's turn at a time, and what one firm does harms no other.

No ready-made pool: those of the standard library give up all that waits when one process dies. Here a firm whose
worker died is tried once more, by a new one; its store's lease, not this pool, sees to it that only one writes.

Signals are for the process that people see. Workers ignore them and watch a pipe that is closed when they shall stop,
which happens also when that process is killed: no worker is left behind.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from jobs.environment import SIGNALS, StopSignal
from jobs.exit_codes import CommandOutcome
from jobs.firms.result import FirmResult, result_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from jobs.firms.result import FirmTask

PROCESSES = get_context("spawn")
"""A worker begins with nothing: it inherits no thread, lock, connection or secret."""

MAX_ATTEMPTS = 2
"""A firm whose worker dies so often is given up for now."""


class Worker:
    """A process of its own and the task it is at."""

    def __init__(self, stop_watch: Connection) -> None:
        self.connection, other_end = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=serve_turns, args=(other_end, stop_watch), name="advosync-firms")
        self.process.start()
        other_end.close()
        self.task: FirmTask | None = None

    def begin(self, task: FirmTask) -> None:
        """Hand a task out; a worker that died meanwhile is found out when its answer is asked for."""
        self.task = task
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

    def close(self) -> None:
        """Let it end by itself, after its turn, and wait for that."""
        self.connection.close()
        self.process.join()
        self.process.close()


def run_tasks(tasks: Sequence[FirmTask], workers: int, stop_signal: StopSignal) -> Iterator[FirmResult]:
    """Each task's result as it comes; once somebody asks to stop, runs end between requests and no turn begins."""
    waiting, attempts = deque(tasks), Counter[str]()
    with worker_pool(min(workers, len(tasks))) as pool:
        while waiting or pool.busy():
            if stop_signal.requested_by is not None:
                pool.request_stop()
                yield from (result_before_turn(task, stop_signal) for task in waiting)
                waiting.clear()
            for worker in pool.idle():
                if waiting:
                    worker.begin(waiting.popleft())
            for worker, task in pool.wait(stop_signal):
                result = worker.finish()
                if result is not None:
                    yield result
                    continue
                exit_code = pool.replace(worker)
                attempts[task.firm] += 1
                if attempts[task.firm] < MAX_ATTEMPTS:
                    waiting.append(task)
                else:
                    yield result_of(task, CommandOutcome.CRASHED, f"its worker process died ({exit_text(exit_code)})")


class Pool:
    """Workers, and the pipe whose end tells them to stop."""

    def __init__(self, size: int) -> None:
        self.stop_watch, self.stop_pipe = PROCESSES.Pipe(duplex=False)
        self.workers = [Worker(self.stop_watch) for _ in range(size)]

    def busy(self) -> list[Worker]:
        """Who is at a task."""
        return [worker for worker in self.workers if worker.task is not None]

    def idle(self) -> list[Worker]:
        """Who waits for one."""
        return [worker for worker in self.workers if worker.task is None]

    def wait(self, stop_signal: StopSignal) -> list[tuple[Worker, FirmTask]]:
        """Wait until a worker has answered or died, or somebody asks to stop; who did, and with which task."""
        connections = [worker.connection for worker in self.busy()]
        ready = wait(connections if stop_signal.requested_by is not None else [*connections, stop_signal.fileno()])
        return [(worker, worker.task) for worker in self.workers if worker.task and worker.connection in ready]

    def replace(self, worker: Worker) -> int | None:
        """Put a new worker where one died, and say what it died of."""
        worker.process.join()
        exit_code = worker.process.exitcode
        worker.close()
        self.workers[self.workers.index(worker)] = Worker(self.stop_watch)
        return exit_code

    def request_stop(self) -> None:
        """Tell all workers to end their turns between two requests."""
        self.stop_pipe.close()

    def close(self) -> None:
        """End the workers: whoever is still at a turn ends it between two requests."""
        self.request_stop()
        for worker in self.workers:
            worker.close()
        self.stop_watch.close()


@contextmanager
def worker_pool(size: int) -> Iterator[Pool]:
    """Workers for the time of the block."""
    pool = Pool(size)
    try:
        yield pool
    finally:
        pool.close()


def result_before_turn(task: FirmTask, stop_signal: StopSignal) -> FirmResult:
    """The result of a firm whose turn did not begin any more, or would have to begin anew."""
    return result_of(task, CommandOutcome.STOPPED, f"Stopped by {stop_signal.requested_by} before its turn.")


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
