"""Retention deletes what nobody needs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.store.tables.array_puts import save_array_put
from etl.store.tables.conflicts import save_conflicts, set_seen_at
from etl.store.tables.endings import close_wait_as_ending, close_waits_on_return, save_waits
from etl.store.tables.holds import insert_holds, release_holds
from etl.store.tables.journal import close_plans, save_changes, save_decisions, set_change_state
from etl.store.tables.runs import finish_run, start_run
from etl.store.upkeep.prune import integrity_errors, optimize, prune_closed_waits, prune_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.store.database import Store

HISTORY = ("arrivals", "conflicts", "changes", "array_puts", "decisions", "holds", "runs")
OLD, CUTOFF, NOW = "2026-01-01 10:00:00", "2026-06-01 00:00:00", "2026-08-30 10:00:00"


def add_run(store: Store, when: str = OLD, trigger: str = "sync", outcome: str | None = "done") -> int:
    """A run with a decision, a write that was settled, a value that lost and was seen, and a released hold."""
    run_id = start_run(store, now=when, version="1", trigger=trigger)
    fields: dict[str, Any] = {"run_id": run_id, "entity_id": f"p{run_id}", "betnr": run_id, "variant": "var5"}
    [decision] = save_decisions(store, [{**fields, "created_at": when}])
    [change] = save_changes(store, [{**fields, "decision_id": decision, "side": "advo", "action": "update"}])
    set_change_state(store, [change], "done", now=when)
    close_plans(store, fields["entity_id"])
    put = {"entity_id": fields["entity_id"], "items_before": [], "items_sent": {}, "started_at": when}
    save_array_put(store, {"run_id": run_id, "betnr": run_id, **put})
    conflict_ids = save_conflicts(store, [{**fields, "change_id": change, "created_at": when}])
    set_seen_at(store, conflict_ids, when)
    store.execute(
        """
        insert into arrivals (run_id, entity_id, edited_in, edited_at, arrived_at)
        values (:run_id, :entity_id, 'espo', :now, :now)
        """,
        {"run_id": run_id, "entity_id": fields["entity_id"], "now": when},
    )
    insert_holds(store, [{"run_id": run_id, "entity_id": fields["entity_id"], "kind": "removals", "held_at": when}])
    holds = store.rows("select id from holds where run_id = :run_id", {"run_id": run_id})
    release_holds(store, [hold["id"] for hold in holds], now=when, released_by="somebody")
    if outcome is not None:
        finish_run(store, run_id, now=when, outcome=outcome)
    return run_id


def count_rows(store: Store) -> dict[str, int]:
    return {table: store.scalar(f"select count(*) from {table}") for table in HISTORY}


def test_an_old_run_goes_with_everything_that_hangs_on_it(store: Store) -> None:
    for _ in range(3):
        add_run(store)
    add_run(store, NOW)
    assert prune_runs(store, CUTOFF) == dict.fromkeys(HISTORY, 3)
    assert count_rows(store) == dict.fromkeys(HISTORY, 1)
    assert prune_runs(store, CUTOFF)["runs"] == 0


def reopen_write(store: Store, run_id: int) -> None:
    store.execute("update changes set settled = 0 where run_id = :run_id", {"run_id": run_id})


def mark_conflict_unseen(store: Store, run_id: int) -> None:
    store.execute("update conflicts set seen_at = null where run_id = :run_id", {"run_id": run_id})


def mark_conflict_seen_now(store: Store, run_id: int) -> None:
    store.execute("update conflicts set seen_at = :now where run_id = :run_id", {"run_id": run_id, "now": NOW})


def reopen_hold(store: Store, run_id: int) -> None:
    store.execute("update holds set released_at = null where run_id = :run_id", {"run_id": run_id})


def release_hold_now(store: Store, run_id: int) -> None:
    store.execute("update holds set released_at = :now where run_id = :run_id", {"run_id": run_id, "now": NOW})


def clear_run_end(store: Store, run_id: int) -> None:
    store.execute("update runs set finished_at = null, outcome = null where id = :run_id", {"run_id": run_id})


@pytest.mark.parametrize(
    "keep", [reopen_write, mark_conflict_unseen, mark_conflict_seen_now, reopen_hold, release_hold_now, clear_run_end]
)
def test_a_run_is_kept_whole_while_something_of_it_is_needed(
    store: Store, keep: Callable[[Store, int], None]
) -> None:
    run_id = add_run(store)
    add_run(store)
    add_run(store, NOW)
    keep(store, run_id)
    assert prune_runs(store, CUTOFF)["runs"] == 1
    for table in HISTORY[:-1]:
        assert store.scalar(f"select count(*) from {table} where run_id = :kept", {"kept": run_id}) == 1


def test_the_latest_of_each_kind_is_kept_so_that_status_can_speak_of_it(store: Store) -> None:
    first, second = add_run(store), add_run(store)
    failed_run = add_run(store, outcome="outage")
    backup_run = add_run(store, trigger="backup")
    prune_runs(store, CUTOFF)
    assert [row["id"] for row in store.rows("select id from runs order by id")] == [second, failed_run, backup_run]
    assert first not in (second, failed_run, backup_run)


def test_a_plan_that_nobody_carried_out_goes_too(store: Store) -> None:
    run_id = start_run(store, now=OLD, version="1", trigger="plan")
    change: dict[str, Any] = {"run_id": run_id, "entity_id": "a", "variant": "var1", "side": "advo", "action": "create"}
    save_changes(store, [change])
    finish_run(store, run_id, now=OLD, outcome="done")
    finish_run(store, start_run(store, now=NOW, version="1", trigger="plan"), now=NOW, outcome="done")
    assert prune_runs(store, CUTOFF)["changes"] == 1


def test_more_runs_than_fit_a_transaction_go_all_the_same(store: Store) -> None:
    for _ in range(450):
        finish_run(store, start_run(store, now=OLD, version="1", trigger="sync"), now=OLD, outcome="done")
    assert prune_runs(store, CUTOFF)["runs"] == 449


def test_who_was_there_again_is_forgotten_and_what_ended_is_kept(store: Store) -> None:
    """Who returns with the betnr it had is recovered, however long that takes."""
    for entity_id in "abc":
        wait = {"kind": "no_betnr", "seen_betnr": None, "run_id": 1, "now": OLD}
        save_waits(store, [{"entity_id": entity_id, "betnr": 1, **wait}])
    close_waits_on_return(store, ["a"], OLD)
    close_wait_as_ending(store, "b", OLD, approved=False)
    assert prune_closed_waits(store, CUTOFF) == 1
    assert [row["entity_id"] for row in store.rows("select entity_id from endings order by 1")] == ["b", "c"]


def test_a_whole_store_has_nothing_to_complain_of(store: Store) -> None:
    add_run(store)
    optimize(store)
    assert integrity_errors(store) == []
