"""A sweep is a run for each of its chunks: the lock is free between them, and it goes on where it stopped."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING

import pytest

from etl.errors import Stopped
from etl.store.queries.status import LAST_SWEEP_AT, SWEEP_AFTER
from etl.store.tables.runs import chunk_run_ids
from jobs.exit_codes import CommandOutcome
from jobs.lock import Lease
from jobs.pipeline import run_next_chunk, run_once, run_to_completion
from jobs.run.options import RunOptions
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def harness(tmp_path: Path) -> CommandHarness:
    harness = CommandHarness(tmp_path, persons=7, sync={"persons_per_run": 3})
    while harness.run().persons.changed:
        pass
    return harness


def sweep_settings(harness: CommandHarness) -> list[str | None]:
    with harness.open_store() as store:
        return [store.setting(SWEEP_AFTER), store.setting(LAST_SWEEP_AT)]


def test_a_sweep_in_chunks_looks_at_everybody_once_and_reports_as_one(harness: CommandHarness) -> None:
    report = harness.run(sweep=True)
    linked = sum(record.values["betnr"] is not None for record in harness.espo.store.records.values())
    assert report.outcome is CommandOutcome.DONE
    assert report.persons.seen == linked
    assert report.calls.advoware == {"GET": linked}
    assert "sweep_after" not in report.to_dict()
    assert sweep_settings(harness) == [None, harness.environment.now()]
    assert len(report.chunks) == 3
    with harness.open_store() as store:
        assert chunk_run_ids(store, report.chunks[1]) == report.chunks[::-1]


def test_what_a_look_found_that_no_list_told_of_is_reported_as_drift(harness: CommandHarness) -> None:
    first, second, *_ = [record.id for record in harness.espo.store.records.values() if record.values["betnr"]]
    harness.advo.add_row(harness.espo.record(first)["betnr"], "0511 3217777")
    record = harness.espo.store.records[second]
    before = record.modified_at, record.modified_by
    harness.espo.edit(second, phones=["+495113217778"])
    record.modified_at, record.modified_by = before  # no trace, as when it comes by way of a shared row
    assert astuple(harness.run().drift) == (0, 1)
    assert astuple(harness.run(sweep=True).drift) == (1, 0)
    assert astuple(harness.run(sweep=True).drift) == (0, 0)  # what we wrote ourselves is none


def test_between_chunks_the_lock_is_free(harness: CommandHarness) -> None:
    report = run_once(harness.config, RunOptions(sweep=True), environment=harness.environment)
    assert report.has_next_chunk
    with harness.open_store() as store:
        assert store.scalar("select count(*) from lease") == 0


def test_a_sweep_waits_for_whoever_took_the_lock_between_two_chunks(harness: CommandHarness) -> None:
    first = run_once(harness.config, RunOptions(sweep=True), environment=harness.environment)
    with harness.open_store() as store:
        leases = [Lease.acquire_here(store, lease_seconds=36_000, now=harness.environment.now())]

        def sleep(seconds: float) -> None:
            harness.clock.advance(seconds)
            leases.pop().release()

        chunk = run_next_chunk(harness.config, RunOptions(sweep=True), replace(harness.environment, sleep=sleep))
    assert leases == []
    assert chunk.outcome is CommandOutcome.DONE
    assert first.merge_chunk(chunk).sweep_after != first.sweep_after


def test_a_sweep_that_never_gets_the_lock_back_says_so_and_keeps_its_place(harness: CommandHarness) -> None:
    first = run_once(harness.config, RunOptions(sweep=True), environment=harness.environment)
    with harness.open_store() as store, Lease.acquire_here(store, lease_seconds=36_000, now=harness.environment.now()):
        whole_report = first.merge_chunk(run_next_chunk(harness.config, RunOptions(sweep=True), harness.environment))
    assert whole_report.outcome is CommandOutcome.LOCKED
    assert whole_report.sweep_after == first.sweep_after
    assert "holds the lock" in (whole_report.error or "")


def test_a_stopped_sweep_goes_on_behind_its_last_chunk(harness: CommandHarness) -> None:
    calls = iter(range(1000))

    def checkpoint() -> None:
        if next(calls) > 25:
            raise Stopped("Stopped by SIGTERM.")

    stopped_report = run_to_completion(
        harness.config, RunOptions(sweep=True), environment=replace(harness.environment, checkpoint=checkpoint)
    )
    assert stopped_report.outcome is CommandOutcome.STOPPED
    assert stopped_report.sweep_after is not None
    harness.advo.clear_request_log()
    assert harness.run(sweep=True).outcome is CommandOutcome.DONE
    rest = harness.advo.counts["GET"]
    assert 0 < rest < 7
    assert sweep_settings(harness)[0] is None
