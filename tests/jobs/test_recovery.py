"""What a run leaves when it ends anywhere, and what the next one makes of it (rules.md §5, Intent before effect)."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.errors import StoreError
from jobs.config import load
from jobs.pipeline import Options, run
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.advoware_login import API_KEY, TokenService, signature
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import Answer, Call, ConnectionLost
from jobs.world import World
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Simulator


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def in_agreement(desk: Desk) -> bool:
    """Both sides hold the same numbers, none twice."""
    return all(
        sorted(digits(one) for one in desk.phones(person)) == sorted(digits(one) for one in desk.values(person))
        for person in desk.people
    )


def digits(number: str) -> str:
    """A number without prefix and punctuation."""
    return "".join(filter(str.isdigit, number)).removeprefix("49").removeprefix("0")


# A process killed at any point ----------------------------------------------------------------------------------------


class Killing:
    """Both systems over HTTP, and a sync in a process of its own that dies at the n-th request it writes."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.desk = Desk(folder)
        self.desk.espo, self.desk.advo = servers.espo, servers.advo
        self.file = folder / "config.yaml"
        content = {**servers.config(), "state": {"path": str(folder / "state.db")}}
        content["espocrm"] = {**content["espocrm"], "settle_seconds": 0}
        self.file.write_text(yaml.safe_dump(content), "utf-8")
        self.victim: subprocess.Popen[str] | None = None
        self.written = 0

    def sync(self) -> RunReport:
        """A run in this process, as the next one on the same host."""
        return run(load(self.file), Options(), world=World(durable=False))

    def killed(self, at: int, when: str) -> None:
        """A sync that dies at its ``at``-th write, before or after the effect."""
        self.written = 0

        def before(call: Call) -> Answer | None:
            self.written += call.is_write
            if call.is_write and self.written == at and when == "before":
                self.kill()
            return None

        def after(call: Call, _answer: Answer) -> Answer | None:
            if call.is_write and self.written == at and when == "after":
                self.kill()
            return None

        sims: tuple[Simulator, ...] = (self.desk.espo, self.desk.advo)
        for sim in sims:
            sim.before, sim.after = before, after
        self.victim = subprocess.Popen(
            [sys.executable, "-m", "jobs", "--config", str(self.file), "sync", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.victim.communicate(timeout=120)
        for sim in sims:
            sim.before = sim.after = None
        assert self.victim.returncode == -signal.SIGKILL, (at, when, self.written)

    def kill(self) -> None:
        """The process is gone before its answer comes."""
        assert self.victim is not None
        os.kill(self.victim.pid, signal.SIGKILL)
        self.victim.wait(60)
        raise ConnectionLost


@pytest.fixture
def killing(tmp_path: Path) -> Iterator[Killing]:
    with Servers(EspoSim(), AdvoSim()) as servers:
        yield Killing(servers, tmp_path)


POINTS = [(1, "before"), (2, "after"), (3, "after"), (4, "before"), (5, "after"), (6, "before")]


@pytest.mark.slow
def test_after_a_sigkill_at_any_write_the_next_run_settles_and_finishes(killing: Killing) -> None:
    desk = killing.desk
    pairs = [(desk.hire(3), desk.hire(3)) for _ in POINTS]
    assert killing.sync().outcome == "done"
    for number, ((at, when), (person, other)) in enumerate(zip(POINTS, pairs, strict=True)):
        phones = desk.phones(person)
        desk.espo.edit(person.entity_id, phones=[(f"+4951170000{number:02d}", "Office"), *phones[1:]])  # Var5
        desk.add_phone(other, f"+4951160000{number:02d}")  # Var1
        typed = f"0511 50000{number:02d}"
        desk.advo.add_row(other.betnr, typed, "Empfang")  # EspoCRM wins, unless the kill divides the two edits
        killing.killed(at, when)
        assert desk.ask("select count(*) from lease") == [(1,)]
        assert killing.sync().outcome == "done"
        assert in_agreement(desk), (at, when)
        writes = len(desk.espo.writes) + len(desk.advo.writes)
        assert killing.sync().outcome == "done"
        assert len(desk.espo.writes) + len(desk.advo.writes) == writes, (at, when)
        assert desk.ask("select count(*) from lease") == [(0,)]
        lost = desk.ask("select count(*) from conflicts where advo_value = ?", typed)[0][0]
        assert lost + (typed in desk.values(other)) == 1, (at, when)
    assert desk.ask("select outcome, count(*) from runs where outcome = 'abandoned'") == [("abandoned", len(POINTS))]


# An error at any step -------------------------------------------------------------------------------------------------


class Tripped(Exception):
    """What nobody expects."""


@pytest.mark.slow
def test_whatever_is_raised_at_any_request_the_lock_is_given_back_and_the_next_run_finishes(desk: Desk) -> None:
    person, other = desk.crowd(2)
    for at in range(1, 200):
        desk.add_phone(person, f"+495117{at:06d}")
        if len(desk.phones(person)) > 8:
            desk.espo.edit(person.entity_id, phones=[*desk.phones(person)[:2], (f"+495117{at:06d}", "Office")])
        desk.advo.add_row(other.betnr, f"0511 6{at:06d}")
        seen = trip(desk, at)
        assert desk.ask("select count(*) from lease") == [(0,)], at
        assert desk.run().outcome == "done", at
        assert in_agreement(desk), at
        if not seen:
            break
        desk.espo.edit(other.entity_id, phones=desk.phones(other)[:2])
        desk.run()
    assert at > 12


def trip(desk: Desk, at: int) -> bool:
    """A run in which the n-th request raises, after its effect where the number is odd; whether it came to that."""
    count = 0

    def raising(*_: object) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Tripped

    for sim in (desk.espo, desk.advo):
        sim.before, sim.after = (None, raising) if at % 2 else (raising, None)
    try:
        desk.run()
    except Tripped:
        return True
    finally:
        for sim in (desk.espo, desk.advo):
            sim.before = sim.after = None
    return False


@pytest.mark.slow
def test_whatever_is_raised_between_two_steps_the_lock_is_given_back_and_the_next_run_finishes(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    at, world = 0, desk.world
    calls = moments(desk)
    for at in range(2, calls, max(1, calls // 25)):
        desk.espo.edit(person.entity_id, phones=[desk.phones(person)[0], (f"+495118{at:06d}", "Office")])
        desk.advo.add_row(person.betnr, f"0511 9{at:06d}")
        desk.world = World(**{**vars(world), "utcnow": tripping(desk, at)})
        with pytest.raises(Tripped):
            desk.run()
        desk.world = world
        assert desk.ask("select count(*) from lease") == [(0,)], at
        assert desk.run().outcome == "done", at
        assert in_agreement(desk), at


def tripping(desk: Desk, at: int) -> Callable[[], datetime]:
    """A clock that shows so many moments, and then raises."""
    left = iter(range(at))

    def clock() -> datetime:
        if next(left, None) is None:
            raise Tripped
        return desk.clock()

    return clock


def moments(desk: Desk) -> int:
    """How often a run with something to write asks what time it is."""
    world, asked = desk.world, 0

    def clock() -> datetime:
        nonlocal asked
        asked += 1
        return desk.clock()

    desk.world = World(**{**vars(world), "utcnow": clock})
    desk.run()
    desk.world = world
    return asked


# The state store ------------------------------------------------------------------------------------------------------


def test_a_store_of_a_newer_program_is_refused_and_nothing_is_asked(desk: Desk) -> None:
    desk.crowd(1)
    with closing(sqlite3.connect(desk.path)) as store:
        store.execute("pragma user_version = 99")
    with pytest.raises(StoreError, match="newer than this program"):
        desk.run()
    assert (desk.espo.journal, desk.advo.journal) == ([], [])


def test_a_damaged_store_is_refused_and_nothing_is_asked(desk: Desk) -> None:
    desk.crowd(1)
    with closing(sqlite3.connect(desk.path)) as store:
        store.execute("pragma wal_checkpoint(truncate)")
    content = bytearray(desk.path.read_bytes())
    content[100:4000] = b"\x00" * 3900
    desk.path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged; restore the latest backup"):
        desk.run()
    assert desk.espo.writes == desk.advo.writes == []


def test_no_sqlite_file_is_refused(desk: Desk) -> None:
    desk.path.write_text("this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match="is not an SQLite file"):
        desk.run()


def test_a_store_locked_by_another_program_is_refused_and_the_next_run_goes_on(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    before = desk.world.utcnow
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as browser:
        browser.execute("begin immediate")
        with pytest.raises(StoreError, match="is locked by another program"):
            desk.run()
    assert desk.espo.writes == desk.advo.writes == []
    assert before is desk.world.utcnow
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3


@contextmanager
def nobody_special() -> Iterator[None]:
    """Modes mean nothing to root, so root is somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_store_that_may_only_be_read_is_refused_and_nothing_is_asked() -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        (person,) = desk.crowd(1)
        desk.add_phone(person, "+4951188888888")
        desk.path.chmod(0o444)
        desk.folder.chmod(0o555)
        with nobody_special(), pytest.raises(StoreError, match="cannot be opened for writing"):
            desk.run()
        assert (desk.espo.journal, desk.advo.journal) == ([], [])
        desk.folder.chmod(0o755)
        desk.path.chmod(0o600)
        assert desk.run().writes.advoware == 1


def limited(size: int) -> Any:
    """A process that may write no file beyond this size: what a full disk or a quota looks like."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_disk_that_takes_no_more_loses_and_repeats_nothing(killing: Killing) -> None:
    desk = killing.desk
    people = [desk.hire(3) for _ in range(12)]
    assert killing.sync().outcome == "done"
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    seen = set()
    for size in (4096, 60_000, 120_000, 180_000, 240_000):
        with closing(sqlite3.connect(desk.path)) as store:
            store.execute("pragma wal_checkpoint(truncate)")
        answer = subprocess.run(
            [sys.executable, "-m", "jobs", "--config", str(killing.file), "sync", "--json"],
            capture_output=True, text=True, check=False, timeout=120, preexec_fn=limited(size),
        )  # fmt: skip
        document = json.loads(answer.stdout)
        seen.add(document["outcome"])
        assert (document["outcome"] == "done") or "The state store" in document["error"], answer.stderr
    assert "refused" in seen
    assert killing.sync().outcome == "done"
    assert in_agreement(desk)
    assert all(len(desk.phones(one)) == 4 for one in people)
    writes = len(desk.espo.writes) + len(desk.advo.writes)
    assert killing.sync().outcome == "done"
    assert len(desk.espo.writes) + len(desk.advo.writes) == writes


# Clocks ---------------------------------------------------------------------------------------------------------------


def test_an_edit_after_espocrms_clock_was_set_back_an_hour_is_seen_at_once(desk: Desk) -> None:
    person, other = desk.crowd(2)
    desk.clock.advance(7200)
    desk.espo.edit(other.entity_id, firstName="Moritz")
    desk.run()
    desk.clock.advance(-3600)
    desk.add_phone(person, "+4951188888888")
    desk.clock.advance(900)
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3
    desk.add_phone(other, "+4951177777777")
    assert desk.run().outcome == "done"
    assert len(desk.values(other)) == 3
    assert desk.quiet(sweep=True).outcome == "done"


class Lenient(TokenService):
    """A token service that does not look at the time of a request."""

    def refusal(self, body: dict[str, Any], now: datetime) -> str | None:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return super().refusal(signed({**body, "RequestTimeStamp": stamp}), now)


def signed(body: dict[str, Any]) -> dict[str, Any]:
    """The request with a signature that fits."""
    return {**body, "HMAC512Signature": signature(API_KEY, body)}


def an_hour_back(desk: Desk) -> None:
    """This machine's clock alone is set back."""
    desk.world = World(**{**vars(desk.world), "utcnow": lambda: desk.clock() - timedelta(hours=1)})


def test_our_own_clock_set_back_an_hour_loses_nothing(desk: Desk) -> None:
    person, other = desk.crowd(2)
    world = desk.world
    an_hour_back(desk)
    desk.advo.login = Lenient()
    desk.add_phone(person, "+4951188888888")
    desk.advo.add_row(other.betnr, "0511 77777777")
    assert desk.run().outcome == "done"
    assert (len(desk.values(person)), len(desk.phones(other))) == (3, 3)
    desk.world = world
    assert desk.quiet(sweep=True).outcome == "done"


def test_an_advoware_that_minds_our_clock_is_named_with_the_clock_and_nobody_fails(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    an_hour_back(desk)
    report = desk.quiet()
    assert report.exit_code() == 4
    assert "this machine's clock" in (report.error or "")
    assert desk.kept(person, "retry_count") == (0,)


def test_a_record_dated_into_the_future_hides_no_later_edit(desk: Desk) -> None:
    person, other = desk.crowd(2)
    desk.espo.edit(other.entity_id, firstName="Moritz")
    desk.espo.store.records[other.entity_id].modified_at = "2031-01-01 00:00:00"
    desk.run()
    desk.add_phone(person, "+4951188888888")
    desk.run()
    assert len(desk.values(person)) == 3


@pytest.mark.parametrize(
    "change", [datetime(2026, 3, 29, 0, 59, tzinfo=UTC), datetime(2026, 10, 25, 0, 59, tzinfo=UTC)]
)
def test_a_change_of_summer_time_moves_no_retry(
    desk: Desk, change: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    desk.clock.set(change - timedelta(minutes=1))
    person = desk.hire()
    assert desk.run().outcome == "done"
    desk.clock.set(change)
    desk.add_phone(person, "+4951188888888")
    forbidden = Answer(403, {"Content-Type": "text/plain"}, b"verboten")
    with desk.broken(desk.advo, lambda call: forbidden if call.method == "POST" and not call.is_login else None):
        assert desk.run().outcome == "failed_persons"
    assert desk.shown(person)["syncNextRetry"] == f"{change + timedelta(minutes=2):%Y-%m-%d %H:%M:%S}"
    assert desk.run().outcome == "done"
    monkeypatch.undo()
    time.tzset()
    assert len(desk.values(person)) == 3


def test_a_person_left_on_syncing_by_our_own_killed_run_is_taken_up_at_once(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.advo.add_row(person.betnr, "0511 88888888")

    def dies(call: Call, _answer: Answer) -> None:
        if "phoneNumberData" in call.body:
            raise Tripped

    with desk.spoiled(desk.espo, dies), pytest.raises(Tripped):
        desk.run()
    assert desk.shown(person)["syncStatus"] == "syncing"
    desk.seconds_between = 10  # settled, and far from five minutes
    assert desk.run().outcome == "done"
    assert desk.shown(person)["syncStatus"] == "clean"
    assert in_agreement(desk)


def test_a_person_set_to_syncing_by_somebody_else_is_left_for_five_minutes(desk: Desk) -> None:
    person = syncing_by_others(desk)
    for _ in range(4):
        report = desk.quiet()
        assert (report.outcome, report.persons.waiting) == ("done", 1)
    desk.clock.advance(120)
    assert desk.run().outcome == "done"
    assert len(desk.values(person)) == 3


def syncing_by_others(desk: Desk) -> Person:
    """Another sync has just begun with this person, and dies."""
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    desk.espo.edit(person.entity_id, syncStatus="syncing")
    return person
