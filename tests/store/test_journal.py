"""Intent before effect: what was begun is found again, however the process ended."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from etl.store.database import Store
from etl.store.tables.journal import (
    ChangeProgress,
    changes_of_run,
    close_plans,
    open_changes,
    open_decisions,
    save_changes,
    save_decisions,
    save_progress,
    set_change_state,
    set_decision_state,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def decision_fields(run_id: int, entity_id: str = "a", variant: str = "var1", **fields: Any) -> dict[str, Any]:
    return {"run_id": run_id, "entity_id": entity_id, "betnr": 1, "variant": variant, "created_at": NOW} | fields


def change_fields(run_id: int, decision_id: int | None = None, entity_id: str = "a", **fields: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "decision_id": decision_id,
        "entity_id": entity_id,
        "betnr": 1,
        "variant": "var1",
        "side": "advo",
        "action": "create",
    } | fields


def states_text(store: Store, table: str = "changes") -> str:
    return " ".join(row["state"] for row in store.rows(f"select state from {table} order by id"))


def test_a_plan_is_saved_and_the_ids_come_back_in_order(store: Store, run_id: int) -> None:
    foreseen = {"komm_id": None, "espo_value": "+49 1"}
    ids = save_decisions(
        store,
        [
            decision_fields(
                run_id, foreseen=foreseen, drops=[11, 12], facts={"in_espo": True}, reason="new", channel="phone"
            ),
            decision_fields(run_id, variant="var2", komm_id=11),
        ],
    )
    assert ids == [1, 2]
    assert store.rows("select * from decisions") == [
        {
            "id": 1,
            "run_id": run_id,
            "entity_id": "a",
            "betnr": 1,
            "variant": "var1",
            "reason": "new",
            "komm_id": None,
            "channel": "phone",
            "foreseen": '{"espo_value": "+49 1", "komm_id": null}',
            "drops": "[11, 12]",
            "facts": '{"in_espo": true}',
            "state": "planned",
            "created_at": NOW,
        },
        {
            "id": 2,
            "run_id": run_id,
            "entity_id": "a",
            "betnr": 1,
            "variant": "var2",
            "reason": None,
            "komm_id": 11,
            "channel": None,
            "foreseen": None,
            "drops": "[]",
            "facts": None,
            "state": "planned",
            "created_at": NOW,
        },
    ]


def test_a_write_is_recorded_from_intent_to_answer(store: Store, run_id: int) -> None:
    (decision_id,) = save_decisions(store, [decision_fields(run_id, foreseen={"x": 1}, drops=[7])])
    (change_id,) = save_changes(
        store,
        [
            change_fields(
                run_id,
                decision_id,
                seq=3,
                komm_kz=1,
                channel="phone",
                new_value="+49 1",
                new_remark="[ESPOCRM:…:1]",
                before=None,
                after={"tlf": "+49 1"},
                reason="new",
            )
        ],
    )
    set_change_state(store, [change_id], "started", now=NOW)
    save_progress(store, [ChangeProgress(change_id, "done", LATER, answered_row_id="R9", komm_id=99)])
    assert open_changes(store, ["a"]) == [
        {
            "id": change_id,
            "run_id": run_id,
            "decision_id": decision_id,
            "seq": 3,
            "entity_id": "a",
            "betnr": 1,
            "variant": "var1",
            "reason": "new",
            "side": "advo",
            "action": "create",
            "komm_id": 99,
            "komm_kz": 1,
            "channel": "phone",
            "old_value": None,
            "new_value": "+49 1",
            "old_remark": None,
            "new_remark": "[ESPOCRM:…:1]",
            "before": None,
            "after": {"tlf": "+49 1"},
            "answered_row_id": "R9",
            "state": "done",
            "settled": 0,
            "error": None,
            "started_at": NOW,
            "finished_at": LATER,
            "decision_variant": "var1",
            "decision_state": "planned",
            "foreseen": {"x": 1},
            "drops": [7],
            "facts": None,
        }
    ]


def test_what_is_not_given_stays(store: Store, run_id: int) -> None:
    ids = save_changes(store, [change_fields(run_id, komm_id=11)])
    set_change_state(store, ids, "started", now=NOW)
    save_progress(store, [ChangeProgress(ids[0], "unknown", NOW, error="timed out", answered_row_id="R1")])
    set_change_state(store, ids, "done", now=LATER)
    assert store.rows("select komm_id, answered_row_id, error, started_at, finished_at from changes") == [
        {"komm_id": 11, "answered_row_id": "R1", "error": "timed out", "started_at": NOW, "finished_at": LATER}
    ]


def test_only_what_was_begun_and_not_taken_in_is_open_in_the_order_of_the_writes(store: Store, run_id: int) -> None:
    """A mending write, numbered last, may be followed by another plan's first of the same run."""
    changes_of_a = [change_fields(run_id, seq=9 - n, action=f"{n}") for n in range(7)]
    ids = save_changes(store, [*changes_of_a, change_fields(run_id, None, "b")])
    for change_id, state in zip(
        ids, ["planned", "started", "done", "failed", "unknown", "held", "dropped", "started"], strict=True
    ):
        set_change_state(store, [change_id], state, now=NOW)
    assert [record["action"] for record in open_changes(store, ["a"])] == ["1", "2", "4"]
    assert [record["entity_id"] for record in open_changes(store)] == ["a", "a", "a", "b"]
    assert open_changes(store, []) == []


def test_a_started_write_is_found_after_the_process_died(store: Store, path: Path, run_id: int) -> None:
    ids = save_changes(store, [change_fields(run_id)])
    set_change_state(store, ids, "started", now=NOW)
    with Store.open(path, now=LATER) as next_process:
        assert [record["state"] for record in open_changes(next_process)] == ["started"]


def test_settling_closes_a_persons_plans(store: Store, run_id: int) -> None:
    decisions = save_decisions(store, [decision_fields(run_id), decision_fields(run_id), decision_fields(run_id, "b")])
    set_decision_state(store, decisions[:1], "done")
    change_done, change_unknown, _planned, _change_of_b = save_changes(
        store, [change_fields(run_id), change_fields(run_id), change_fields(run_id), change_fields(run_id, None, "b")]
    )
    set_change_state(store, [change_done], "done", now=NOW)
    set_change_state(store, [change_unknown], "unknown", now=NOW)
    assert [decision["id"] for decision in open_decisions(store, ["a"])] == decisions[:2]
    close_plans(store, "a")
    assert states_text(store) == "done unknown dropped planned"
    assert states_text(store, "decisions") == "settled superseded planned"
    assert [row["settled"] for row in store.rows("select settled from changes order by id")] == [1, 1, 1, 0]
    assert open_changes(store) == []
    assert open_decisions(store, ["a"]) == []


def test_a_step_without_its_run_is_refused(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        save_changes(store, [change_fields(77)])


def test_a_plan_is_saved_whole_or_not_at_all(store: Store, run_id: int) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        save_decisions(store, [decision_fields(run_id), decision_fields(run_id, state="odd")])
    assert store.rows("select * from decisions") == []


def test_undo_finds_what_a_run_wrote_with_the_image_before(store: Store, run_id: int) -> None:
    ids = save_changes(store, [change_fields(run_id, before={"tlf": "1"}), change_fields(run_id)])
    set_change_state(store, ids[:1], "done", now=NOW)
    close_plans(store, "a")
    assert [(record["id"], record["before"]) for record in changes_of_run(store, run_id)] == [(1, {"tlf": "1"})]
