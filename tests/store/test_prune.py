"""Retention deletes what nobody needs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.store.array_puts import save_array_put
from etl.store.conflicts import mark_seen, save_conflicts
from etl.store.endings import end_wait, return_from_wait, save_waits
from etl.store.holds import hold_persons, release_holds
from etl.store.journal import save_changes, save_decisions, set_change_state, settle
from etl.store.prune import complaints, prune, prune_returns, tidy
from etl.store.runs import finish_run, start_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.store.database import Store

OLD, CUT, NOW = "2026-01-01 10:00:00", "2026-06-01 00:00:00", "2026-08-30 10:00:00"


def a_run(store: Store, when: str = OLD, trigger: str = "sync", outcome: str | None = "done") -> int:
    """A run with a decision, a write that was settled, a value that lost and was seen, and a released hold."""
    run_id = start_run(store, now=when, version="1", trigger=trigger)
    about: dict[str, Any] = {"run_id": run_id, "entity_id": f"p{run_id}", "betnr": run_id, "variant": "var5"}
    [decision] = save_decisions(store, [{**about, "created_at": when}])
    [change] = save_changes(store, [{**about, "decision_id": decision, "side": "advo", "action": "update"}])
    set_change_state(store, [change], "done", now=when)
    settle(store, about["entity_id"])
    put = {"entity_id": about["entity_id"], "items_before": [], "items_sent": {}, "started_at": when}
    save_array_put(store, {"run_id": run_id, "betnr": run_id, **put})
    lost = save_conflicts(store, [{**about, "change_id": change, "created_at": when}])
    mark_seen(store, lost, when)
    hold_persons(store, [{"run_id": run_id, "entity_id": about["entity_id"], "kind": "removals", "held_at": when}])
    held = store.rows("select id from holds where run_id = :run_id", {"run_id": run_id})
    release_holds(store, [one["id"] for one in held], now=when, by="somebody")
    if outcome is not None:
        finish_run(store, run_id, now=when, outcome=outcome)
    return run_id


def counted(store: Store) -> dict[str, int]:
    tables = ("conflicts", "changes", "array_puts", "decisions", "holds", "runs")
    return {table: store.value(f"select count(*) from {table}") for table in tables}


def test_an_old_run_goes_with_everything_that_hangs_on_it(store: Store) -> None:
    for _ in range(3):
        a_run(store)
    a_run(store, NOW)
    assert prune(store, CUT) == dict.fromkeys(("conflicts", "changes", "array_puts", "decisions", "holds", "runs"), 3)
    assert counted(store) == dict.fromkeys(("conflicts", "changes", "array_puts", "decisions", "holds", "runs"), 1)
    assert prune(store, CUT)["runs"] == 0


def open_write(store: Store, run_id: int) -> None:
    store.execute("update changes set settled = 0 where run_id = :run_id", {"run_id": run_id})


def unseen_conflict(store: Store, run_id: int) -> None:
    store.execute("update conflicts set seen_at = null where run_id = :run_id", {"run_id": run_id})


def lately_seen_conflict(store: Store, run_id: int) -> None:
    store.execute("update conflicts set seen_at = :now where run_id = :run_id", {"run_id": run_id, "now": NOW})


def open_hold(store: Store, run_id: int) -> None:
    store.execute("update holds set released_at = null where run_id = :run_id", {"run_id": run_id})


def lately_released_hold(store: Store, run_id: int) -> None:
    store.execute("update holds set released_at = :now where run_id = :run_id", {"run_id": run_id, "now": NOW})


def no_end(store: Store, run_id: int) -> None:
    store.execute("update runs set finished_at = null, outcome = null where id = :run_id", {"run_id": run_id})


@pytest.mark.parametrize(
    "needed", [open_write, unseen_conflict, lately_seen_conflict, open_hold, lately_released_hold, no_end]
)
def test_a_run_is_kept_whole_while_something_of_it_is_needed(
    store: Store, needed: Callable[[Store, int], None]
) -> None:
    kept = a_run(store)
    a_run(store)
    a_run(store, NOW)
    needed(store, kept)
    assert prune(store, CUT)["runs"] == 1
    for table in ("conflicts", "changes", "array_puts", "decisions", "holds"):
        assert store.value(f"select count(*) from {table} where run_id = :kept", {"kept": kept}) == 1


def test_the_latest_of_each_kind_is_kept_so_that_status_can_speak_of_it(store: Store) -> None:
    first, second = a_run(store), a_run(store)
    failed = a_run(store, outcome="outage")
    backup = a_run(store, trigger="backup")
    prune(store, CUT)
    assert [row["id"] for row in store.rows("select id from runs order by id")] == [second, failed, backup]
    assert first not in (second, failed, backup)


def test_a_plan_that_nobody_carried_out_goes_too(store: Store) -> None:
    run_id = start_run(store, now=OLD, version="1", trigger="plan")
    change: dict[str, Any] = {"run_id": run_id, "entity_id": "a", "variant": "var1", "side": "advo", "action": "create"}
    save_changes(store, [change])
    finish_run(store, run_id, now=OLD, outcome="done")
    finish_run(store, start_run(store, now=NOW, version="1", trigger="plan"), now=NOW, outcome="done")
    assert prune(store, CUT)["changes"] == 1


def test_more_runs_than_fit_a_transaction_go_all_the_same(store: Store) -> None:
    for _ in range(450):
        finish_run(store, start_run(store, now=OLD, version="1", trigger="sync"), now=OLD, outcome="done")
    assert prune(store, CUT)["runs"] == 449


def test_who_was_there_again_is_forgotten_and_what_ended_is_kept(store: Store) -> None:
    """Who returns with the betnr it had is recovered, however long that takes."""
    for entity_id in "abc":
        seen = {"kind": "no_betnr", "seen_betnr": None, "run_id": 1, "now": OLD}
        save_waits(store, [{"entity_id": entity_id, "betnr": 1, **seen}])
    return_from_wait(store, ["a"], OLD)
    end_wait(store, "b", OLD, approved=False)
    assert prune_returns(store, CUT) == 1
    assert [row["entity_id"] for row in store.rows("select entity_id from endings order by 1")] == ["b", "c"]


def test_a_whole_store_has_nothing_to_complain_of(store: Store) -> None:
    a_run(store)
    tidy(store)
    assert complaints(store) == []
