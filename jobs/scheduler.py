"""``run``: sync, sweep and maintenance at their times, one at a time, for years.

APScheduler says when a job's turn has come; a job there only *asks* for a turn, which takes no time, so that nothing
is ever late for it, misfired or dropped. Turns are taken one after the other by the thread that called ``serve``,
which opens the store anew for each: what is asked for while something runs follows at once and never beside it, what
is asked for twice is done once, and a due sync goes before the next chunk of a sweep.
"""

from __future__ import annotations

import os
import select
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from etl.clients.ping import Event
from etl.errors import AdvosyncError, LockHeld, Stopped
from etl.store.database import Store
from etl.store.standing import count_skipped, standing
from jobs import maintenance, pipeline, telling
from jobs.exit_codes import Outcome
from jobs.moments import text_of, time_of
from jobs.options import Options
from jobs.stopping import heeding
from jobs.timetable import Job, missed_between, next_time, trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.config import Config
    from jobs.report import RunReport
    from jobs.stopping import Stopping
    from jobs.world import World

LOOK_AT_THE_CLOCK = 60.0
"""Seconds after which a waiting scheduler looks whether somebody set the clock."""

CLOCK_WAS_SET = timedelta(seconds=90)
ADVANCED = frozenset({Outcome.DONE, Outcome.FAILED_PERSONS, Outcome.HELD})


class Turns:
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

    def ask(self, job: Job) -> None:
        """Ask for a turn; who waits already will have one, and this one is counted as skipped."""
        with self._lock:
            if job in self._waiting:
                self.skipped[job] += 1
                structlog.get_logger().warning("run_skipped", job=job, reason="the one before has not begun yet")
            self._waiting.add(job)
        os.write(self._wake, b"!")

    def take(self) -> Job | None:
        """Whose turn it is, None when nobody waits: sync first, but after one whoever else waits."""
        with self._lock:
            others = [job for job in Job if job in self._waiting and job is not self._last]
            chosen = next(iter(others), self._last if self._last in self._waiting else None)
            self._last = chosen
            self._waiting -= {chosen} if chosen else set()
        return chosen

    def take_skipped(self) -> dict[Job, int]:
        """How often each job was skipped since the last time this was asked."""
        with self._lock:
            counted, self.skipped = dict(self.skipped), Counter()
        return counted

    def wait(self, stopping: Stopping, seconds: float) -> None:
        """Wait until somebody asks for a turn or wants to stop, or for so long."""
        ready, _, _ = select.select([self._awake, stopping.fileno()], [], [], seconds)
        if self._awake in ready:
            os.read(self._awake, 1024)


class Clock:
    """Notices that somebody set the clock, by comparing it with one that only runs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._zero = self._difference()

    def was_set(self) -> bool:
        """Whether the clock was set since the last time this was asked."""
        now, before = self._difference(), self._zero
        if abs(now - before) < CLOCK_WAS_SET:
            return False
        self._zero = now
        return True

    def _difference(self) -> timedelta:
        return self._world.utcnow() - datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=self._world.monotonic())


def serve(config: Config, world: World, stopping: Stopping) -> None:
    """Run what the schedule says until somebody asks to stop; raises StoreError when the store cannot be used."""
    world = heeding(world, stopping)
    log = structlog.get_logger()
    missed = times_missed(config, world)
    turns = Turns()
    with timer(config, world, turns) as timed:
        log.info("scheduler_started", next_runs={job.id: text_of(job.next_run_time) for job in timed.get_jobs()})
        note_skipped(config, world, missed)
        clock, postponed = Clock(world), False
        while stopping.by is None:
            job = turns.take()
            if job is not None:
                postponed = take_turn(config, world, turns, job, postponed=postponed)
                note_skipped(config, world, turns.take_skipped())
                continue
            turns.wait(stopping, LOOK_AT_THE_CLOCK)
            if clock.was_set():
                log.warning("clock_was_set")
                reschedule(config, world, timed)
    turns.close()
    log.info("scheduler_stopped", by=stopping.by)


@contextmanager
def timer(config: Config, world: World, turns: Turns) -> Iterator[BackgroundScheduler]:
    """APScheduler, asking for turns in its own thread for the time of the block."""
    zone = ZoneInfo(config.schedule.timezone)
    timed = BackgroundScheduler(
        timezone=zone,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = world.utcnow()
    for job, at in first_times(config, world).items():
        times = trigger(config.schedule, job, since=at, jitter=config.schedule.jitter_seconds)
        timed.add_job(turns.ask, times, args=[job], id=job, next_run_time=max(at, now))
    timed.start()
    try:
        yield timed
    finally:
        timed.shutdown(wait=False)


def first_times(config: Config, world: World) -> dict[Job, datetime]:
    """When each job's first turn is: what was missed while nothing ran, and a sweep that was interrupted, at once."""
    last, interrupted = last_times(config, world)
    now = world.utcnow()
    first = {job: next_time(config.schedule, job, last=last[job], now=now) for job in Job}
    return first | ({Job.SWEEP: now} if interrupted else {})


def last_times(config: Config, world: World) -> tuple[dict[Job, datetime | None], bool]:
    """When each job was last done, and whether a sweep stands in the middle; this also proves the store usable."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        found = standing(store)
    at = {
        Job.SYNC: (found["last_run"] or {}).get("started_at"),
        Job.SWEEP: found["sweep"]["last_at"],
        Job.MAINTENANCE: found["maintenance"]["last_at"],
    }
    return {job: time_of(at[job]) if at[job] else None for job in Job}, found["sweep"]["after"] is not None


def times_missed(config: Config, world: World) -> dict[Job, int]:
    """How many times passed while nothing ran, less the one of each job that is made good now."""
    last, _ = last_times(config, world)
    now = world.utcnow()
    return {job: missed_between(config.schedule, job, at, now) for job, at in last.items() if at is not None}


def reschedule(config: Config, world: World, timed: BackgroundScheduler) -> None:
    """Work all times out anew, after the clock was set: an hour back would otherwise be an hour without a run."""
    for job in Job:
        at = next_time(config.schedule, job, last=None, now=world.utcnow())
        timed.modify_job(job, next_run_time=at)
    timed.wakeup()


# A turn ------------------------------------------------------------------------------------------------------------


def take_turn(config: Config, world: World, turns: Turns, job: Job, *, postponed: bool) -> bool:
    """Carry a job out; whatever it ends with, the next one has its turn. Whether a sweep waits for better times."""
    if job is Job.MAINTENANCE:
        kept_house(config, world)
        return postponed
    report = synced(config, world, job)
    advanced = report is not None and report.outcome in ADVANCED
    if job is Job.SWEEP and report is not None and report.goes_on:
        turns.ask(Job.SWEEP)
        return False
    if job is Job.SYNC and advanced and postponed:
        turns.ask(Job.SWEEP)
        return False
    return postponed or (job is Job.SWEEP and not advanced)


def synced(config: Config, world: World, job: Job) -> RunReport | None:
    """One run, or one chunk of a sweep; None when it could not begin."""
    options = Options(trigger=job, sweep=job is Job.SWEEP)
    log = structlog.get_logger()
    try:
        report = telling.attended(config, options, lambda: pipeline.run_once(config, options, world=world), world=world)
    except LockHeld as held:
        log.warning("run_skipped", job=job, reason=str(held))
        note_skipped(config, world, {job: 1})
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


def kept_house(config: Config, world: World) -> None:
    """The maintenance; what goes wrong is logged and told to the dead man's switch."""
    log = structlog.get_logger()
    try:
        maintenance.maintain(config, Options(trigger=Job.MAINTENANCE), world=world)
    except AdvosyncError as error:
        log.error("run_failed", job=Job.MAINTENANCE, reason=str(error))  # noqa: TRY400 - a sentence, no trace
        telling.tell_switch(config, world, Event.FAILURE, str(error), alarm=True)
    except Exception:
        log.exception("run_crashed", job=Job.MAINTENANCE)


def note_skipped(config: Config, world: World, times: dict[Job, int]) -> None:
    """Remember skipped and missed runs for ``status``; a store that is busy or full is told of elsewhere."""
    counted = {job: count for job, count in times.items() if count}
    if not counted:
        return
    try:
        with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
            for job, count in counted.items():
                count_skipped(store, job, count, world.now())
    except AdvosyncError as error:
        structlog.get_logger().warning("skipped_runs_not_noted", reason=str(error))
