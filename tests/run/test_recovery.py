"""What a run leaves when it ends anywhere, and what the next one makes of it (rules §5, Intent before effect)."""

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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.errors import StoreError
from jobs.config_file import read_config
from jobs.pipeline import RunOptions, run_to_completion
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.advoware.login import API_KEY, TokenService, request_signature
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import ConnectionLost, SimRequest, SimResponse
from tests.harness import REAL_TIME, FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import Simulator


def sides_agree(harness: FaultHarness) -> bool:
    """Both sides hold the same numbers, none twice."""
    return all(
        sorted(bare_digits(number) for number in harness.espo_phones(person))
        == sorted(bare_digits(number) for number in harness.advo_values(person))
        for person in harness.persons
    )


def bare_digits(number: str) -> str:
    """A number without prefix and punctuation."""
    return "".join(filter(str.isdigit, number)).removeprefix("49").removeprefix("0")


# A process killed at any point ----------------------------------------------------------------------------------------


class KillHarness:
    """Both systems over HTTP, and a sync in a process of its own that dies at the n-th request it writes."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.harness = FaultHarness(folder)
        self.harness.espo, self.harness.advo = servers.espo, servers.advo
        self.file = folder / "config.yaml"
        document = {**servers.config(), "state": {"path": str(folder / "state.db")}}
        document["espocrm"] = {**document["espocrm"], "settle_seconds": 0}
        self.file.write_text(yaml.safe_dump(document), "utf-8")
        self.process: subprocess.Popen[str] | None = None
        self.write_count = 0

    def sync(self) -> RunReport:
        """A run in this process, as the next one on the same host."""
        return run_to_completion(read_config(self.file), RunOptions(), environment=REAL_TIME)

    def kill_sync_at(self, at: int, when: str) -> None:
        """A sync that dies at its ``at``-th write, before or after the effect."""
        self.write_count = 0

        def before(call: SimRequest) -> SimResponse | None:
            self.write_count += call.is_write
            if call.is_write and self.write_count == at and when == "before":
                self.kill_process()
            return None

        def after(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
            if call.is_write and self.write_count == at and when == "after":
                self.kill_process()
            return None

        sims: tuple[Simulator, ...] = (self.harness.espo, self.harness.advo)
        for sim in sims:
            sim.before, sim.after = before, after
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs", "--config", str(self.file), "sync", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.process.communicate(timeout=120)
        for sim in sims:
            sim.before = sim.after = None
        assert self.process.returncode == -signal.SIGKILL, (at, when, self.write_count)

    def kill_process(self) -> None:
        """The process is gone before its answer comes."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        raise ConnectionLost


@pytest.fixture
def kill_harness(tmp_path: Path) -> Iterator[KillHarness]:
    with Servers(EspoSim(), AdvoSim()) as servers:
        yield KillHarness(servers, tmp_path)


POINTS = [(1, "before"), (2, "after"), (3, "after"), (4, "before"), (5, "after"), (6, "before")]


@pytest.mark.slow
def test_after_a_sigkill_at_any_write_the_next_run_settles_and_finishes(kill_harness: KillHarness) -> None:
    harness = kill_harness.harness
    pairs = [(harness.add_person(3), harness.add_person(3)) for _ in POINTS]
    assert kill_harness.sync().outcome == "done"
    for number, ((at, when), (person, other)) in enumerate(zip(POINTS, pairs, strict=True)):
        phones = harness.espo_phones(person)
        harness.espo.edit(person.entity_id, phones=[(f"+4951170000{number:02d}", "Office"), *phones[1:]])  # Var5
        harness.add_phone(other, f"+4951160000{number:02d}")  # Var1
        typed = f"0511 50000{number:02d}"
        harness.advo.add_row(other.betnr, typed, "Empfang")  # EspoCRM wins, unless the kill divides the two edits
        kill_harness.kill_sync_at(at, when)
        assert harness.query_store("select count(*) from lease") == [(1,)]
        assert kill_harness.sync().outcome == "done"
        assert sides_agree(harness), (at, when)
        writes = len(harness.espo.writes) + len(harness.advo.writes)
        assert kill_harness.sync().outcome == "done"
        assert len(harness.espo.writes) + len(harness.advo.writes) == writes, (at, when)
        assert harness.query_store("select count(*) from lease") == [(0,)]
        lost_count = harness.query_store("select count(*) from conflicts where advo_value = ?", typed)[0][0]
        assert lost_count + (typed in harness.advo_values(other)) == 1, (at, when)
    assert harness.query_store("select outcome, count(*) from runs where outcome = 'abandoned'") == [
        ("abandoned", len(POINTS))
    ]


# An error at any step -------------------------------------------------------------------------------------------------


class UnexpectedError(Exception):
    """What nobody expects."""


@pytest.mark.slow
def test_whatever_is_raised_at_any_request_the_lock_is_given_back_and_the_next_run_finishes(
    harness: FaultHarness,
) -> None:
    person, other = harness.add_persons_in_sync(2)
    for at in range(1, 200):
        harness.add_phone(person, f"+495117{at:06d}")
        if len(harness.espo_phones(person)) > 8:
            harness.espo.edit(
                person.entity_id, phones=[*harness.espo_phones(person)[:2], (f"+495117{at:06d}", "Office")]
            )
        harness.advo.add_row(other.betnr, f"0511 6{at:06d}")
        was_raised = run_with_error_at(harness, at)
        assert harness.query_store("select count(*) from lease") == [(0,)], at
        assert harness.run().outcome == "done", at
        assert sides_agree(harness), at
        if not was_raised:
            break
        harness.espo.edit(other.entity_id, phones=harness.espo_phones(other)[:2])
        harness.run()
    assert at > 12


def run_with_error_at(harness: FaultHarness, at: int) -> bool:
    """A run in which the n-th request raises, after its effect where the number is odd; whether it came to that."""
    calls = 0

    def raise_at(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise UnexpectedError

    for sim in (harness.espo, harness.advo):
        sim.before, sim.after = (None, raise_at) if at % 2 else (raise_at, None)
    try:
        harness.run()
    except UnexpectedError:
        return True
    finally:
        for sim in (harness.espo, harness.advo):
            sim.before = sim.after = None
    return False


@pytest.mark.slow
def test_whatever_is_raised_between_two_steps_the_lock_is_given_back_and_the_next_run_finishes(
    harness: FaultHarness,
) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    at, environment = 0, harness.environment
    calls = count_clock_calls(harness)
    for at in range(2, calls, max(1, calls // 25)):
        harness.espo.edit(person.entity_id, phones=[harness.espo_phones(person)[0], (f"+495118{at:06d}", "Office")])
        harness.advo.add_row(person.betnr, f"0511 9{at:06d}")
        harness.environment = replace(environment, utcnow=clock_that_raises(harness, at))
        with pytest.raises(UnexpectedError):
            harness.run()
        harness.environment = environment
        assert harness.query_store("select count(*) from lease") == [(0,)], at
        assert harness.run().outcome == "done", at
        assert sides_agree(harness), at


def clock_that_raises(harness: FaultHarness, at: int) -> Callable[[], datetime]:
    """A clock that shows so many moments, and then raises."""
    moments_left = iter(range(at))

    def clock() -> datetime:
        if next(moments_left, None) is None:
            raise UnexpectedError
        return harness.clock()

    return clock


def count_clock_calls(harness: FaultHarness) -> int:
    """How often a run with something to write asks what time it is."""
    environment, clock_calls = harness.environment, 0

    def clock() -> datetime:
        nonlocal clock_calls
        clock_calls += 1
        return harness.clock()

    harness.environment = replace(environment, utcnow=clock)
    harness.run()
    harness.environment = environment
    return clock_calls


# The state store ------------------------------------------------------------------------------------------------------


def test_a_store_of_a_newer_program_is_refused_and_nothing_is_asked(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(1)
    with closing(sqlite3.connect(harness.path)) as store:
        store.execute("pragma user_version = 99")
    with pytest.raises(StoreError, match="newer than this program"):
        harness.run()
    assert (harness.espo.request_log, harness.advo.request_log) == ([], [])


def test_a_damaged_store_is_refused_and_nothing_is_asked(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(1)
    with closing(sqlite3.connect(harness.path)) as store:
        store.execute("pragma wal_checkpoint(truncate)")
    document = bytearray(harness.path.read_bytes())
    document[100:4000] = b"\x00" * 3900
    harness.path.write_bytes(document)
    with pytest.raises(StoreError, match="is damaged; restore the latest backup"):
        harness.run()
    assert harness.espo.writes == harness.advo.writes == []


def test_no_sqlite_file_is_refused(harness: FaultHarness) -> None:
    harness.path.write_text("this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match="is not an SQLite file"):
        harness.run()


def test_a_store_locked_by_another_program_is_refused_and_the_next_run_goes_on(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    before = harness.environment.utcnow
    with closing(sqlite3.connect(harness.path, isolation_level=None)) as browser:
        browser.execute("begin immediate")
        with pytest.raises(StoreError, match="is locked by another program"):
            harness.run()
    assert harness.espo.writes == harness.advo.writes == []
    assert before is harness.environment.utcnow
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3


@contextmanager
def without_root() -> Iterator[None]:
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
        harness = FaultHarness(Path(folder))
        (person,) = harness.add_persons_in_sync(1)
        harness.add_phone(person, "+4951188888888")
        harness.path.chmod(0o444)
        harness.folder.chmod(0o555)
        with without_root(), pytest.raises(StoreError, match="cannot be opened for writing"):
            harness.run()
        assert (harness.espo.request_log, harness.advo.request_log) == ([], [])
        harness.folder.chmod(0o755)
        harness.path.chmod(0o600)
        assert harness.run().writes.advoware == 1


def file_size_limit(size: int) -> Any:
    """A process that may write no file beyond this size: what a full disk or a quota looks like."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_disk_that_takes_no_more_loses_and_repeats_nothing(kill_harness: KillHarness) -> None:
    harness = kill_harness.harness
    people = [harness.add_person(3) for _ in range(12)]
    assert kill_harness.sync().outcome == "done"
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    outcomes = set()
    for size in (4096, 60_000, 120_000, 180_000, 240_000):
        with closing(sqlite3.connect(harness.path)) as store:
            store.execute("pragma wal_checkpoint(truncate)")
        answer = subprocess.run(
            [sys.executable, "-m", "jobs", "--config", str(kill_harness.file), "sync", "--json"],
            capture_output=True, text=True, check=False, timeout=120, preexec_fn=file_size_limit(size),
        )  # fmt: skip
        document = json.loads(answer.stdout)
        outcomes.add(document["outcome"])
        assert (document["outcome"] == "done") or "The state store" in document["error"], answer.stderr
    assert "refused" in outcomes
    assert kill_harness.sync().outcome == "done"
    assert sides_agree(harness)
    assert all(len(harness.espo_phones(person)) == 4 for person in people)
    writes = len(harness.espo.writes) + len(harness.advo.writes)
    assert kill_harness.sync().outcome == "done"
    assert len(harness.espo.writes) + len(harness.advo.writes) == writes


# Clocks ---------------------------------------------------------------------------------------------------------------


def test_an_edit_after_espocrms_clock_was_set_back_an_hour_is_seen_at_once(harness: FaultHarness) -> None:
    person, other = harness.add_persons_in_sync(2)
    harness.clock.advance(7200)
    harness.espo.edit(other.entity_id, firstName="Moritz")
    harness.run()
    harness.clock.advance(-3600)
    harness.add_phone(person, "+4951188888888")
    harness.clock.advance(900)
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3
    harness.add_phone(other, "+4951177777777")
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(other)) == 3
    assert harness.run_without_writes(sweep=True).outcome == "done"


class LenientTokenService(TokenService):
    """A token service that does not look at the time of a request."""

    def refusal(self, body: dict[str, Any], now: datetime) -> str | None:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return super().refusal(with_signature({**body, "RequestTimeStamp": stamp}), now)


def with_signature(body: dict[str, Any]) -> dict[str, Any]:
    """The request with a signature that fits."""
    return {**body, "HMAC512Signature": request_signature(API_KEY, body)}


def set_clock_back(harness: FaultHarness) -> None:
    """This machine's clock alone is set back."""
    harness.environment = replace(harness.environment, utcnow=lambda: harness.clock() - timedelta(hours=1))


def test_our_own_clock_set_back_an_hour_loses_nothing(harness: FaultHarness) -> None:
    person, other = harness.add_persons_in_sync(2)
    environment = harness.environment
    set_clock_back(harness)
    harness.advo.login = LenientTokenService()
    harness.add_phone(person, "+4951188888888")
    harness.advo.add_row(other.betnr, "0511 77777777")
    assert harness.run().outcome == "done"
    assert (len(harness.advo_values(person)), len(harness.espo_phones(other))) == (3, 3)
    harness.environment = environment
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_an_advoware_that_minds_our_clock_is_named_with_the_clock_and_nobody_fails(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    set_clock_back(harness)
    report = harness.run_without_writes()
    assert report.exit_code() == 4
    assert "this machine's clock" in (report.error or "")
    assert harness.person_columns(person, "retry_count") == (0,)


def test_a_record_dated_into_the_future_hides_no_later_edit(harness: FaultHarness) -> None:
    person, other = harness.add_persons_in_sync(2)
    harness.espo.edit(other.entity_id, firstName="Moritz")
    harness.espo.store.records[other.entity_id].modified_at = "2031-01-01 00:00:00"
    harness.run()
    harness.add_phone(person, "+4951188888888")
    harness.run()
    assert len(harness.advo_values(person)) == 3


@pytest.mark.parametrize(
    "change", [datetime(2026, 3, 29, 0, 59, tzinfo=UTC), datetime(2026, 10, 25, 0, 59, tzinfo=UTC)]
)
def test_a_change_of_summer_time_moves_no_retry(
    harness: FaultHarness, change: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    harness.clock.set(change - timedelta(minutes=1))
    person = harness.add_person()
    assert harness.run().outcome == "done"
    harness.clock.set(change)
    harness.add_phone(person, "+4951188888888")
    forbidden = SimResponse(403, {"Content-Type": "text/plain"}, b"verboten")
    with harness.hook_before(
        harness.advo, lambda call: forbidden if call.method == "POST" and not call.is_login else None
    ):
        assert harness.run().outcome == "failed_persons"
    assert harness.sync_fields(person)["syncNextRetry"] == f"{change + timedelta(minutes=2):%Y-%m-%d %H:%M:%S}"
    assert harness.run().outcome == "done"
    monkeypatch.undo()
    time.tzset()
    assert len(harness.advo_values(person)) == 3


def test_a_person_left_on_syncing_by_our_own_killed_run_is_taken_up_at_once(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.advo.add_row(person.betnr, "0511 88888888")

    def die(call: SimRequest, _answer: SimResponse) -> None:
        if "phoneNumberData" in call.body:
            raise UnexpectedError

    with harness.hook_after(harness.espo, die), pytest.raises(UnexpectedError):
        harness.run()
    assert harness.sync_fields(person)["syncStatus"] == "syncing"
    harness.seconds_between = 10  # settled, and far from five minutes
    assert harness.run().outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "clean"
    assert sides_agree(harness)


def test_a_person_set_to_syncing_by_somebody_else_is_left_for_five_minutes(harness: FaultHarness) -> None:
    person = person_syncing_elsewhere(harness)
    for _ in range(4):
        report = harness.run_without_writes()
        assert (report.outcome, report.persons.waiting) == ("done", 1)
    harness.clock.advance(120)
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(person)) == 3


def person_syncing_elsewhere(harness: FaultHarness) -> PersonWithRows:
    """Another sync has just begun with this person, and dies."""
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    harness.espo.edit(person.entity_id, syncStatus="syncing")
    return person
