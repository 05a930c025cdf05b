"""``run``: sync, sweep and maintenance at their times, one at a time, for years.

APScheduler says when a job's turn has come; a job there only *asks* for a turn, which takes no time, so that nothing
is ever late for it, misfired or dropped. Turns are taken one after the other by the thread that called ``serve``,
which opens the store anew for each: what is asked for while something runs follows at once and never beside it, what
is asked for twice is done once, and a due sync goes before the next chunk of a sweep.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from etl.clients.healthcheck import PingEvent
from etl.errors import AdvosyncError, LockHeld, Stopped
from etl.store.database import Store
from etl.store.queries.status import SCHEDULER, add_skipped_runs, load_status
from etl.times import format_utc, parse_utc
from jobs import pipeline
from jobs.commands import maintenance
from jobs.environment import with_stop_signal
from jobs.lock import process_start_time
from jobs.run.options import RunOptions
from jobs.schedule import Job, count_missed_runs, make_trigger, next_time
from jobs.telemetry import after_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.config import Config
    from jobs.environment import Environment, StopSignal
    from jobs.run.report import RunReport

CLOCK_CHECK_SECONDS = 60.0
"""Seconds after which a waiting scheduler looks whether somebody set the clock."""

MAX_CLOCK_DRIFT = timedelta(seconds=90)


class JobQueue:
    """Who asked for a turn; each job waits at most once. Asked by the scheduler's thread, taken by one other."""

    def __init__(self) -> None:
        self.skipped: Counter[Job] = Counter()
        self._waiting: set[Job] = set()
        self._last: Job | None = None
        self._lock = threading.Lock()
        self._awake, self._wake = os.pipe()

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._awake)
        os.close(self._wake)

    def put(self, job: Job) -> None:
        """Ask for a turn; who waits already will have one, and this one is counted as skipped."""
        with self._lock:
            if job in self._waiting:
                self.skipped[job] += 1
                structlog.get_logger().warning("run_skipped", job=job, reason="the one before has not begun yet")
            self._waiting.add(job)
        os.write(self._wake, b"!")

    def get(self) -> Job | None:
        """Whose turn it is, None when nobody waits: sync first, but after one whoever else waits."""
        with self._lock:
            next_jobs = [candidate for candidate in Job if candidate in self._waiting and candidate is not self._last]
            job = next(iter(next_jobs), self._last if self._last in self._waiting else None)
            self._last = job
            self._waiting -= {job} if job else set()
        return job

    def pop_skipped(self) -> dict[Job, int]:
        """How often each job was skipped since the last time this was asked."""
        with self._lock:
            counts, self.skipped = dict(self.skipped), Counter()
        return counts

    def wait(self, stop_signal: StopSignal, seconds: float) -> None:
        """Wait until somebody asks for a turn or wants to stop, or for so long."""
        readable, _, _ = select.select([self._awake, stop_signal.fileno()], [], [], seconds)
        if self._awake in readable:
            os.read(self._awake, 1024)


class ClockWatch:
    """Notices that somebody set the clock, by comparing it with one that only runs."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._reference = self._difference()

    def has_jumped(self) -> bool:
        """Whether the clock was set since the last time this was asked."""
        now, before = self._difference(), self._reference
        if abs(now - before) < MAX_CLOCK_DRIFT:
            return False
        self._reference = now
        return True

    def _difference(self) -> timedelta:
        return (
            self._environment.utcnow()
            - datetime(1970, 1, 1, tzinfo=UTC)
            - timedelta(seconds=self._environment.monotonic())
        )


def run_scheduler(config: Config, environment: Environment, stop_signal: StopSignal) -> None:
    """Run what the schedule says until somebody asks to stop; raises StoreError when the store cannot be used."""
    environment = with_stop_signal(environment, stop_signal)
    log = structlog.get_logger()
    missed_counts = count_missed_by_job(config, environment)
    queue = JobQueue()
    with running_timer(config, environment, queue) as timer, scheduler_presence(config, environment):
        log.info(
            "scheduler_started", next_runs={job.id: format_utc(job.next_run_time) for job in timer.get_jobs()}
        )
        record_skips(config, environment, missed_counts)
        clock, is_sweep_postponed = ClockWatch(environment), False
        while stop_signal.requested_by is None:
            job = queue.get()
            if job is not None:
                is_sweep_postponed = run_job(config, environment, queue, job, is_sweep_postponed=is_sweep_postponed)
                record_skips(config, environment, queue.pop_skipped())
                note_scheduler(config, environment, scheduler_mark(environment))
                continue
            queue.wait(stop_signal, CLOCK_CHECK_SECONDS)
            if clock.has_jumped():
                log.warning("clock_was_set")
                reschedule_jobs(config, environment, timer)
    queue.close()
    log.info("scheduler_stopped", by=stop_signal.requested_by)


@contextmanager
def scheduler_presence(config: Config, environment: Environment) -> Iterator[None]:
    """Let ``status`` know for the time of the block that a scheduler runs here."""
    note_scheduler(config, environment, scheduler_mark(environment))
    try:
        yield
    finally:
        note_scheduler(config, environment, None)


def scheduler_mark(environment: Environment) -> dict[str, Any]:
    """This process as ``status`` is to know it."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": process_start_time(os.getpid()),
        "seen_at": environment.now(),
    }


def note_scheduler(config: Config, environment: Environment, mark: dict[str, Any] | None) -> None:
    """Remember the scheduler, or that it ended; a store that is busy or full is told of elsewhere."""
    try:
        with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
            store.set_setting(SCHEDULER, None if mark is None else json.dumps(mark))
    except AdvosyncError as error:
        structlog.get_logger().warning("scheduler_not_noted", reason=str(error))


@contextmanager
def running_timer(config: Config, environment: Environment, queue: JobQueue) -> Iterator[BackgroundScheduler]:
    """APScheduler, asking for turns in its own thread for the time of the block."""
    scheduler = BackgroundScheduler(
        timezone=config.schedule.zone,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = environment.utcnow()
    for job, first_time in first_run_times(config, environment).items():
        job_trigger = make_trigger(config.schedule, job, since=first_time, jitter=config.schedule.jitter_seconds)
        scheduler.add_job(queue.put, job_trigger, args=[job], id=job, next_run_time=max(first_time, now))
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.shutdown(wait=False)


def first_run_times(config: Config, environment: Environment) -> dict[Job, datetime]:
    """When each job's first turn is: what was missed while nothing ran, and a sweep that was interrupted, at once."""
    last, interrupted = last_run_times(config, environment)
    now = environment.utcnow()
    first = {job: next_time(config.schedule, job, last=last[job], now=now) for job in Job}
    return first | ({Job.SWEEP: now} if interrupted else {})


def last_run_times(config: Config, environment: Environment) -> tuple[dict[Job, datetime | None], bool]:
    """When each job was last done, and whether a sweep stands in the middle; this also proves the store usable."""
    with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
        current = load_status(store)
    texts = {
        Job.SYNC: (current["last_run"] or {}).get("started_at"),
        Job.SWEEP: current["sweep"]["last_at"],
        Job.MAINTENANCE: current["maintenance"]["last_at"],
    }
    return {job: parse_utc(texts[job]) if texts[job] else None for job in Job}, current["sweep"][
        "after"
    ] is not None


def count_missed_by_job(config: Config, environment: Environment) -> dict[Job, int]:
    """How many times passed while nothing ran, less the one of each job that is made good now."""
    last, _ = last_run_times(config, environment)
    now = environment.utcnow()
    return {
        job: count_missed_runs(config.schedule, job, last_time, now)
        for job, last_time in last.items()
        if last_time is not None
    }


def reschedule_jobs(config: Config, environment: Environment, timer: BackgroundScheduler) -> None:
    """Work all times out anew, after the clock was set: an hour back would otherwise be an hour without a run."""
    for job in Job:
        first_time = next_time(config.schedule, job, last=None, now=environment.utcnow())
        timer.modify_job(job, next_run_time=first_time)
    timer.wakeup()


# A turn ------------------------------------------------------------------------------------------------------------


def run_job(config: Config, environment: Environment, queue: JobQueue, job: Job, *, is_sweep_postponed: bool) -> bool:
    """Carry a job out; whatever it ends with, the next one has its turn. Whether a sweep waits for better times."""
    if job is Job.MAINTENANCE:
        run_scheduled_maintenance(config, environment)
        return is_sweep_postponed
    report = run_scheduled_sync(config, environment, job)
    is_completed = report is not None and report.outcome.is_completed
    if job is Job.SWEEP and report is not None and report.has_next_chunk:
        queue.put(Job.SWEEP)
        return False
    if job is Job.SYNC and is_completed and is_sweep_postponed:
        queue.put(Job.SWEEP)
        return False
    return is_sweep_postponed or (job is Job.SWEEP and not is_completed)


def run_scheduled_sync(config: Config, environment: Environment, job: Job) -> RunReport | None:
    """One run, or one chunk of a sweep; None when it could not begin."""
    options = RunOptions(trigger=job, sweep=job is Job.SWEEP)
    log = structlog.get_logger()
    try:
        report = after_run.run_with_notifications(
            config,
            options,
            lambda: pipeline.run_once(config, options, environment=environment),
            environment=environment,
        )
    except LockHeld as lock_held:
        log.warning("run_skipped", job=job, reason=str(lock_held))
        record_skips(config, environment, {job: 1})
        return None
    except Stopped:
        return None
    except AdvosyncError as error:
        log.error("run_failed", job=job, reason=str(error))  # noqa: TRY400 - a sentence, no trace
        return None
    except Exception:
        log.exception("run_crashed", job=job)
        return None
    log.info("run_ended", job=job, outcome=report.outcome, run_id=report.run_id, persons_seen=report.persons.seen)
    return report


def run_scheduled_maintenance(config: Config, environment: Environment) -> None:
    """The maintenance; what goes wrong is logged and told to the dead man's switch."""
    log = structlog.get_logger()
    try:
        maintenance.maintain(config, RunOptions(trigger=Job.MAINTENANCE), environment=environment)
    except AdvosyncError as error:
        log.error("run_failed", job=Job.MAINTENANCE, reason=str(error))  # noqa: TRY400 - a sentence, no trace
        after_run.ping_healthcheck(config, environment, PingEvent.FAILURE, str(error), alarm=True)
    except Exception:
        log.exception("run_crashed", job=Job.MAINTENANCE)


def record_skips(config: Config, environment: Environment, skips: dict[Job, int]) -> None:
    """Remember skipped and missed runs for ``status``; a store that is busy or full is told of elsewhere."""
    counts = {job: count for job, count in skips.items() if count}
    if not counts:
        return
    try:
        with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
            for job, count in counts.items():
                add_skipped_runs(store, job, count, environment.now())
    except AdvosyncError as error:
        structlog.get_logger().warning("skipped_runs_not_noted", reason=str(error))
