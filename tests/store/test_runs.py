"""Each run says how it began and ended, or is found to have died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.store.tables.runs import abandon_runs, finish_run, load_run, start_run

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def test_a_run_is_recorded_from_beginning_to_end(store: Store) -> None:
    run_id = start_run(
        store,
        now=NOW,
        version="1.2",
        trigger="undo",
        direction="both",
        scope="person",
        operator="anna",
        reason="wrong list",
        about=7,
        part_of=3,
        host="srv",
        pid=4711,
    )
    finish_run(
        store,
        run_id,
        now=LATER,
        outcome="failed_persons",
        counts={"persons_seen": 5, "persons_failed": 1, "espo_reads": 7},
        error="one failed",
        calls={"espocrm": {"GET": 7}},
        report={"conflicts": 0},
    )
    assert load_run(store, run_id) == {
        "id": 1,
        "version": "1.2",
        "trigger": "undo",
        "operator": "anna",
        "reason": "wrong list",
        "about": 7,
        "part_of": 3,
        "host": "srv",
        "pid": 4711,
        "direction": "both",
        "scope": "person",
        "started_at": NOW,
        "finished_at": LATER,
        "outcome": "failed_persons",
        "persons_seen": 5,
        "persons_changed": 0,
        "persons_failed": 1,
        "espo_reads": 7,
        "espo_writes": 0,
        "advo_reads": 0,
        "advo_writes": 0,
        "error": "one failed",
        "calls": '{"espocrm": {"GET": 7}}',
        "report": '{"conflicts": 0}',
        "espo_version": None,
    }


def test_a_run_that_died_is_ended_by_the_next(store: Store) -> None:
    dead_run = start_run(store, now=NOW, version="1", trigger="sync")
    ended_run = start_run(store, now=NOW, version="1", trigger="sync")
    finish_run(store, ended_run, now=NOW, outcome="done")
    assert abandon_runs(store, LATER) == [dead_run]
    assert store.rows("select id, outcome, finished_at from runs") == [
        {"id": dead_run, "outcome": "abandoned", "finished_at": LATER},
        {"id": ended_run, "outcome": "done", "finished_at": NOW},
    ]
    assert abandon_runs(store, LATER) == []


def test_the_number_of_a_deleted_run_is_not_used_again(store: Store) -> None:
    start_run(store, now=NOW, version="1", trigger="sync")
    store.execute("delete from runs")
    assert start_run(store, now=NOW, version="1", trigger="sync") == 2
