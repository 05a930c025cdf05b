"""When ``run`` does what: the schedule of ``config.yaml`` as APScheduler's triggers, and questions about them.

Cron fields are meant as cron means them: 0 and 7 are Sunday. APScheduler counts from Monday, so days are named. In the
hour that comes twice in autumn APScheduler 3 finds times that are past, and never gets over it (its issue 1021; with
jitter also for a job once a day), so ``Cron`` asks it again until the time lies ahead, and reckons in UTC.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from enum import StrEnum
from itertools import pairwise
from random import uniform
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.config import Schedule, When

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
A_WEEK, SOME_TIMES, ENOUGH_TIMES = timedelta(days=8), 4, 1500
"""How far ahead the longest gap is looked for: over every weekend, but no longer than people like to wait."""


class Job(StrEnum):
    """What is scheduled, in the order in which jobs that are due take their turn."""

    SYNC = "sync"
    MAINTENANCE = "maintenance"
    SWEEP = "sweep"


def when(schedule: Schedule, job: Job) -> When:
    """What the configuration says about a job."""
    chosen: When = getattr(schedule, job)
    return chosen


def trigger(schedule: Schedule, job: Job, *, since: datetime, jitter: int = 0) -> Any:  # noqa: ANN401 - untyped library
    """The job's trigger; an interval is counted from ``since``. With ``jitter`` each time is up to that much later."""
    minutes = when(schedule, job).minutes
    if minutes is not None:
        return IntervalTrigger(minutes=minutes, start_date=since, timezone=UTC, jitter=jitter or None)
    return Cron(cron(schedule, job), jitter)


def cron(schedule: Schedule, job: Job) -> CronTrigger:
    """The cron fields of a job in the schedule's zone."""
    minute, hour, day, month, weekday = (when(schedule, job).cron or "").split()
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=named_days(weekday),
        timezone=ZoneInfo(schedule.timezone),
    )


class Cron(BaseTrigger):  # type: ignore[misc]  # the library is untyped, and wants a class of its own
    """Cron times that always lie ahead; what was missed meanwhile is one run."""

    def __init__(self, times: CronTrigger, jitter: int) -> None:
        self.times = times
        self.jitter = jitter

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first time after both, and a little later."""
        found = after(self.times, max(previous or now, now))
        return found + timedelta(seconds=uniform(0, self.jitter))  # noqa: S311 - spreads load, guards nothing


def named_days(field: str) -> str:
    """Cron's field of weekdays with names instead of numbers: "1-5" is "mon,tue,wed,thu,fri"."""
    return ",".join(day for part in field.split(",") for day in days_of(part))


def days_of(part: str) -> list[str]:
    """One part of the field; what holds no numbers of days is left as it is."""
    span, _, step = part.partition("/")
    first, _, last = span.partition("-")
    if not first.isdigit():
        return [part]
    until = int(last) if last.isdigit() else 6 if step else int(first)
    return [WEEKDAYS[day] for day in range(int(first), until + 1, int(step or 1))]


def next_time(schedule: Schedule, job: Job, *, last: datetime | None, now: datetime) -> datetime:
    """When a job's turn is: after its ``last`` time, so maybe in the past; an interval never begun begins at once."""
    minutes = when(schedule, job).minutes
    if minutes is None:
        return after(cron(schedule, job), last or now)
    return last + timedelta(minutes=minutes) if last is not None else now


def missed_between(schedule: Schedule, job: Job, since: datetime, until: datetime) -> int:
    """How many of a job's times passed between two moments, less the one that is made good now; up to a thousand."""
    minutes = when(schedule, job).minutes
    if minutes is not None:
        return max(0, int((until - since) / timedelta(minutes=minutes)) - 1)
    fields, times, moment = cron(schedule, job), 0, since
    while times <= 1000 and (moment := after(fields, moment)) <= until:  # noqa: PLR2004 - see above
        times += 1
    return max(0, times - 1)


def longest_gap(schedule: Schedule, job: Job, now: datetime) -> timedelta:
    """The longest time between two runs of a job."""
    minutes = when(schedule, job).minutes
    if minutes is not None:
        return timedelta(minutes=minutes)
    fields = cron(schedule, job)
    moments = [after(fields, now)]
    while len(moments) < SOME_TIMES or (moments[-1] - now < A_WEEK and len(moments) < ENOUGH_TIMES):
        moments.append(after(fields, moments[-1]))
    return max(later - earlier for earlier, later in pairwise(moments))


def after(fields: CronTrigger, moment: datetime) -> datetime:
    """The next time strictly after a moment, in UTC."""
    start = moment.astimezone(UTC) + timedelta(seconds=1)
    while True:
        found: datetime = fields.get_next_fire_time(None, start).astimezone(UTC)
        if found > moment:
            return found
        start += timedelta(minutes=1)
