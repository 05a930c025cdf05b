"""A sweep is a run for each of its chunks: the lock is free between them, and it goes on where it stopped."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest

from etl.errors import Stopped
from etl.store.runs import runs_of_the_whole
from etl.store.standing import LAST_SWEEP_AT, SWEEP_AFTER
from jobs.exit_codes import Outcome
from jobs.lock import Lease
from jobs.options import Options
from jobs.pipeline import next_chunk, run, run_once
from tests.firm import Firm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    made = Firm.of(tmp_path, persons=7, sync={"persons_per_run": 3})
    while made.go().persons.changed:
        pass
    return made


def positions(firm: Firm) -> list[str | None]:
    with firm.store() as store:
        return [store.setting(SWEEP_AFTER), store.setting(LAST_SWEEP_AT)]


def test_a_sweep_in_chunks_looks_at_everybody_once_and_reports_as_one(firm: Firm) -> None:
    report = firm.go(sweep=True)
    linked = sum(one.values["betnr"] is not None for one in firm.espo.store.records.values())
    assert report.outcome is Outcome.DONE
    assert report.persons.seen == linked
    assert report.calls.advoware == {"GET": linked}
    assert "sweep_after" not in report.to_dict()
    assert positions(firm) == [None, firm.world.now()]
    assert len(report.chunks) == 3
    with firm.store() as store:
        assert runs_of_the_whole(store, report.chunks[1]) == report.chunks[::-1]


def test_what_a_look_found_that_no_list_told_of_is_reported_as_drift(firm: Firm) -> None:
    first, second, *_ = [one.id for one in firm.espo.store.records.values() if one.values["betnr"]]
    firm.advo.add_row(firm.espo.record(first)["betnr"], "0511 3217777")
    record = firm.espo.store.records[second]
    before = record.modified_at, record.modified_by
    firm.espo.edit(second, phones=["+495113217778"])
    record.modified_at, record.modified_by = before  # no trace, as when it comes by way of a shared row
    assert astuple(firm.go().drift) == (0, 1)
    assert astuple(firm.go(sweep=True).drift) == (1, 0)
    assert astuple(firm.go(sweep=True).drift) == (0, 0)  # what we wrote ourselves is none


def test_between_chunks_the_lock_is_free(firm: Firm) -> None:
    report = run_once(firm.config, Options(sweep=True), world=firm.world)
    assert report.goes_on
    with firm.store() as store:
        assert store.value("select count(*) from lease") == 0


def test_a_sweep_waits_for_whoever_took_the_lock_between_two_chunks(firm: Firm) -> None:
    first = run_once(firm.config, Options(sweep=True), world=firm.world)
    with firm.store() as store:
        leases = [Lease.acquire_here(store, lease_seconds=36_000, now=firm.world.now())]

        def sleep(seconds: float) -> None:
            firm.clock.advance(seconds)
            leases.pop().release()

        chunk = next_chunk(firm.config, Options(sweep=True), firm.heeding(sleep=sleep))
    assert leases == []
    assert chunk.outcome is Outcome.DONE
    assert first.followed_by(chunk).sweep_after != first.sweep_after


def test_a_sweep_that_never_gets_the_lock_back_says_so_and_keeps_its_place(firm: Firm) -> None:
    first = run_once(firm.config, Options(sweep=True), world=firm.world)
    with firm.store() as store, Lease.acquire_here(store, lease_seconds=36_000, now=firm.world.now()):
        whole = first.followed_by(next_chunk(firm.config, Options(sweep=True), firm.world))
    assert whole.outcome is Outcome.LOCKED
    assert whole.sweep_after == first.sweep_after
    assert "holds the lock" in (whole.error or "")


def test_a_stopped_sweep_goes_on_behind_its_last_chunk(firm: Firm) -> None:
    calls = iter(range(1000))

    def checkpoint() -> None:
        if next(calls) > 25:
            raise Stopped("Stopped by SIGTERM.")

    stopped = run(firm.config, Options(sweep=True), world=firm.heeding(checkpoint=checkpoint))
    assert stopped.outcome is Outcome.STOPPED
    assert stopped.sweep_after is not None
    firm.advo.forget_calls()
    assert firm.go(sweep=True).outcome is Outcome.DONE
    rest = firm.advo.counts["GET"]
    assert 0 < rest < 7
    assert positions(firm)[0] is None
