"""When ``run`` does what: the schedule of ``config.yaml`` as APScheduler's triggers, and questions about them.

Cron fields are meant as cron means them: 0 and 7 are Sunday. APScheduler counts from Monday, so days are named.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

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
    chosen, zone = when(schedule, job), ZoneInfo(schedule.timezone)
    if chosen.minutes is not None:
        return IntervalTrigger(minutes=chosen.minutes, start_date=since, timezone=zone, jitter=jitter or None)
    minute, hour, day, month, weekday = (chosen.cron or "").split()
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=named_days(weekday),
        timezone=zone,
        jitter=jitter or None,
    )


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
    zone = ZoneInfo(schedule.timezone)
    if when(schedule, job).minutes is not None:
        minutes = when(schedule, job).minutes or 0
        return (last + timedelta(minutes=minutes) if last is not None else now).astimezone(zone)
    found: datetime = trigger(schedule, job, since=now).get_next_fire_time(None, last or now)
    return found


def missed_between(schedule: Schedule, job: Job, since: datetime, until: datetime) -> int:
    """How many of a job's times passed between two moments, less the one that is made good now; up to a thousand."""
    minutes = when(schedule, job).minutes
    if minutes is not None:
        return max(0, int((until - since) / timedelta(minutes=minutes)) - 1)
    cron, times, moment = trigger(schedule, job, since=since), 0, since
    while times <= 1000 and (moment := after(cron, moment)) <= until:  # noqa: PLR2004 - see above
        times += 1
    return max(0, times - 1)


def longest_gap(schedule: Schedule, job: Job, now: datetime) -> timedelta:
    """The longest time between two runs of a job."""
    minutes = when(schedule, job).minutes
    if minutes is not None:
        return timedelta(minutes=minutes)
    cron = trigger(schedule, job, since=now)
    moments = [after(cron, now)]
    while len(moments) < SOME_TIMES or (moments[-1] - now < A_WEEK and len(moments) < ENOUGH_TIMES):
        moments.append(after(cron, moments[-1]))
    return max(later - earlier for earlier, later in pairwise(moments))


def after(cron: CronTrigger, moment: datetime) -> datetime:
    """The next time strictly after a moment."""
    found: datetime = cron.get_next_fire_time(None, moment.astimezone(UTC) + timedelta(seconds=1))
    return found.astimezone(UTC)
