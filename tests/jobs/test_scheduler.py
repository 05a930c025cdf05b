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
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.store.database import Store
from etl.store.queries.status import LAST_MAINTENANCE_AT, LAST_SWEEP_AT, SKIPPED_RUNS
from jobs import scheduler
from jobs.commands.side_by_side import compare_sides
from jobs.environment import StopSignal
from jobs.lock import Lease
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import Unreachable
from jobs.schedule import Job
from jobs.scheduler import ClockWatch, JobQueue, count_missed_by_job, first_run_times, run_job
from tests.harness import CommandHarness, json_setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse


@pytest.fixture
def turns() -> Iterator[JobQueue]:
    turns = JobQueue()
    yield turns
    turns.close()


@pytest.fixture
def harness(tmp_path: Path) -> CommandHarness:
    return CommandHarness(tmp_path, persons=5, sync={"persons_per_run": 2})


# Whose turn it is ----------------------------------------------------------------------------------------------


def take_all(turns: JobQueue) -> list[str]:
    return [str(job) for job in iter(turns.get, None)]


def test_a_due_sync_goes_first(turns: JobQueue) -> None:
    for job in (Job.SWEEP, Job.MAINTENANCE, Job.SYNC):
        turns.put(job)
    assert take_all(turns) == ["sync", "maintenance", "sweep"]


def test_who_asks_twice_has_one_turn_and_the_other_is_counted(turns: JobQueue) -> None:
    for _ in range(3):
        turns.put(Job.SYNC)
    assert take_all(turns) == ["sync"]
    assert turns.pop_skipped() == {Job.SYNC: 2}
    assert turns.pop_skipped() == {}


def test_what_is_asked_for_while_it_runs_follows_at_once(turns: JobQueue) -> None:
    turns.put(Job.SYNC)
    assert turns.get() is Job.SYNC
    turns.put(Job.SYNC)
    assert turns.get() is Job.SYNC
    assert turns.pop_skipped() == {}


def test_between_two_chunks_of_a_sweep_a_due_sync_goes_and_syncs_without_end_do_not_starve_the_sweep(
    turns: JobQueue,
) -> None:
    order = []
    turns.put(Job.SWEEP)
    for _ in range(6):
        turns.put(Job.SYNC)
        job = turns.get()
        order.append(str(job))
        if job is Job.SWEEP:
            turns.put(Job.SWEEP)
    assert order == ["sync", "sweep", "sync", "sweep", "sync", "sweep"]


def test_waiting_ends_when_somebody_asks_or_wants_to_stop(turns: JobQueue) -> None:
    stopping = StopSignal()
    threading.Thread(target=turns.put, args=[Job.SYNC]).start()
    turns.wait(stopping, 60)
    assert turns.get() is Job.SYNC
    threading.Thread(target=stopping.request_stop, args=["a test"]).start()
    turns.wait(stopping, 60)
    assert stopping.requested_by == "a test"
    stopping.close()


# When ----------------------------------------------------------------------------------------------------------


def test_a_new_store_syncs_at_once_and_the_rest_follows_the_schedule(harness: CommandHarness) -> None:
    first = first_run_times(harness.config, harness.environment)
    assert first[Job.SYNC] == harness.clock()
    assert first[Job.SWEEP].isoformat() == "2026-09-01T00:30:00+00:00"
    assert first[Job.MAINTENANCE].isoformat() == "2026-09-01T02:00:00+00:00"


def test_after_days_without_a_process_everything_missed_is_made_good_at_once_and_counted(
    harness: CommandHarness,
) -> None:
    harness.run()
    with harness.open_store() as store:
        store.set_setting(LAST_SWEEP_AT, harness.environment.now())
        store.set_setting(LAST_MAINTENANCE_AT, harness.environment.now())
    harness.clock.advance(timedelta(days=2).total_seconds())
    assert all(at < harness.clock() for at in first_run_times(harness.config, harness.environment).values())
    assert count_missed_by_job(harness.config, harness.environment) == {Job.SYNC: 191, Job.SWEEP: 1, Job.MAINTENANCE: 1}


def test_an_interrupted_sweep_goes_on_at_the_start(harness: CommandHarness) -> None:
    harness.run()
    with harness.open_store() as store:
        store.set_setting("sweep_after", "something")
    assert first_run_times(harness.config, harness.environment)[Job.SWEEP] == harness.clock()


def test_a_clock_that_is_set_back_is_noticed_once(harness: CommandHarness) -> None:
    monotonic_times = iter(float(second) for second in range(0, 600, 60))
    clock = ClockWatch(replace(harness.environment, monotonic=lambda: next(monotonic_times)))
    harness.clock.advance(60)
    assert not clock.has_jumped()
    harness.clock.advance(60 - 3600)
    assert clock.has_jumped()
    harness.clock.advance(60)
    assert not clock.has_jumped()


# A turn --------------------------------------------------------------------------------------------------------


def test_a_sweep_is_taken_chunk_by_chunk_each_asking_for_the_next(harness: CommandHarness, turns: JobQueue) -> None:
    run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=False)
    turns.put(Job.SWEEP)
    chunks = 0
    while (job := turns.get()) is not None:
        run_job(harness.config, harness.environment, turns, job, is_sweep_postponed=False)
        chunks += 1
    linked = sum(record.values["betnr"] is not None for record in harness.espo.store.records.values())
    assert chunks == linked // 2 + 1
    with harness.open_store() as store:
        assert store.setting(LAST_SWEEP_AT) == harness.environment.now()
        assert store.scalar("select count(*) from runs where trigger = 'sweep'") == chunks


def test_a_sweep_in_an_outage_waits_for_a_sync_that_goes_well(harness: CommandHarness, turns: JobQueue) -> None:
    def raise_unreachable(_call: SimRequest) -> SimResponse | None:
        raise Unreachable

    harness.advo.before = raise_unreachable
    postponed = run_job(harness.config, harness.environment, turns, Job.SWEEP, is_sweep_postponed=False)
    assert postponed
    assert run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=True)
    assert turns.get() is None
    harness.advo.before = None
    harness.clock.advance(60)
    assert not run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=True)
    assert turns.get() is Job.SWEEP


def test_a_locked_out_run_is_counted_as_skipped_and_everything_goes_on(
    harness: CommandHarness, turns: JobQueue
) -> None:
    with harness.open_store() as store, Lease.acquire_here(store, lease_seconds=3600, now=harness.environment.now()):
        run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=False)
        run_job(harness.config, harness.environment, turns, Job.MAINTENANCE, is_sweep_postponed=False)
        assert json_setting(store, SKIPPED_RUNS) == {"sync": {"times": 1, "last_at": harness.environment.now()}}
    assert harness.advo.writes == []


def test_a_crash_of_one_turn_is_logged_and_the_next_one_has_its_turn(harness: CommandHarness, turns: JobQueue) -> None:
    def raise_error(_call: SimRequest) -> SimResponse | None:
        raise ZeroDivisionError

    harness.espo.before = raise_error
    run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=False)
    harness.espo.before = None
    harness.clock.advance(60)
    run_job(harness.config, harness.environment, turns, Job.SYNC, is_sweep_postponed=False)
    with harness.open_store() as store:
        outcomes = [row["outcome"] for row in store.rows("select outcome from runs order by id")]
    assert outcomes == ["crashed", "done"]


def test_apscheduler_drops_nothing_and_starts_nothing_beside_another(harness: CommandHarness, turns: JobQueue) -> None:
    with scheduler.running_timer(harness.config, harness.environment, turns) as timer:
        jobs = timer.get_jobs()
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
from jobs.config import JobTimes
from jobs.config_file import read_config
from jobs import cli
from jobs.command_line import run
from jobs.telemetry import logs
config = read_config(Path(sys.argv[1]))
often = JobTimes.model_construct(minutes=1 / 60, cron=None)
schedule = config.schedule.model_copy(update={"sync": often, "jitter_seconds": 0})
run.load_config = lambda *_, **__: (logs.configure_logging(), config.model_copy(update={"schedule": schedule}))[1]
sys.exit(cli.run_command_line(["run"]))
"""
"""``advosync run`` with an interval that ``config.yaml`` does not allow."""


@contextmanager
def run_process(config_file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", EVERY_SECOND, str(config_file)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stop_process(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> list[dict[str, Any]]:
    """Ask a process to stop; it must end well. What it logged."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in errors.splitlines() if line.startswith("{")]


def open_work(path: Path) -> dict[str, Any]:
    """What a run may not leave: a lock, a write without an end, a run without an end."""
    with Store.open(path, now="2026-01-01 00:00:00", read_only=True) as store:
        return {
            "locks": store.scalar("select count(*) from lease"),
            "writes": store.scalar("select count(*) from changes where state = 'started'"),
            "runs": store.scalar("select count(*) from runs where finished_at is null"),
        }


NOTHING = {"locks": 0, "writes": 0, "runs": 0}


@pytest.fixture
def systems(tmp_path: Path) -> Iterator[tuple[EspoSim, AdvoSim, Path]]:
    """Both systems as servers with latency, and a configuration for them."""
    espo, advo = EspoSim(), AdvoSim()
    espo.latency_seconds, advo.latency_seconds = 0.02, 0.05
    with Servers(espo, advo) as servers:
        document = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        document["espocrm"]["settle_seconds"] = 0
        config_file = tmp_path / "config.yaml"
        config_file.write_text(yaml.safe_dump(document), "utf-8")
        yield espo, advo, config_file


def wait_until_seen(advo: AdvoSim, matches: Any, seconds: float = 60) -> None:
    """Return once Advoware answered a call that ``matches`` says yes to."""
    was_seen = threading.Event()

    def after(call: SimRequest, _answer: SimResponse) -> None:
        if matches(call):
            was_seen.set()

    advo.after = after
    assert was_seen.wait(seconds), "it was never seen"
    advo.after = None


def wait_for_agreement(espo: EspoSim, advo: AdvoSim) -> None:
    """Return once the two systems agree, and they must."""
    wait_until_seen(advo, lambda _call: all(line.agrees for line in compare_sides(espo, advo)))


NUMBERS = [f"+49511321{number:04}" for number in range(8)]


def add_new_person(espo: EspoSim, advo: AdvoSim, betnr: int) -> None:
    """Somebody new, whose numbers Advoware lacks: many writes for one person."""
    espo.add_person("Max Mustermann", betnr, phones=[(number, "Office") for number in NUMBERS])
    advo.add_person(betnr, "Max Mustermann")


@pytest.mark.slow
def test_a_stop_in_the_middle_of_a_person_leaves_nothing_half_written_and_the_next_start_goes_on(
    systems: tuple[EspoSim, AdvoSim, Path],
) -> None:
    espo, advo, config_file = systems
    add_new_person(espo, advo, 104711)
    with run_process(config_file) as process:
        wait_until_seen(advo, lambda _call: len(advo.rows(104711)) >= 3)
        log = stop_process(process)
    row_count = len(advo.rows(104711))
    assert 3 <= row_count < len(NUMBERS)
    assert open_work(config_file.with_name("state.db")) == NOTHING
    assert log[-1]["event"] == "scheduler_stopped"
    with run_process(config_file) as process:
        wait_until_seen(advo, lambda _call: len(advo.rows(104711)) == len(NUMBERS))
        wait_until_seen(advo, lambda call: call.method == "GET" and call.path.endswith("/104711"))
        stop_process(process, signal.SIGINT)
    assert sorted(row["tlf"] for row in advo.rows(104711)) == NUMBERS
    assert advo.overlapping_writes == 0
    assert open_work(config_file.with_name("state.db")) == NOTHING


@pytest.mark.slow
def test_syncs_every_second_never_overlap_outlive_stops_and_keep_up_with_people(
    systems: tuple[EspoSim, AdvoSim, Path],
) -> None:
    espo, advo, config_file = systems
    fill_firm(espo, advo, 12, seed=3)
    ends, stops, edits = time.monotonic() + SECONDS, 0, 0
    while not stops or time.monotonic() < ends:
        with run_process(config_file) as process:
            for _ in range(3):  # the person the last process left in the middle comes first
                wait_for_agreement(espo, advo)
                edits += len(random_edits(espo, advo, 3, seed=edits))
            wait_for_agreement(espo, advo)
            add_new_person(espo, advo, 104711 + stops)
            wait_until_seen(advo, lambda _call, betnr=104711 + stops: len(advo.rows(betnr)) >= 3)
            stop_process(process)
        assert 3 <= len(advo.rows(104711 + stops)) < len(NUMBERS)
        assert open_work(config_file.with_name("state.db")) == NOTHING
        stops += 1
    with run_process(config_file) as process:
        wait_for_agreement(espo, advo)
        stop_process(process)
    assert advo.overlapping_writes == 0
    assert open_work(config_file.with_name("state.db")) == NOTHING
    with Store.open(config_file.with_name("state.db"), now="2026-01-01 00:00:00", read_only=True) as store:
        runs = store.rows("select started_at, finished_at, outcome from runs order by id")
    assert all(run["finished_at"] <= next_run["started_at"] for run, next_run in pairwise(runs))
    outcome_counts = ", ".join(
        f"{number} {outcome}" for outcome, number in Counter(run["outcome"] for run in runs).items()
    )
    writes_text = f"{len(advo.writes)} writes to Advoware, {advo.overlapping_writes} of them overlapping"
    print(f"\n{len(runs)} runs ({outcome_counts}), {edits} edits, {stops} stops; {writes_text}")  # noqa: T201 - what -s is asked for


def test_a_second_signal_ends_at_once(systems: tuple[EspoSim, AdvoSim, Path]) -> None:
    espo, advo, config_file = systems
    fill_firm(espo, advo, 3, seed=3)
    request_waits, may_go_on = threading.Event(), threading.Event()

    def before(call: SimRequest) -> SimResponse | None:
        if call.path.endswith("/200001"):
            request_waits.set()
            may_go_on.wait(60)
        return None

    advo.before = before
    with run_process(config_file) as process:
        assert request_waits.wait(60)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        may_go_on.set()
    assert process.returncode == 128 + signal.SIGTERM
