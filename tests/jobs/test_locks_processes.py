"""One writing run per store, shown with real processes: who comes second changes nothing, the killed hold nobody up."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from etl.errors import LockHeld
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import Answer, Call, ConnectionLost
from tests.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator


class Standstill:
    """Two systems over HTTP; Advoware lets the first write wait until it is let go."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.desk = Desk(folder)
        self.desk.espo, self.desk.advo = servers.espo, servers.advo
        self.file = folder / "config.yaml"
        content = {**servers.config(), "state": {"path": str(folder / "state.db")}}
        content["espocrm"] = {**content["espocrm"], "settle_seconds": 0}
        self.file.write_text(yaml.safe_dump(content), "utf-8")
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.let_through = True
        self.desk.advo.before = self.before

    def before(self, call: Call) -> Answer | None:
        """Hold the first write until told to go on; then let it through, or lose it."""
        if not call.is_write or self.reached.is_set():
            return None
        self.reached.set()
        assert self.go_on.wait(120)
        if not self.let_through:
            raise ConnectionLost
        return None

    def start(self) -> subprocess.Popen[str]:
        """`advosync sync --json` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "--config", str(self.file), "sync", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def remembered(self) -> list[str]:
        """Everything in the store but the lease, whose heartbeat goes on."""
        with closing(sqlite3.connect(self.desk.path)) as store:
            return [line for line in store.iterdump() if not line.startswith('INSERT INTO "lease"')]


@pytest.fixture
def standstill(tmp_path: Path) -> Iterator[Standstill]:
    with Servers(EspoSim(), AdvoSim()) as servers:
        held = Standstill(servers, tmp_path)
        try:
            yield held
        finally:
            held.go_on.set()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out)["outcome"] if out else err


@pytest.mark.slow
def test_of_two_processes_one_works_and_the_other_exits_5_and_changes_nothing(standstill: Standstill) -> None:
    desk = standstill.desk
    person = desk.hire()
    desk.add_phone(person, "+4951188888888")
    first = standstill.start()
    assert standstill.reached.wait(120)
    before, seen = standstill.remembered(), len(desk.espo.journal) + len(desk.advo.journal)
    assert outcome(standstill.start()) == (5, "locked")
    assert standstill.remembered() == before
    assert len(desk.espo.journal) + len(desk.advo.journal) == seen  # it did not even ask
    standstill.go_on.set()
    assert outcome(first) == (0, "done")
    assert len(desk.values(person)) == 3
    assert desk.advo.overlapping_writes == 0
    assert desk.ask("select count(*) from lease") == [(0,)]


@pytest.mark.slow
def test_a_holder_killed_by_sigkill_is_taken_over_at_once_on_the_same_host(standstill: Standstill) -> None:
    desk = standstill.desk
    person = desk.hire()
    desk.add_phone(person, "+4951188888888")
    first = standstill.start()
    assert standstill.reached.wait(120)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    standstill.let_through = False
    standstill.go_on.set()
    assert desk.ask("select pid from lease") == [(first.pid,)]
    assert outcome(standstill.start()) == (0, "done")
    assert len(desk.values(person)) == 3
    assert desk.ask("select outcome from runs order by id") == [("abandoned",), ("done",)]


@pytest.mark.slow
def test_of_two_processes_started_at_once_exactly_one_works_and_nothing_is_doubled(standstill: Standstill) -> None:
    desk = standstill.desk
    desk.advo.before = None
    desk.advo.latency_seconds = 0.05
    people = [desk.hire() for _ in range(10)]
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    ended = sorted(outcome(one) for one in [standstill.start(), standstill.start()])
    assert ended in ([(0, "done"), (5, "locked")], [(0, "done"), (0, "done")])  # the second may come when all is done
    assert [len(desk.values(one)) for one in people] == [3] * 10
    assert desk.advo.overlapping_writes == 0


# A lease of another host: nobody can tell whether its process lives ---------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.crowd(1)
    return desk


def held_elsewhere(desk: Desk) -> None:
    """Another host took the lease just now, and was heard of no more."""
    now, until = (f"{desk.clock() + timedelta(seconds=later):%Y-%m-%d %H:%M:%S}" for later in (0, 120))
    with closing(sqlite3.connect(desk.path)) as store:
        store.execute(
            "insert into lease (id, host, pid, token, acquired_at, heartbeat_at, expires_at)"
            " values (1, 'elsewhere', 4711, 'theirs', ?, ?, ?)",
            (now, now, until),
        )
        store.commit()


def test_a_lease_of_another_host_is_taken_over_only_after_it_expired(desk: Desk) -> None:
    held_elsewhere(desk)
    with pytest.raises(LockHeld, match="Process 4711 on elsewhere holds the lock"):
        desk.run()
    assert desk.written() == []
    desk.seconds_between = 59
    with pytest.raises(LockHeld):
        desk.run()
    desk.seconds_between = 1
    assert desk.run().outcome == "done"
    assert desk.ask("select count(*) from lease") == [(0,)]


def test_a_plan_needs_no_lock(desk: Desk) -> None:
    held_elsewhere(desk)
    assert desk.quiet(write=False, trigger="plan").outcome == "done"


def test_a_run_that_lost_its_lease_writes_nothing_more_and_says_so(desk: Desk) -> None:
    person = desk.people[0]
    desk.add_phone(person, "+4951188888888")
    desk.add_phone(person, "+4951177777777")

    def takes_over(call: Call) -> None:
        if call.method == "POST" and not call.is_login:
            with closing(sqlite3.connect(desk.path)) as store:
                store.execute("update lease set token = 'theirs', host = 'elsewhere', pid = 4711")
                store.commit()

    with desk.broken(desk.advo, takes_over):
        report = desk.run()
    assert report.exit_code() == 5
    assert len(desk.advo.writes) == 1
    assert desk.ask("select host from lease") == [("elsewhere",)]
    assert desk.ask("select outcome from runs order by id desc limit 1") == [("locked",)]
    desk.seconds_between = 180
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 4
