"""A value that lost is kept until somebody saw it or put it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.tables.conflicts import (
    conflicts_to_note,
    list_conflicts,
    load_conflict,
    save_conflicts,
    set_noted_at,
    set_restored_at,
    set_seen_at,
)
from etl.store.tables.journal import save_changes, set_change_state

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def conflict_fields(run_id: int, value: str, **fields: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "entity_id": "a",
        "betnr": 1,
        "variant": "clash",
        "komm_id": 11,
        "channel": "phone",
        "espo_value": "+49 1",
        "advo_value": value,
        "reason": "EspoCRM wins",
        "created_at": NOW,
    } | fields


def test_both_values_are_kept_and_espocrm_is_who_wins(store: Store, run_id: int) -> None:
    (conflict_id,) = save_conflicts(store, [conflict_fields(run_id, "3")])
    assert load_conflict(store, conflict_id) == {
        "id": conflict_id,
        **conflict_fields(run_id, "3"),
        "change_id": None,
        "kept": "espo",
        "noted_at": None,
        "seen_at": None,
        "restored_at": None,
    }
    assert load_conflict(store, 99) is None


def test_what_was_seen_or_restored_is_no_longer_open(store: Store, run_id: int) -> None:
    ids = save_conflicts(store, [conflict_fields(run_id, value) for value in "123"])
    set_seen_at(store, ids[:1], NOW)
    set_restored_at(store, ids[1:2], NOW)
    assert [conflict["id"] for conflict in list_conflicts(store)] == ids[2:]
    assert [conflict["id"] for conflict in list_conflicts(store, include_closed=True)] == ids


def test_the_first_time_of_a_mark_stays(store: Store, run_id: int) -> None:
    ids = save_conflicts(store, [conflict_fields(run_id, "1")])
    for now in (NOW, LATER):
        set_seen_at(store, ids, now)
        set_noted_at(store, ids, now)
    assert store.rows("select seen_at, noted_at, restored_at from conflicts") == [
        {"seen_at": NOW, "noted_at": NOW, "restored_at": None}
    ]


def test_a_conflict_is_noted_once_and_only_when_the_value_was_overwritten(store: Store, run_id: int) -> None:
    step = {"run_id": run_id, "entity_id": "a", "variant": "clash", "side": "advo", "action": "update"}
    change_done, change_unknown = save_changes(store, [step, step])
    set_change_state(store, [change_done], "done", now=NOW)
    set_change_state(store, [change_unknown], "unknown", now=NOW)
    conflict_of_b = conflict_fields(run_id, "3", entity_id="b")
    ids = save_conflicts(
        store,
        [
            conflict_fields(run_id, "1", change_id=change_done),
            conflict_fields(run_id, "2", change_id=change_unknown),
            conflict_of_b,
        ],
    )
    assert [conflict["id"] for conflict in conflicts_to_note(store, "a")] == ids[:1]
    set_noted_at(store, ids, NOW)
    assert conflicts_to_note(store, "a") == []


def test_a_conflict_outlives_the_step_that_made_it(store: Store, run_id: int) -> None:
    step = {"run_id": run_id, "entity_id": "a", "variant": "clash", "side": "advo", "action": "update"}
    (change_id,) = save_changes(store, [step])
    save_conflicts(store, [conflict_fields(run_id, "1", change_id=change_id)])
    store.execute("delete from changes")
    assert [(conflict["advo_value"], conflict["change_id"]) for conflict in list_conflicts(store)] == [("1", None)]
