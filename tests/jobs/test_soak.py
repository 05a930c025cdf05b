"""Months in minutes: the scheduler's own turns in simulated time, with people, bad weather and restarts.

CI runs a short form. The whole one, 14 days of runs every 15 minutes and 76 days of runs every 6 hours over 200
persons, takes four minutes of a processor:
``ADVOSYNC_SOAK=1 pytest -q -s tests/jobs/test_soak.py``
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from etl.store.holds import open_holds
from jobs.sandbox.people import random_edits
from jobs.sandbox.simulator import ConnectionLost, TimedOut, Unreachable
from jobs.scheduler import Turns, take_turn
from jobs.side_by_side import is_linked, meaning
from jobs.timetable import Job
from tests.firm import Firm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call, Simulator

QUARTER, SIX_HOURS = timedelta(minutes=15), timedelta(hours=6)
EDITS_A_DAY = 12


class Killed(BaseException):
    """The process ends here; nothing that catches errors catches this."""


@dataclass
class Months:
    """A firm over months. Everything that happens follows from the seed."""

    firm: Firm
    chance: Random
    turns: Turns = field(default_factory=Turns)
    happened: Counter[str] = field(default_factory=Counter)
    bad_until: datetime | None = None
    postponed: bool = False
    day: str = ""
    doubles: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.doubles = dict(typed_twice(self.firm))

    def pass_by(self, days: float, every: timedelta, *, calm: bool = False) -> None:
        """Let so many days go by with a run every so often."""
        until = self.firm.clock() + timedelta(days=days)
        while self.firm.clock() < until:
            self.firm.clock.advance(every.total_seconds())
            self.happened["times"] += 1
            if not calm:
                self.what_comes()
            if f"{self.firm.clock():%Y-%m-%d}" != self.day:
                self.day = f"{self.firm.clock():%Y-%m-%d}"
                self.new_day(calm=calm)
            self.turns.ask(Job.SYNC)
            self.work()

    def new_day(self, *, calm: bool) -> None:
        """People edit on both sides, somebody approves what is held, and at night there is a sweep and maintenance."""
        if not calm:
            random_edits(self.firm.espo, self.firm.advo, EDITS_A_DAY, seed=self.chance.randrange(10**9))
            self.firm.clock.advance(60)
        with self.firm.store() as store:
            held = sorted({one["run_id"] for one in open_holds(store)})
        for run_id in held if self.bad_until is None else ():
            self.happened["approved"] += 1
            self.firm.go(approve_run=run_id, trigger="approve", operator="the soak")
        self.turns.ask(Job.MAINTENANCE)
        self.turns.ask(Job.SWEEP)

    def work(self) -> None:
        """Whoever asked has a turn, as under ``run``; a killed process is started again."""
        while (job := self.turns.take()) is not None:
            try:
                self.postponed = take_turn(
                    self.firm.config, self.firm.world, self.turns, job, postponed=self.postponed
                )
            except Killed:
                self.happened["killed"] += 1
                self.turns.close()
                self.turns, self.postponed = Turns(), False
            self.happened[job] += 1

    # What comes ------------------------------------------------------------------------------------------------

    def what_comes(self) -> None:
        """Bad weather begins or ends; now and then one call goes wrong."""
        if self.bad_until is not None and self.firm.clock() >= self.bad_until:
            self.all_well()
        if self.bad_until is None:
            self.all_well()
            weather: list[Callable[[], None]] = [
                self.advoware_out, self.espocrm_out, self.service_offline, self.maintenance_morning,
                self.token_expires, self.a_call_is_lost, self.process_dies,
            ]  # fmt: skip
            if self.chance.random() < 0.12:
                what = self.chance.choice(weather)
                self.happened[what.__name__] += 1
                what()

    def all_well(self) -> None:
        for one in self.systems():
            one.before = one.after = None
        self.firm.espo.store.settings["maintenanceMode"] = False
        self.firm.advo.switches.offline = False
        self.bad_until = None

    def systems(self) -> tuple[Simulator, Simulator]:
        return self.firm.espo, self.firm.advo

    def lasts(self) -> None:
        """For some hours."""
        self.bad_until = self.firm.clock() + timedelta(hours=self.chance.choice((0.5, 2, 9)))

    def unreachable(self, system: Simulator) -> None:
        def out(_call: Call) -> Answer | None:
            raise Unreachable

        system.before = out
        self.lasts()

    def advoware_out(self) -> None:
        self.unreachable(self.firm.advo)

    def espocrm_out(self) -> None:
        self.unreachable(self.firm.espo)

    def service_offline(self) -> None:
        self.firm.advo.switches.offline = True
        self.lasts()

    def maintenance_morning(self) -> None:
        self.firm.espo.store.settings["maintenanceMode"] = True
        self.lasts()

    def at_call(self, do: Callable[[], None], system: Simulator, *, after: bool = False) -> None:
        """Once, at one of the next calls, writes more likely than not, before it or after its effect."""
        left = [self.chance.randrange(1, 15)]

        def hook(call: Call, *_answer: Answer) -> Answer | None:
            left[0] -= 5 if call.is_write else 1
            if left[0] <= 0:
                system.before = system.after = None
                do()
            return None

        if after:
            system.after = hook
        else:
            system.before = hook

    def token_expires(self) -> None:
        self.at_call(self.firm.advo.login.revoke, self.firm.advo)

    def a_call_is_lost(self) -> None:
        def lose() -> None:
            raise self.chance.choice((ConnectionLost, TimedOut))

        self.at_call(lose, self.chance.choice(self.systems()), after=self.chance.random() < 0.5)

    def process_dies(self) -> None:
        def die() -> None:
            raise Killed

        self.at_call(die, self.chance.choice(self.systems()), after=self.chance.random() < 0.5)


def soaked(folder: Path, *, persons: int, dense: float, sparse: float, seed: int) -> Months:
    """So many days of runs every 15 minutes, then of runs every 6 hours, then two calm days."""
    firm = Firm.of(
        folder,
        persons=persons,
        seed=seed,
        espocrm={"read_concurrency": 1},  # in one process reads that overlap only cost, and chance would not repeat
        advoware={"poll_budget": max(10, persons // 6), "read_concurrency": 1},
        state={"keep_history_days": 30, "keep_backups": 3},
        sync={"persons_per_run": 150},
    )
    months = Months(firm, Random(seed))  # noqa: S311 - weather, no secret
    months.pass_by(0.1, QUARTER, calm=True)
    months.pass_by(dense, QUARTER)
    months.pass_by(sparse, SIX_HOURS)
    months.all_well()
    months.pass_by(2.5, SIX_HOURS, calm=True)
    return months


def typed_twice(firm: Firm) -> Iterator[tuple[int, str]]:
    """The rows that repeat a value of a row above them, by id; before the first sync nobody but people made them."""
    for betnr in firm.advo.beteiligte.persons:
        said: set[str | None] = {None}
        for row in firm.advo.rows(betnr):
            if meaning(row["tlf"]) in said and row["tlf"]:
                yield row["id"], row["tlf"]
            said.add(meaning(row["tlf"]))


def left_standing(months: Months) -> list[str]:
    """Somebody's duplicates of values EspoCRM deleted: left alone as long as they keep their value (rules.md §3)."""
    firm, standing = months.firm, []
    for entity_id in firm.espo.store.records:
        person = firm.espo.record(entity_id)
        held = {meaning(item.get("phoneNumber") or item.get("emailAddress")) for item in firm.espo.items(entity_id)}
        standing += [
            f"{person['name']}: – ← {row['tlf']}"
            for row in (firm.advo.rows(person["betnr"]) if person["betnr"] else ())
            if months.doubles.get(row["id"]) == row["tlf"] and not is_linked(row) and meaning(row["tlf"]) not in held
        ]
    return standing


def all_is_well(months: Months) -> None:
    """Both sides agree, nobody is lost in a status, no lock is left, and the file holds what it says."""
    firm = months.firm
    assert sorted(firm.disagreements()) == sorted(left_standing(months))
    assert firm.advo.overlapping_writes == 0
    assert not [call for call in firm.advo.writes if call.method == "DELETE"]
    records = [one.values for one in firm.espo.store.records.values() if one.values["betnr"]]
    assert {record["syncStatus"] for record in records} == {"clean"}
    with firm.store() as store:
        lost = store.rows("select entity_id, status, due_since, error from persons where status is not 'clean'")
        assert [row for row in lost if row["due_since"] or row["status"]] == []
        assert store.value("select count(*) from lease") == 0
        assert store.value("select count(*) from changes where state = 'started'") == 0
        assert open_holds(store) == []
        oldest = store.value("select min(finished_at) from changes where settled = 1 and state = 'done'")
        assert oldest is None or oldest > f"{firm.clock() - timedelta(days=32):%Y-%m-%d %H:%M:%S}"
    report(months)


def report(months: Months) -> None:
    """What the database holds, table by table with its indexes; whatever is in no table is a free page."""
    firm = months.firm
    path = firm.config.state.path
    with firm.store() as store:
        store.rows("pragma wal_checkpoint(truncate)")
        size, page = path.stat().st_size, store.value("pragma page_size")
        free = store.value("pragma freelist_count") * page
        holds = store.rows(
            """
            select coalesce(tbl_name, stat.name) as name, sum(pgsize) as bytes
            from dbstat as stat
            left join sqlite_schema as object on object.name = stat.name
            group by 1
            order by bytes desc
            """
        )
        rows = {one["name"]: store.value(f"select count(*) from {one['name']}") for one in holds}
    told = [f"{one['name']:16}{rows[one['name']]:>8,} rows {one['bytes']:>11,} bytes" for one in holds]
    happened = ", ".join(f"{times} {what}" for what, times in sorted(months.happened.items()))
    print(f"\n{happened}\n{size:,} bytes, {free:,} of them free", *told, sep="\n")  # noqa: T201 - what -s is asked for
    assert sum(one["bytes"] for one in holds) + free == size
    backups = len(list((path.parent / "backups").glob("*")))
    assert backups == firm.config.state.keep_backups
    # A person with four entries needs some 10 kB, a run's history some 5 kB and each step of it some 3 kB.
    history = rows["runs"] * 5_000 + (rows["changes"] + rows["decisions"]) * 3_000
    assert size - free < rows["persons"] * 10_000 + history + 500_000


@pytest.mark.slow
def test_days_of_runs_with_people_bad_weather_and_restarts_end_in_agreement(tmp_path: Path) -> None:
    months = soaked(tmp_path, persons=25, dense=1.5, sparse=8, seed=7)
    assert months.happened["killed"] > 0
    all_is_well(months)


@pytest.mark.slow
@pytest.mark.skipif("ADVOSYNC_SOAK" not in os.environ, reason="takes minutes; ADVOSYNC_SOAK=1 asks for it")
def test_three_months_end_in_agreement(tmp_path: Path) -> None:
    all_is_well(soaked(tmp_path, persons=200, dense=14, sparse=76, seed=11))
