"""Workers of a cluster of Dask's ``distributed`` (extra ``firms``): one task for a firm's turn.

The engine is at least once: a turn whose worker dies is begun again by another worker that has the firm's disk, unasked
and whatever ``retries`` says. One writer is the lease in the firm's own store; a second attempt beside the first ends
with "already running", which is no failure.

The cluster's scheduler may go away and come again. Its turns are lost and its workers end, as after a death; who hands
turns out waits for it, and counts every worker as away meanwhile.

A worker that is stuck, by the task's limit or after it was asked to stop, is ended by its nanny.

A worker whose disk has state stores says so when it starts, as a resource: ``--resources "disk-1=1"`` for the firms
whose file says ``state: {worker: disk-1}``. Firms without that may be done by any worker.
"""

from __future__ import annotations

import math
import queue
import select
import socket
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from etl.errors import ConfigError
from jobs.environment import StopSignal
from jobs.exit_codes import CommandOutcome
from jobs.firms.engine import STOP_SECONDS
from jobs.firms.result import result_away, result_of, result_stuck

try:
    import distributed
except ImportError as error:
    raise ConfigError("--cluster needs its extra: pip install 'advosync[firms]'.") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.firms.result import FirmResult, FirmTask

POLL_SECONDS = 0.2
"""How often it is looked whether somebody asked to stop."""

WORKERS_SEEN_EVERY = 2.0
"""For so many seconds it is believed which workers there are."""

AWAY_AFTER = 20.0
"""A worker that is gone for so long is away; one that was never there is so at once."""

CONNECT_SECONDS = 30
LISTENS_SECONDS = 1.0

CONNECTED, CLOSED = "running", "closed"
"""What a client says of itself; something else while it looks for its scheduler."""


class ClusterTurn(NamedTuple):
    """A turn that was handed out, and by when it must have ended (monotonic)."""

    task: FirmTask
    future: distributed.Future
    ends_by: float


class Cluster:
    """The workers there are, and the turns that are theirs."""

    def __init__(self, client: distributed.Client) -> None:
        self.client = client
        self.address = client.scheduler.address  # a client that gave up does not know it any more
        self.turns: dict[str, ClusterTurn] = {}
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.workers: list[set[str]] = []
        self.workers_seen_at = float("-inf")
        self.last_there: dict[str | None, float] = {}
        self.is_stopping = False
        self.ends_by = math.inf

    def capacity(self, worker: str | None) -> int:
        """One turn for each worker that has the firm's disk; one while there may soon be such a worker again."""
        if time.monotonic() - self.workers_seen_at > WORKERS_SEEN_EVERY:
            self.workers = self.resources_of_workers()
            self.workers_seen_at = time.monotonic()
        count = sum(worker is None or worker in resources for resources in self.workers)
        if count:
            self.last_there[worker] = time.monotonic()
        elif time.monotonic() - self.last_there.get(worker, float("-inf")) < AWAY_AFTER:
            return 1  # a nanny starts another one; the turn waits for it at the cluster's scheduler
        return count

    def resources_of_workers(self) -> list[set[str]]:
        """What each worker offers; no worker is there while the cluster's scheduler is not, as its turns are lost.

        The client looks for it again by itself; when it gave up, another one takes its place once somebody listens.
        """
        if self.client.status == CLOSED and (client := connect_again(self.address)) is not None:
            self.client = client
        if self.client.status != CONNECTED:
            return []
        info = self.client.scheduler_info(n_workers=-1)
        return [set(state["resources"]) for state in info.get("workers", {}).values()]

    def has_room(self, worker: str | None) -> bool:
        """Whether fewer turns are out than there are workers for them, of these firms and of all."""
        of_worker = sum(turn.task.worker == worker for turn in self.turns.values())
        return of_worker < self.capacity(worker) and len(self.turns) < self.capacity(None)

    def is_busy(self) -> bool:
        """Whether any result is still to come."""
        return bool(self.turns)

    def begin(self, task: FirmTask) -> None:
        """Hand a turn out, to a worker that has the firm's disk."""
        key = f"{task.firm}-{task.command}-{uuid.uuid4().hex}"
        future = self.client.submit(
            take_turn_on_worker,
            key,
            task,
            key=key,
            pure=False,
            retries=0,
            resources={task.worker: 1} if task.worker is not None else None,
        )
        self.turns[key] = ClusterTurn(task, future, time.monotonic() + task.limit_seconds)
        future.add_done_callback(lambda ended: self.ended.put(ended.key))

    def wait(self, stop_signal: StopSignal, seconds: float | None = None) -> list[FirmResult]:
        """Wait until turns end, somebody asks to stop, a worker is gone or stuck, or for so long; the results."""
        end = float("inf") if seconds is None else time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (self.turns or seconds is not None):
            try:
                return self.finish(self.ended.get(timeout=min(left, POLL_SECONDS)))
            except queue.Empty:
                if not self.is_stopping and select.select([stop_signal], [], [], 0)[0]:
                    break
                if without_end := [*self.take_back(), *self.end_stuck()]:
                    return without_end
        return []

    def finish(self, key: str) -> list[FirmResult]:
        """The result of a turn that ended; none of one that was taken back."""
        turn = self.turns.pop(key, None)
        if turn is None:
            return []
        task, future, _ = turn
        if future.cancelled():  # the worker ends by itself then, as its turn does between two requests
            return [result_away(task, "the cluster lost its turn, as when the cluster's scheduler is gone")]
        error = future.exception()
        if error is None:
            return [future.result()]
        reason = f"the cluster could not do it ({type(error).__name__})"
        if isinstance(error, distributed.KilledWorker):
            reason = "each worker that was at it died"
        return [result_of(task, CommandOutcome.CRASHED, reason)]

    def take_back(self) -> list[FirmResult]:
        """Cancel the turns whose worker went away before they ended: their firms are away."""
        away = [key for key, turn in self.turns.items() if self.capacity(turn.task.worker) == 0]
        return [result_away(self.cancel(key)) for key in away]

    def cancel(self, key: str) -> FirmTask:
        """Take a turn back; what it was."""
        task, future, _ = self.turns.pop(key)
        future.cancel()
        return task

    def end_stuck(self) -> list[FirmResult]:
        """End the workers whose turns should have ended by now; their nannies start others."""
        now = time.monotonic()
        stuck = [key for key, turn in self.turns.items() if now >= min(turn.ends_by, self.ends_by)]
        if not stuck:
            return []
        addresses = [address for address, keys in self.client.processing().items() if set(keys) & set(stuck)]
        tasks = [self.cancel(key) for key in stuck]
        ended = "was ended from outside"
        try:
            self.client.restart_workers(addresses, timeout=CONNECT_SECONDS, raise_for_error=False)
        except ValueError:  # says distributed of workers without a nanny
            ended = "could not be ended, as it has no nanny"
        return [result_stuck(task, ended) for task in tasks]

    def request_stop(self) -> None:
        """Ask the turns under way to end between two requests."""
        self.is_stopping = True
        self.ends_by = time.monotonic() + STOP_SECONDS
        if self.client.status == CONNECTED:
            with suppress(OSError):  # who is gone has no turn any more
                self.client.run(request_stop_of_turns, set(self.turns), wait=True, on_error="ignore")


@contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """The cluster behind this address, for the time of the block; ``ConfigError`` where there is none."""
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--cluster {address}: no scheduler answers there ({type(error).__name__})") from error
    cluster = Cluster(client)
    try:
        yield cluster
    finally:
        cluster.client.close()


def connect_again(address: str) -> distributed.Client | None:
    """A client in the place of one that gave up; None while nobody listens at this address."""
    parts = urlsplit(address)
    try:  # a client that finds nobody would wait for long, and leave a thread behind
        socket.create_connection((parts.hostname, parts.port), LISTENS_SECONDS).close()
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError:
        return None


# In the worker ----------------------------------------------------------------------------------------------------

TURNS: dict[str, StopSignal] = {}
"""The turns under way in this process."""

RUNNING = {"init", "running", "paused"}
"""What a worker says of itself while nobody told it to end."""


def take_turn_on_worker(key: str, task: FirmTask) -> FirmResult:
    """One turn in a worker's process."""
    from jobs.firms.turn import take_turn  # noqa: PLC0415 - a second of imports that only workers need

    TURNS[key] = stop_signal = StopSignal()
    ended, worker = threading.Event(), distributed.get_worker()
    watch = threading.Thread(target=stop_with_worker, args=[worker, stop_signal, ended], daemon=True)
    watch.start()
    try:
        return take_turn(task, stop_signal)
    finally:
        ended.set()
        watch.join()
        del TURNS[key]
        stop_signal.close()


def stop_with_worker(worker: distributed.Worker, stop_signal: StopSignal, ended: threading.Event) -> None:
    """Let a worker that is told to end finish the request under way, and no more: it waits for its turn to end."""
    while not ended.wait(POLL_SECONDS):
        if worker.status.name not in RUNNING:
            stop_signal.request_stop("the end of its worker")
            return


def request_stop_of_turns(keys: set[str]) -> None:
    """Ask these turns, as far as they are here, to stop."""
    for key in keys & set(TURNS):
        TURNS[key].request_stop("the end of `advosync firms`")
