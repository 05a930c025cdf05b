"""``run``: turns are taken one at a time and none is lost; a real process works, stops at a signal, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.store.database import Store
from etl.store.standing import LAST_MAINTENANCE_AT, LAST_SWEEP_AT, SKIPPED_RUNS
from jobs import scheduler
from jobs.lock import Lease
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.firm import fill
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import Unreachable
from jobs.scheduler import Clock, Turns, first_times, take_turn, times_missed
from jobs.side_by_side import side_by_side
from jobs.stopping import Stopping
from jobs.timetable import Job
from tests.firm import Firm, setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call


@pytest.fixture
def turns() -> Iterator[Turns]:
    made = Turns()
    yield made
    made.close()


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm.of(tmp_path, persons=5, sync={"persons_per_run": 2})


# Whose turn it is ----------------------------------------------------------------------------------------------


def taken(turns: Turns) -> list[str]:
    return [str(job) for job in iter(turns.take, None)]


def test_a_due_sync_goes_first(turns: Turns) -> None:
    for job in (Job.SWEEP, Job.MAINTENANCE, Job.SYNC):
        turns.ask(job)
    assert taken(turns) == ["sync", "maintenance", "sweep"]


def test_who_asks_twice_has_one_turn_and_the_other_is_counted(turns: Turns) -> None:
    for _ in range(3):
        turns.ask(Job.SYNC)
    assert taken(turns) == ["sync"]
    assert turns.take_skipped() == {Job.SYNC: 2}
    assert turns.take_skipped() == {}


def test_what_is_asked_for_while_it_runs_follows_at_once(turns: Turns) -> None:
    turns.ask(Job.SYNC)
    assert turns.take() is Job.SYNC
    turns.ask(Job.SYNC)
    assert turns.take() is Job.SYNC
    assert turns.take_skipped() == {}


def test_between_two_chunks_of_a_sweep_a_due_sync_goes_and_syncs_without_end_do_not_starve_the_sweep(
    turns: Turns,
) -> None:
    order = []
    turns.ask(Job.SWEEP)
    for _ in range(6):
        turns.ask(Job.SYNC)
        job = turns.take()
        order.append(str(job))
        if job is Job.SWEEP:
            turns.ask(Job.SWEEP)
    assert order == ["sync", "sweep", "sync", "sweep", "sync", "sweep"]


def test_waiting_ends_when_somebody_asks_or_wants_to_stop(turns: Turns) -> None:
    stopping = Stopping()
    threading.Thread(target=turns.ask, args=[Job.SYNC]).start()
    turns.wait(stopping, 60)
    assert turns.take() is Job.SYNC
    threading.Thread(target=stopping.ask, args=["a test"]).start()
    turns.wait(stopping, 60)
    assert stopping.by == "a test"
    stopping.close()


# When ----------------------------------------------------------------------------------------------------------


def test_a_new_store_syncs_at_once_and_the_rest_follows_the_schedule(firm: Firm) -> None:
    first = first_times(firm.config, firm.world)
    assert first[Job.SYNC] == firm.clock()
    assert first[Job.SWEEP].isoformat() == "2026-09-01T00:30:00+00:00"
    assert first[Job.MAINTENANCE].isoformat() == "2026-09-01T02:00:00+00:00"


def test_after_days_without_a_process_everything_missed_is_made_good_at_once_and_counted(firm: Firm) -> None:
    firm.go()
    with firm.store() as store:
        store.set_setting(LAST_SWEEP_AT, firm.world.now())
        store.set_setting(LAST_MAINTENANCE_AT, firm.world.now())
    firm.clock.advance(timedelta(days=2).total_seconds())
    assert all(at < firm.clock() for at in first_times(firm.config, firm.world).values())
    assert times_missed(firm.config, firm.world) == {Job.SYNC: 191, Job.SWEEP: 1, Job.MAINTENANCE: 1}


def test_an_interrupted_sweep_goes_on_at_the_start(firm: Firm) -> None:
    firm.go()
    with firm.store() as store:
        store.set_setting("sweep_after", "something")
    assert first_times(firm.config, firm.world)[Job.SWEEP] == firm.clock()


def test_a_clock_that_is_set_back_is_noticed_once(firm: Firm) -> None:
    running = iter(float(second) for second in range(0, 600, 60))
    clock = Clock(firm.heeding(monotonic=lambda: next(running)))
    firm.clock.advance(60)
    assert not clock.was_set()
    firm.clock.advance(60 - 3600)
    assert clock.was_set()
    firm.clock.advance(60)
    assert not clock.was_set()


# A turn --------------------------------------------------------------------------------------------------------


def test_a_sweep_is_taken_chunk_by_chunk_each_asking_for_the_next(firm: Firm, turns: Turns) -> None:
    take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=False)
    turns.ask(Job.SWEEP)
    chunks = 0
    while (job := turns.take()) is not None:
        take_turn(firm.config, firm.world, turns, job, postponed=False)
        chunks += 1
    linked = sum(one.values["betnr"] is not None for one in firm.espo.store.records.values())
    assert chunks == linked // 2 + 1
    with firm.store() as store:
        assert store.setting(LAST_SWEEP_AT) == firm.world.now()
        assert store.value("select count(*) from runs where trigger = 'sweep'") == chunks


def test_a_sweep_in_an_outage_waits_for_a_sync_that_goes_well(firm: Firm, turns: Turns) -> None:
    def out(_call: Call) -> Answer | None:
        raise Unreachable

    firm.advo.before = out
    postponed = take_turn(firm.config, firm.world, turns, Job.SWEEP, postponed=False)
    assert postponed
    assert take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=True)
    assert turns.take() is None
    firm.advo.before = None
    firm.clock.advance(60)
    assert not take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=True)
    assert turns.take() is Job.SWEEP


def test_a_locked_out_run_is_counted_as_skipped_and_everything_goes_on(firm: Firm, turns: Turns) -> None:
    with firm.store() as store, Lease.acquire_here(store, lease_seconds=3600, now=firm.world.now()):
        take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=False)
        take_turn(firm.config, firm.world, turns, Job.MAINTENANCE, postponed=False)
        assert setting(store, SKIPPED_RUNS) == {"sync": {"times": 1, "last_at": firm.world.now()}}
    assert firm.advo.writes == []


def test_a_crash_of_one_turn_is_logged_and_the_next_one_has_its_turn(firm: Firm, turns: Turns) -> None:
    def crash(_call: Call) -> Answer | None:
        raise ZeroDivisionError

    firm.espo.before = crash
    take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=False)
    firm.espo.before = None
    firm.clock.advance(60)
    take_turn(firm.config, firm.world, turns, Job.SYNC, postponed=False)
    with firm.store() as store:
        outcomes = [row["outcome"] for row in store.rows("select outcome from runs order by id")]
    assert outcomes == ["crashed", "done"]


def test_apscheduler_drops_nothing_and_starts_nothing_beside_another(firm: Firm, turns: Turns) -> None:
    with scheduler.timer(firm.config, firm.world, turns) as timed:
        jobs = timed.get_jobs()
    assert {job.id for job in jobs} == {"sync", "sweep", "maintenance"}
    assert {(job.coalesce, job.max_instances, job.misfire_grace_time) for job in jobs} == {(True, 1, None)}


# A real process ------------------------------------------------------------------------------------------------

SHORT = 5.0
SECONDS = float(os.environ.get("ADVOSYNC_RUN_SECONDS", SHORT))
"""How long a process with an interval of a second is watched. Two minutes, by hand:
``ADVOSYNC_RUN_SECONDS=120 pytest -s tests/jobs/test_scheduler.py -k every_second``."""

EVERY_SECOND = """
import sys
from pathlib import Path
from jobs.config import When, load
from jobs import cli, logs
config = load(Path(sys.argv[1]))
often = When.model_construct(minutes=1 / 60, cron=None)
schedule = config.schedule.model_copy(update={"sync": often, "jitter_seconds": 0})
cli.configured = lambda *_, **__: (logs.configure(), config.model_copy(update={"schedule": schedule}))[1]
sys.exit(cli.execute(["run"]))
"""
"""``advosync run`` with an interval that ``config.yaml`` does not allow."""


@contextmanager
def running(file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", EVERY_SECOND, str(file)], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> list[dict[str, Any]]:
    """Ask a process to stop; it must end well. What it logged."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in errors.splitlines() if line.startswith("{")]


def unfinished(path: Path) -> dict[str, Any]:
    """What a run may not leave: a lock, a write without an end, a run without an end."""
    with Store.open(path, now="2026-01-01 00:00:00", read_only=True) as store:
        return {
            "locks": store.value("select count(*) from lease"),
            "writes": store.value("select count(*) from changes where state = 'started'"),
            "runs": store.value("select count(*) from runs where finished_at is null"),
        }


NOTHING = {"locks": 0, "writes": 0, "runs": 0}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[tuple[EspoSim, AdvoSim, Path]]:
    """Both systems as servers with latency, and a configuration for them."""
    espo, advo = EspoSim(), AdvoSim()
    espo.latency_seconds, advo.latency_seconds = 0.02, 0.05
    with Servers(espo, advo) as servers:
        written = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        written["espocrm"]["settle_seconds"] = 0
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(written), "utf-8")
        yield espo, advo, file


def until(advo: AdvoSim, seen: Any, seconds: float = 60) -> None:
    """Return once Advoware answered a call that ``seen`` says yes to."""
    there = threading.Event()

    def after(call: Call, _answer: Answer) -> None:
        if seen(call):
            there.set()

    advo.after = after
    assert there.wait(seconds), "it was never seen"
    advo.after = None


def caught_up(espo: EspoSim, advo: AdvoSim) -> None:
    """Return once the two systems agree, and they must."""
    until(advo, lambda _call: all(line.agrees for line in side_by_side(espo, advo)))


NUMBERS = [f"+49511321{number:04}" for number in range(8)]


def hire(espo: EspoSim, advo: AdvoSim, betnr: int) -> None:
    """Somebody new, whose numbers Advoware lacks: many writes for one person."""
    espo.add_person("Max Mustermann", betnr, phones=[(number, "Office") for number in NUMBERS])
    advo.add_person(betnr, "Max Mustermann")


@pytest.mark.slow
def test_a_stop_in_the_middle_of_a_person_leaves_nothing_half_written_and_the_next_start_goes_on(
    office: tuple[EspoSim, AdvoSim, Path],
) -> None:
    espo, advo, file = office
    hire(espo, advo, 104711)
    with running(file) as process:
        until(advo, lambda _call: len(advo.rows(104711)) >= 3)
        log = stopped(process)
    made = len(advo.rows(104711))
    assert 3 <= made < len(NUMBERS)
    assert unfinished(file.with_name("state.db")) == NOTHING
    assert log[-1]["event"] == "scheduler_stopped"
    with running(file) as process:
        until(advo, lambda _call: len(advo.rows(104711)) == len(NUMBERS))
        until(advo, lambda call: call.method == "GET" and call.path.endswith("/104711"))
        stopped(process, signal.SIGINT)
    assert sorted(row["tlf"] for row in advo.rows(104711)) == NUMBERS
    assert advo.overlapping_writes == 0
    assert unfinished(file.with_name("state.db")) == NOTHING


@pytest.mark.slow
def test_syncs_every_second_never_overlap_outlive_stops_and_keep_up_with_people(
    office: tuple[EspoSim, AdvoSim, Path],
) -> None:
    espo, advo, file = office
    fill(espo, advo, 12, seed=3)
    ends, stops, edits = time.monotonic() + SECONDS, 0, 0
    while not stops or time.monotonic() < ends:
        with running(file) as process:
            for _ in range(3):  # the person the last process left in the middle comes first
                caught_up(espo, advo)
                edits += len(random_edits(espo, advo, 3, seed=edits))
            caught_up(espo, advo)
            hire(espo, advo, 104711 + stops)
            until(advo, lambda _call, betnr=104711 + stops: len(advo.rows(betnr)) >= 3)
            stopped(process)
        assert 3 <= len(advo.rows(104711 + stops)) < len(NUMBERS)
        assert unfinished(file.with_name("state.db")) == NOTHING
        stops += 1
    with running(file) as process:
        caught_up(espo, advo)
        stopped(process)
    assert advo.overlapping_writes == 0
    assert unfinished(file.with_name("state.db")) == NOTHING
    with Store.open(file.with_name("state.db"), now="2026-01-01 00:00:00", read_only=True) as store:
        runs = store.rows("select started_at, finished_at, outcome from runs order by id")
    assert all(one["finished_at"] <= after["started_at"] for one, after in pairwise(runs))
    counted = ", ".join(f"{number} {outcome}" for outcome, number in Counter(one["outcome"] for one in runs).items())
    wrote = f"{len(advo.writes)} writes to Advoware, {advo.overlapping_writes} of them overlapping"
    print(f"\n{len(runs)} runs ({counted}), {edits} edits, {stops} stops; {wrote}")  # noqa: T201 - what -s is asked for


def test_a_second_signal_ends_at_once(office: tuple[EspoSim, AdvoSim, Path]) -> None:
    espo, advo, file = office
    fill(espo, advo, 3, seed=3)
    hanging, free = threading.Event(), threading.Event()

    def before(call: Call) -> Answer | None:
        if call.path.endswith("/200001"):
            hanging.set()
            free.wait(60)
        return None

    advo.before = before
    with running(file) as process:
        assert hanging.wait(60)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        free.set()
    assert process.returncode == 128 + signal.SIGTERM
