"""Months in minutes: the scheduler's own turns in simulated time, with people, bad weather and restarts.

CI runs a short form. The whole one, 14 days of runs every 15 minutes and 76 days of runs every 6 hours over 200
persons, takes four minutes of a processor:
``ADVOSYNC_SOAK=1 pytest -q -s tests/run/test_soak.py``
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from etl.store.tables.holds import open_holds
from jobs.commands.side_by_side import comparison_value, is_marked_row
from jobs.sandbox.people import random_edits
from jobs.sandbox.simulator import ConnectionLost, TimedOut, Unreachable
from jobs.schedule import Job
from jobs.scheduler import JobQueue, run_job
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse, Simulator

QUARTER, SIX_HOURS = timedelta(minutes=15), timedelta(hours=6)
EDITS_A_DAY = 12


class SoakKill(BaseException):
    """The process ends here; nothing that catches errors catches this."""


@dataclass
class Soak:
    """A firm over months. Everything that happens follows from the seed."""

    harness: CommandHarness
    rng: Random
    turns: JobQueue = field(default_factory=JobQueue)
    event_counts: Counter[str] = field(default_factory=Counter)
    fault_until: datetime | None = None
    postponed: bool = False
    day: str = ""
    duplicates: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.duplicates = dict(iter_duplicate_rows(self.harness))

    def run_for(self, days: float, every: timedelta, *, without_faults: bool = False) -> None:
        """Let so many days go by with a run every so often."""
        until = self.harness.clock() + timedelta(days=days)
        while self.harness.clock() < until:
            self.harness.clock.advance(every.total_seconds())
            self.event_counts["times"] += 1
            if not without_faults:
                self.change_faults()
            if f"{self.harness.clock():%Y-%m-%d}" != self.day:
                self.day = f"{self.harness.clock():%Y-%m-%d}"
                self.start_day(without_faults=without_faults)
            self.turns.put(Job.SYNC)
            self.take_turns()

    def start_day(self, *, without_faults: bool) -> None:
        """People edit on both sides, somebody approves what is held, and at night there is a sweep and maintenance."""
        if not without_faults:
            random_edits(self.harness.espo, self.harness.advo, EDITS_A_DAY, seed=self.rng.randrange(10**9))
            self.harness.clock.advance(60)
        with self.harness.open_store() as store:
            holding_runs = sorted({hold["run_id"] for hold in open_holds(store)})
        for run_id in holding_runs if self.fault_until is None else ():
            self.event_counts["approved"] += 1
            self.harness.run(approve_run=run_id, trigger="approve", operator="the soak")
        self.turns.put(Job.MAINTENANCE)
        self.turns.put(Job.SWEEP)

    def take_turns(self) -> None:
        """Whoever asked has a turn, as under ``run``; a killed process is started again."""
        while (job := self.turns.get()) is not None:
            try:
                self.postponed = run_job(
                    self.harness.config, self.harness.environment, self.turns, job, is_sweep_postponed=self.postponed
                )
            except SoakKill:
                self.event_counts["killed"] += 1
                self.turns.close()
                self.turns, self.postponed = JobQueue(), False
            self.event_counts[job] += 1

    # What comes ------------------------------------------------------------------------------------------------

    def change_faults(self) -> None:
        """Bad weather begins or ends; now and then one call goes wrong."""
        if self.fault_until is not None and self.harness.clock() >= self.fault_until:
            self.clear_faults()
        if self.fault_until is None:
            self.clear_faults()
            faults: list[Callable[[], None]] = [
                self.advoware_outage, self.espocrm_outage, self.service_outage, self.maintenance_outage,
                self.token_expiry, self.call_loss, self.process_death,
            ]  # fmt: skip
            if self.rng.random() < 0.12:
                fault = self.rng.choice(faults)
                self.event_counts[fault.__name__] += 1
                fault()

    def clear_faults(self) -> None:
        for simulator in self.simulators():
            simulator.before = simulator.after = None
        self.harness.espo.store.settings["maintenanceMode"] = False
        self.harness.advo.behaviour.offline = False
        self.fault_until = None

    def simulators(self) -> tuple[Simulator, Simulator]:
        return self.harness.espo, self.harness.advo

    def set_fault_end(self) -> None:
        """For some hours."""
        self.fault_until = self.harness.clock() + timedelta(hours=self.rng.choice((0.5, 2, 9)))

    def make_unreachable(self, system: Simulator) -> None:
        def raise_unreachable(_call: SimRequest) -> SimResponse | None:
            raise Unreachable

        system.before = raise_unreachable
        self.set_fault_end()

    def advoware_outage(self) -> None:
        self.make_unreachable(self.harness.advo)

    def espocrm_outage(self) -> None:
        self.make_unreachable(self.harness.espo)

    def service_outage(self) -> None:
        self.harness.advo.behaviour.offline = True
        self.set_fault_end()

    def maintenance_outage(self) -> None:
        self.harness.espo.store.settings["maintenanceMode"] = True
        self.set_fault_end()

    def fail_at_call(self, fault: Callable[[], None], system: Simulator, *, after: bool = False) -> None:
        """Once, at one of the next calls, writes more likely than not, before it or after its effect."""
        calls_left = [self.rng.randrange(1, 15)]

        def hook(call: SimRequest, *_answer: SimResponse) -> SimResponse | None:
            calls_left[0] -= 5 if call.is_write else 1
            if calls_left[0] <= 0:
                system.before = system.after = None
                fault()
            return None

        if after:
            system.after = hook
        else:
            system.before = hook

    def token_expiry(self) -> None:
        self.fail_at_call(self.harness.advo.login.revoke, self.harness.advo)

    def call_loss(self) -> None:
        def lose() -> None:
            raise self.rng.choice((ConnectionLost, TimedOut))

        self.fail_at_call(lose, self.rng.choice(self.simulators()), after=self.rng.random() < 0.5)

    def process_death(self) -> None:
        def raise_killed() -> None:
            raise SoakKill

        self.fail_at_call(raise_killed, self.rng.choice(self.simulators()), after=self.rng.random() < 0.5)


def run_soak(folder: Path, *, persons: int, dense: float, sparse: float, seed: int) -> Soak:
    """So many days of runs every 15 minutes, then of runs every 6 hours, then two calm days."""
    harness = CommandHarness(
        folder,
        persons=persons,
        seed=seed,
        espocrm={"read_concurrency": 1},  # in one process reads that overlap only cost, and chance would not repeat
        advoware={"poll_budget": max(10, persons // 6), "read_concurrency": 1},
        state={"keep_history_days": 30, "keep_backups": 3},
        sync={"persons_per_run": 150},
    )
    soak = Soak(harness, Random(seed))  # noqa: S311 - weather, no secret
    soak.run_for(0.1, QUARTER, without_faults=True)
    soak.run_for(dense, QUARTER)
    soak.run_for(sparse, SIX_HOURS)
    soak.clear_faults()
    soak.run_for(2.5, SIX_HOURS, without_faults=True)
    return soak


def iter_duplicate_rows(harness: CommandHarness) -> Iterator[tuple[int, str]]:
    """The rows that repeat a value of a row above them, by id; before the first sync nobody but people made them."""
    for betnr in harness.advo.beteiligte.persons:
        meanings: set[str | None] = {None}
        for row in harness.advo.rows(betnr):
            if comparison_value(row["tlf"]) in meanings and row["tlf"]:
                yield row["id"], row["tlf"]
            meanings.add(comparison_value(row["tlf"]))


def duplicates_left_alone(soak: Soak) -> list[str]:
    """Somebody's duplicates of values EspoCRM deleted: left alone as long as they keep their value (rules §3)."""
    harness, lines = soak.harness, []
    for entity_id in harness.espo.store.records:
        person = harness.espo.record(entity_id)
        meanings_held = {
            comparison_value(item.get("phoneNumber") or item.get("emailAddress"))
            for item in harness.espo.items(entity_id)
        }
        lines += [
            f"{person['name']}: – ← {row['tlf']}"
            for row in (harness.advo.rows(person["betnr"]) if person["betnr"] else ())
            if soak.duplicates.get(row["id"]) == row["tlf"]
            and not is_marked_row(row)
            and comparison_value(row["tlf"]) not in meanings_held
        ]
    return lines


def assert_agreement(soak: Soak) -> None:
    """Both sides agree, nobody is lost in a status, no lock is left, and the file holds what it says."""
    harness = soak.harness
    assert sorted(harness.disagreements()) == sorted(duplicates_left_alone(soak))
    assert harness.advo.overlapping_writes == 0
    assert not [call for call in harness.advo.writes if call.method == "DELETE"]
    records = [record.values for record in harness.espo.store.records.values() if record.values["betnr"]]
    assert {record["syncStatus"] for record in records} == {"clean"}
    with harness.open_store() as store:
        persons_not_clean = store.rows(
            "select entity_id, status, due_since, error from persons where status is not 'clean'"
        )
        assert [row for row in persons_not_clean if row["due_since"] or row["status"]] == []
        assert store.scalar("select count(*) from lease") == 0
        assert store.scalar("select count(*) from changes where state = 'started'") == 0
        assert open_holds(store) == []
        oldest = store.scalar("select min(finished_at) from changes where settled = 1 and state = 'done'")
        assert oldest is None or oldest > f"{harness.clock() - timedelta(days=32):%Y-%m-%d %H:%M:%S}"
    print_report(soak)


def print_report(soak: Soak) -> None:
    """What the database holds, table by table with its indexes; whatever is in no table is a free page."""
    harness = soak.harness
    path = harness.config.state.path
    with harness.open_store() as store:
        store.rows("pragma wal_checkpoint(truncate)")
        size, page = path.stat().st_size, store.scalar("pragma page_size")
        free_bytes = store.scalar("pragma freelist_count") * page
        tables = store.rows(
            """
            select coalesce(tbl_name, stat.name) as name, sum(pgsize) as bytes
            from dbstat as stat
            left join sqlite_schema as object on object.name = stat.name
            group by 1
            order by bytes desc
            """
        )
        rows = {table["name"]: store.scalar(f"select count(*) from {table['name']}") for table in tables}
    lines = [f"{table['name']:16}{rows[table['name']]:>8,} rows {table['bytes']:>11,} bytes" for table in tables]
    events = ", ".join(f"{times} {event}" for event, times in sorted(soak.event_counts.items()))
    print(f"\n{events}\n{size:,} bytes, {free_bytes:,} of them free", *lines, sep="\n")  # noqa: T201 - what -s is asked for
    assert sum(table["bytes"] for table in tables) + free_bytes == size
    backups = len(list((path.parent / "backups").glob("*")))
    assert backups == harness.config.state.keep_backups
    # A person with four entries needs some 10 kB, a run's history some 5 kB and each step of it some 3 kB.
    history = rows["runs"] * 5_000 + (rows["changes"] + rows["decisions"]) * 3_000
    assert size - free_bytes < rows["persons"] * 10_000 + history + 500_000


@pytest.mark.slow
def test_days_of_runs_with_people_bad_weather_and_restarts_end_in_agreement(tmp_path: Path) -> None:
    soak = run_soak(tmp_path, persons=25, dense=1.5, sparse=8, seed=7)
    assert soak.event_counts["killed"] > 0
    assert_agreement(soak)


@pytest.mark.slow
@pytest.mark.skipif("ADVOSYNC_SOAK" not in os.environ, reason="takes minutes; ADVOSYNC_SOAK=1 asks for it")
def test_three_months_end_in_agreement(tmp_path: Path) -> None:
    assert_agreement(run_soak(tmp_path, persons=200, dense=14, sparse=76, seed=11))
