"""When jobs have their turn: intervals, cron as cron means it, and clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.config import JobTimes, ScheduleSection
from jobs.schedule import (
    Job,
    count_missed_runs,
    longest_gap,
    make_cron_trigger,
    make_trigger,
    next_after,
    next_time,
    weekday_names,
)

NOW = datetime(2026, 8, 30, 10, 7, tzinfo=UTC)  # a Sunday


def schedule_of(**jobs: Any) -> ScheduleSection:
    times = {
        name: JobTimes(cron=time) if isinstance(time, str) else JobTimes(minutes=time) for name, time in jobs.items()
    }
    return ScheduleSection(**times)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("*", "*"),
        ("*/2", "*/2"),
        ("mon-fri", "mon-fri"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "fri,sat,sun"),
        ("1-5/2,sun", "mon,wed,fri,sun"),
    ],
)
def test_numbers_of_weekdays_mean_what_cron_means(field: str, days: str) -> None:
    assert weekday_names(field) == days


def test_sunday_is_day_0() -> None:
    sundays = schedule_of(sweep="30 2 * * 0")
    assert next_time(sundays, Job.SWEEP, last=None, now=NOW).isoformat() == "2026-09-06T00:30:00+00:00"


def test_an_interval_begins_at_once_and_then_follows_the_last_run() -> None:
    every_quarter = schedule_of(sync=15)
    assert next_time(every_quarter, Job.SYNC, last=None, now=NOW) == NOW
    assert next_time(every_quarter, Job.SYNC, last=NOW - timedelta(minutes=5), now=NOW) == NOW + timedelta(minutes=10)


def test_what_was_missed_while_nobody_ran_lies_in_the_past_and_is_made_good_at_once() -> None:
    nightly = schedule_of(sync=15, sweep="30 2 * * *")
    assert next_time(nightly, Job.SYNC, last=NOW - timedelta(days=2), now=NOW) < NOW
    assert next_time(nightly, Job.SWEEP, last=NOW - timedelta(days=2), now=NOW) < NOW
    assert next_time(nightly, Job.SWEEP, last=NOW - timedelta(hours=1), now=NOW) > NOW


@pytest.mark.parametrize(
    ("time", "passed", "missed"),
    [
        (15, timedelta(minutes=15), 0),
        (15, timedelta(minutes=16), 0),
        (15, timedelta(hours=1), 3),
        ("30 2 * * *", timedelta(days=1), 0),
        ("30 2 * * *", timedelta(days=3), 2),
        ("30 2 * * *", timedelta(minutes=1), 0),
    ],
)
def test_missed_times_are_counted_without_the_one_made_good(time: Any, passed: timedelta, missed: int) -> None:
    assert count_missed_runs(schedule_of(sync=time), Job.SYNC, NOW, NOW + passed) == missed


@pytest.mark.parametrize(
    ("time", "gap"),
    [
        (15, timedelta(minutes=15)),
        ("30 2 * * *", timedelta(days=1)),
        ("0 2 * * 1-5", timedelta(days=3)),
        ("*/20 7-19 * * 1-5", timedelta(days=2, hours=11, minutes=20)),
        ("0 3 1 * *", timedelta(days=31, hours=1)),  # October, in which the clocks change
    ],
)
def test_the_longest_gap_spans_nights_and_weekends(time: Any, gap: timedelta) -> None:
    assert longest_gap(schedule_of(sync=time), Job.SYNC, NOW) == gap


@pytest.mark.parametrize(
    ("evening", "runs"),
    [
        (datetime(2026, 3, 28, 20, tzinfo=UTC), ["2026-03-29T01:30", "2026-03-30T00:30"]),  # 02:30 is not there
        (datetime(2026, 10, 24, 20, tzinfo=UTC), ["2026-10-25T00:30", "2026-10-25T01:30"]),  # 02:30 is there twice
    ],
)
def test_a_nightly_job_is_not_lost_when_the_clocks_change(evening: datetime, runs: list[str]) -> None:
    nightly = make_cron_trigger(schedule_of(sweep="30 2 * * *"), Job.SWEEP)
    first = next_after(nightly, evening)
    assert [f"{time_of_run:%Y-%m-%dT%H:%M}" for time_of_run in (first, next_after(nightly, first))] == runs


@pytest.mark.parametrize("time", ["30 2 * * *", "*/20 * * * *", "0 */2 * * *"])
@pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_times_always_lie_ahead_also_with_jitter_and_in_the_hour_that_comes_twice(time: str, day: datetime) -> None:
    times = make_trigger(schedule_of(sync=time), Job.SYNC, since=day, jitter=20)
    now = day
    while now < day + timedelta(days=3):
        next_time_found = times.get_next_fire_time(now - timedelta(hours=7), now)
        assert now < next_time_found <= now + timedelta(hours=26)
        now = next_time_found


def test_jitter_makes_a_run_later_and_never_earlier() -> None:
    late = make_trigger(schedule_of(sync=15), Job.SYNC, since=NOW, jitter=20)
    times = [late.get_next_fire_time(NOW, NOW) - NOW - timedelta(minutes=15) for _ in range(50)]
    assert timedelta() <= min(times) <= max(times) <= timedelta(seconds=20)
