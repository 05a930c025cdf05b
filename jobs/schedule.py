"""When ``run`` does what: the schedule of ``config.yaml`` as APScheduler's triggers, and questions about them.

Cron fields are meant as cron means them: 0 and 7 are Sunday. APScheduler counts from Monday, so days are named. In the
hour that comes twice in autumn APScheduler 3 finds times that are past, and never gets over it (its issue 1021; with
jitter also for a job once a day), so ``FutureCronTrigger`` asks it again until the time lies ahead, and reckons in UTC.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from enum import StrEnum
from itertools import pairwise
from random import uniform
from typing import TYPE_CHECKING, Any

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.config import JobTimes, ScheduleSection

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOKAHEAD, MIN_TIMES, MAX_TIMES = timedelta(days=8), 4, 1500
"""How far ahead the longest gap is looked for: over every weekend, but no longer than people like to wait."""


class Job(StrEnum):
    """What is scheduled, in the order in which jobs that are due take their turn."""

    SYNC = "sync"
    MAINTENANCE = "maintenance"
    SWEEP = "sweep"


def job_times(schedule: ScheduleSection, job: Job) -> JobTimes:
    """What the configuration says about a job."""
    times: JobTimes = getattr(schedule, job)
    return times


def make_trigger(schedule: ScheduleSection, job: Job, *, since: datetime, jitter: int = 0) -> Any:  # noqa: ANN401 - untyped library
    """The job's trigger; an interval is counted from ``since``. With ``jitter`` each time is up to that much later."""
    minutes = job_times(schedule, job).minutes
    if minutes is not None:
        return IntervalTrigger(minutes=minutes, start_date=since, timezone=UTC, jitter=jitter or None)
    return FutureCronTrigger(make_cron_trigger(schedule, job), jitter)


def make_cron_trigger(schedule: ScheduleSection, job: Job) -> CronTrigger:
    """The cron fields of a job in the schedule's zone."""
    minute, hour, day, month, weekday = (job_times(schedule, job).cron or "").split()
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=weekday_names(weekday),
        timezone=schedule.zone,
    )


class FutureCronTrigger(BaseTrigger):  # type: ignore[misc]  # the library is untyped, and wants a class of its own
    """Cron times that always lie ahead; what was missed meanwhile is one run."""

    def __init__(self, times: CronTrigger, jitter: int) -> None:
        self.cron_times = times
        self.jitter = jitter

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first time after both, and a little later."""
        fire_time = next_after(self.cron_times, max(previous or now, now))
        return fire_time + timedelta(seconds=uniform(0, self.jitter))  # noqa: S311 - spreads load, guards nothing


def weekday_names(field: str) -> str:
    """Cron's field of weekdays with names instead of numbers: "1-5" is "mon,tue,wed,thu,fri"."""
    return ",".join(day for part in field.split(",") for day in weekday_range(part))


def weekday_range(part: str) -> list[str]:
    """One part of the field; what holds no numbers of days is left as it is."""
    day_range, _, step = part.partition("/")
    first, _, last = day_range.partition("-")
    if not first.isdigit():
        return [part]
    until = int(last) if last.isdigit() else 6 if step else int(first)
    return [WEEKDAYS[day] for day in range(int(first), until + 1, int(step or 1))]


def next_time(schedule: ScheduleSection, job: Job, *, last: datetime | None, now: datetime) -> datetime:
    """When a job's turn is: after its ``last`` time, so maybe in the past; an interval never begun begins at once."""
    minutes = job_times(schedule, job).minutes
    if minutes is None:
        return next_after(make_cron_trigger(schedule, job), last or now)
    return last + timedelta(minutes=minutes) if last is not None else now


def count_missed_runs(schedule: ScheduleSection, job: Job, since: datetime, until: datetime) -> int:
    """How many of a job's times passed between two moments, less the one that is made good now; up to a thousand."""
    minutes = job_times(schedule, job).minutes
    if minutes is not None:
        return max(0, int((until - since) / timedelta(minutes=minutes)) - 1)
    cron_trigger, count, moment = make_cron_trigger(schedule, job), 0, since
    while count <= 1000 and (moment := next_after(cron_trigger, moment)) <= until:  # noqa: PLR2004 - see above
        count += 1
    return max(0, count - 1)


def longest_gap(schedule: ScheduleSection, job: Job, now: datetime) -> timedelta:
    """The longest time between two runs of a job."""
    minutes = job_times(schedule, job).minutes
    if minutes is not None:
        return timedelta(minutes=minutes)
    cron_trigger = make_cron_trigger(schedule, job)
    moments = [next_after(cron_trigger, now)]
    while len(moments) < MIN_TIMES or (moments[-1] - now < LOOKAHEAD and len(moments) < MAX_TIMES):
        moments.append(next_after(cron_trigger, moments[-1]))
    return max(later - earlier for earlier, later in pairwise(moments))


def next_after(cron_trigger: CronTrigger, moment: datetime) -> datetime:
    """The next time strictly after a moment, in UTC."""
    start = moment.astimezone(UTC) + timedelta(seconds=1)
    while True:
        candidate: datetime = cron_trigger.get_next_fire_time(None, start).astimezone(UTC)
        if candidate > moment:
            return candidate
        start += timedelta(minutes=1)
