"""Who has a turn next, with the time as an argument."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.config import Config
from jobs.firms.timetable import ScheduledFirm, due_time, due_turns, next_due
from jobs.schedule import Job

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SETTINGS: dict[str, dict[str, Any]] = {
    "espocrm": {"url": "https://crm.example.de", "api_key": "key"},
    "advoware": {
        "kanzlei": "K", "database": "D", "user": "sync", "app_id": "app", "api_key": "a2V5", "password": "secret",
    },
}  # fmt: skip


def firm(name: str, **schedule: object) -> ScheduledFirm:
    return ScheduledFirm(name, Path(f"{name}.yaml"), Config.model_validate(SETTINGS | {"schedule": schedule}))


def status(*, sync: datetime | None = None, sweep: datetime | None = NOW, after: str | None = None) -> dict[str, Any]:
    def text(time: datetime | None) -> str | None:
        return time.strftime("%Y-%m-%d %H:%M:%S") if time else None

    return {
        "last_run": sync and {"started_at": text(sync)},
        "sweep": {"last_at": text(sweep), "after": after},
        "maintenance": {"last_at": text(NOW)},
    }


def asked(name: str, **known: Any) -> ScheduledFirm:
    result = firm(name)
    result.note_status(status(**known), NOW)
    return result


def order(*firms: ScheduledFirm, now: datetime = NOW) -> list[tuple[str, Job | None]]:
    return [(turn.firm, turn.job) for turn in due_turns(firms, now)]


def test_three_hundred_firms_begin_evenly_over_the_interval_and_always_at_the_same_place() -> None:
    schedule = firm("any").config.schedule
    first = {f"firm{number}": due_time(schedule, Job.SYNC, f"firm{number}", NOW) for number in range(300)}
    assert all(NOW < due <= NOW + QUARTER for due in first.values())
    by_minute = Counter(int((due - NOW).total_seconds()) // 60 for due in first.values())
    assert len(by_minute) == 15
    assert max(by_minute.values()) <= 40  # 20 on average
    for name, due in first.items():
        assert due_time(schedule, Job.SYNC, name, due) == due + QUARTER
        assert due_time(schedule, Job.SYNC, name, due + timedelta(minutes=3)) == due + QUARTER


def test_a_firm_that_was_never_synced_is_due_at_once() -> None:
    assert order(asked("new")) == [("new", Job.SYNC)]


def test_a_firm_is_asked_how_it_stands_before_all_else() -> None:
    assert order(asked("overdue", sync=NOW - timedelta(days=1)), firm("unknown")) == [
        ("unknown", None),
        ("overdue", Job.SYNC),
    ]


def test_the_most_overdue_goes_first_and_a_firm_that_is_at_its_turn_has_no_other() -> None:
    firms = [asked(name, sync=NOW - timedelta(hours=hours)) for name, hours in (("a", 1), ("b", 3), ("c", 2))]
    assert order(*firms) == [("b", Job.SYNC), ("c", Job.SYNC), ("a", Job.SYNC)]
    firms[1].begin(Job.SYNC, NOW)
    assert order(*firms) == [("c", Job.SYNC), ("a", Job.SYNC)]


def test_a_sweep_lets_regular_runs_pass_for_an_hour_and_no_longer() -> None:
    sweeping, syncing = asked("a", sync=NOW, after="id7"), asked("b", sync=NOW - timedelta(minutes=30))
    sweeping.due[Job.SWEEP] = NOW - timedelta(minutes=50)
    assert order(sweeping, syncing) == [("b", Job.SYNC), ("a", Job.SWEEP)]
    sweeping.due[Job.SWEEP] = NOW - timedelta(hours=2)
    assert order(sweeping, syncing) == [("a", Job.SWEEP), ("b", Job.SYNC)]


def test_times_that_passed_without_a_turn_are_counted() -> None:
    late = asked("a", sync=NOW - timedelta(hours=1))
    assert late.begin(Job.SYNC, NOW) == 3


@pytest.mark.parametrize("name", ["adler", "bussard", "dohle"])
def test_cron_times_are_late_by_the_jitter_of_the_file_at_most(name: str) -> None:
    schedule = firm(name, sync={"cron": "0 * * * *"}, jitter_seconds=120).config.schedule
    due = due_time(schedule, Job.SYNC, name, NOW + timedelta(minutes=5))
    assert timedelta(0) <= due - (NOW + timedelta(hours=1)) <= timedelta(minutes=2)
    assert due_time(schedule, Job.SYNC, name, due) == due + timedelta(hours=1)


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    assert asked("a", sync=NOW + timedelta(hours=1)).due[Job.SYNC] <= NOW + QUARTER


def test_the_next_turn_is_known_until_somebody_is_due() -> None:
    waiting = asked("a", sync=NOW)
    due = next_due([waiting], NOW)
    assert due is not None
    assert NOW < due <= NOW + QUARTER
    waiting.begin(Job.SYNC, NOW)
    assert next_due([waiting], NOW) is None
