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
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import ConnectionLost, SimRequest, SimResponse
from tests.harness import FaultHarness

if TYPE_CHECKING:
    from collections.abc import Iterator


class BlockedWriteHarness:
    """Two systems over HTTP; Advoware lets the first write wait until it is let go."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.harness = FaultHarness(folder)
        self.harness.espo, self.harness.advo = servers.espo, servers.advo
        self.file = folder / "config.yaml"
        document = {**servers.config(), "state": {"path": str(folder / "state.db")}}
        document["espocrm"] = {**document["espocrm"], "settle_seconds": 0}
        self.file.write_text(yaml.safe_dump(document), "utf-8")
        self.write_reached, self.may_go_on = threading.Event(), threading.Event()
        self.answers_write = True
        self.harness.advo.before = self.hold_first_write

    def hold_first_write(self, call: SimRequest) -> SimResponse | None:
        """Hold the first write until told to go on; then let it through, or lose it."""
        if not call.is_write or self.write_reached.is_set():
            return None
        self.write_reached.set()
        assert self.may_go_on.wait(120)
        if not self.answers_write:
            raise ConnectionLost
        return None

    def start_sync(self) -> subprocess.Popen[str]:
        """`advosync sync --json` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "--config", str(self.file), "sync", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def store_dump(self) -> list[str]:
        """Everything in the store but the lease, whose heartbeat goes on."""
        with closing(sqlite3.connect(self.harness.path)) as store:
            return [line for line in store.iterdump() if not line.startswith('INSERT INTO "lease"')]


@pytest.fixture
def blocked_write(tmp_path: Path) -> Iterator[BlockedWriteHarness]:
    with Servers(EspoSim(), AdvoSim()) as servers:
        harness = BlockedWriteHarness(servers, tmp_path)
        try:
            yield harness
        finally:
            harness.may_go_on.set()


def exit_and_outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out)["outcome"] if out else err


@pytest.mark.slow
def test_of_two_processes_one_works_and_the_other_exits_5_and_changes_nothing(
    blocked_write: BlockedWriteHarness,
) -> None:
    harness = blocked_write.harness
    person = harness.add_person()
    harness.add_phone(person, "+4951188888888")
    first = blocked_write.start_sync()
    assert blocked_write.write_reached.wait(120)
    before, call_count = blocked_write.store_dump(), len(harness.espo.request_log) + len(harness.advo.request_log)
    assert exit_and_outcome(blocked_write.start_sync()) == (5, "locked")
    assert blocked_write.store_dump() == before
    assert len(harness.espo.request_log) + len(harness.advo.request_log) == call_count  # it did not even ask
    blocked_write.may_go_on.set()
    assert exit_and_outcome(first) == (0, "done")
    assert len(harness.advo_values(person)) == 3
    assert harness.advo.overlapping_writes == 0
    assert harness.query_store("select count(*) from lease") == [(0,)]


@pytest.mark.slow
def test_a_holder_killed_by_sigkill_is_taken_over_at_once_on_the_same_host(blocked_write: BlockedWriteHarness) -> None:
    harness = blocked_write.harness
    person = harness.add_person()
    harness.add_phone(person, "+4951188888888")
    first = blocked_write.start_sync()
    assert blocked_write.write_reached.wait(120)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    blocked_write.answers_write = False
    blocked_write.may_go_on.set()
    assert harness.query_store("select pid from lease") == [(first.pid,)]
    assert exit_and_outcome(blocked_write.start_sync()) == (0, "done")
    assert len(harness.advo_values(person)) == 3
    assert harness.query_store("select outcome from runs order by id") == [("abandoned",), ("done",)]


@pytest.mark.slow
def test_of_two_processes_started_at_once_exactly_one_works_and_nothing_is_doubled(
    blocked_write: BlockedWriteHarness,
) -> None:
    harness = blocked_write.harness
    harness.advo.before = None
    harness.advo.latency_seconds = 0.05
    people = [harness.add_person() for _ in range(10)]
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    endings = sorted(exit_and_outcome(process) for process in [blocked_write.start_sync(), blocked_write.start_sync()])
    assert endings in ([(0, "done"), (5, "locked")], [(0, "done"), (0, "done")])  # the second may come when all is done
    assert [len(harness.advo_values(person)) for person in people] == [3] * 10
    assert harness.advo.overlapping_writes == 0


# A lease of another host: nobody can tell whether its process lives ---------------------------------------------------


@pytest.fixture
def harness(tmp_path: Path) -> FaultHarness:
    harness = FaultHarness(tmp_path)
    harness.add_persons_in_sync(1)
    return harness


def lease_elsewhere(harness: FaultHarness) -> None:
    """Another host took the lease just now, and was heard of no more."""
    now, until = (f"{harness.clock() + timedelta(seconds=later):%Y-%m-%d %H:%M:%S}" for later in (0, 120))
    with closing(sqlite3.connect(harness.path)) as store:
        store.execute(
            "insert into lease (id, host, pid, token, acquired_at, heartbeat_at, expires_at)"
            " values (1, 'elsewhere', 4711, 'theirs', ?, ?, ?)",
            (now, now, until),
        )
        store.commit()


def test_a_lease_of_another_host_is_taken_over_only_after_it_expired(harness: FaultHarness) -> None:
    lease_elsewhere(harness)
    with pytest.raises(LockHeld, match="Process 4711 on elsewhere holds the lock"):
        harness.run()
    assert harness.write_requests() == []
    harness.seconds_between = 59
    with pytest.raises(LockHeld):
        harness.run()
    harness.seconds_between = 1
    assert harness.run().outcome == "done"
    assert harness.query_store("select count(*) from lease") == [(0,)]


def test_a_plan_needs_no_lock(harness: FaultHarness) -> None:
    lease_elsewhere(harness)
    assert harness.run_without_writes(write=False, trigger="plan").outcome == "done"


def test_a_run_that_lost_its_lease_writes_nothing_more_and_says_so(harness: FaultHarness) -> None:
    person = harness.persons[0]
    harness.add_phone(person, "+4951188888888")
    harness.add_phone(person, "+4951177777777")

    def take_lease(call: SimRequest) -> None:
        if call.method == "POST" and not call.is_login:
            with closing(sqlite3.connect(harness.path)) as store:
                store.execute("update lease set token = 'theirs', host = 'elsewhere', pid = 4711")
                store.commit()

    with harness.hook_before(harness.advo, take_lease):
        report = harness.run()
    assert report.exit_code() == 5
    assert len(harness.advo.writes) == 1
    assert harness.query_store("select host from lease") == [("elsewhere",)]
    assert harness.query_store("select outcome from runs order by id desc limit 1") == [("locked",)]
    harness.seconds_between = 180
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 4
