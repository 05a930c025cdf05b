"""A value that lost is kept until somebody saw it or put it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.conflicts import (
    conflicts_to_note,
    list_conflicts,
    load_conflict,
    mark_noted,
    mark_restored,
    mark_seen,
    save_conflicts,
)
from etl.store.journal import save_changes, set_change_state

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def lost(run_id: int, value: str, **fields: Any) -> dict[str, Any]:
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
    (conflict_id,) = save_conflicts(store, [lost(run_id, "3")])
    assert load_conflict(store, conflict_id) == {
        "id": conflict_id,
        **lost(run_id, "3"),
        "change_id": None,
        "kept": "espo",
        "noted_at": None,
        "seen_at": None,
        "restored_at": None,
    }
    assert load_conflict(store, 99) is None


def test_what_was_seen_or_restored_is_no_longer_open(store: Store, run_id: int) -> None:
    ids = save_conflicts(store, [lost(run_id, value) for value in "123"])
    mark_seen(store, ids[:1], NOW)
    mark_restored(store, ids[1:2], NOW)
    assert [found["id"] for found in list_conflicts(store)] == ids[2:]
    assert [found["id"] for found in list_conflicts(store, everything=True)] == ids
    assert list_conflicts(store, run_id=99, everything=True) == []


def test_the_first_time_of_a_mark_stays(store: Store, run_id: int) -> None:
    ids = save_conflicts(store, [lost(run_id, "1")])
    for now in (NOW, LATER):
        mark_seen(store, ids, now)
        mark_noted(store, ids, now)
    assert store.rows("select seen_at, noted_at, restored_at from conflicts") == [
        {"seen_at": NOW, "noted_at": NOW, "restored_at": None}
    ]


def test_a_conflict_is_noted_once_and_only_when_the_value_was_overwritten(store: Store, run_id: int) -> None:
    step = {"run_id": run_id, "entity_id": "a", "variant": "clash", "side": "advo", "action": "update"}
    done, unknown = save_changes(store, [step, step])
    set_change_state(store, [done], "done", now=NOW)
    set_change_state(store, [unknown], "unknown", now=NOW)
    of_b = lost(run_id, "3", entity_id="b")
    ids = save_conflicts(store, [lost(run_id, "1", change_id=done), lost(run_id, "2", change_id=unknown), of_b])
    assert [found["id"] for found in conflicts_to_note(store, "a")] == ids[:1]
    mark_noted(store, ids, NOW)
    assert conflicts_to_note(store, "a") == []


def test_a_conflict_outlives_the_step_that_made_it(store: Store, run_id: int) -> None:
    step = {"run_id": run_id, "entity_id": "a", "variant": "clash", "side": "advo", "action": "update"}
    (change_id,) = save_changes(store, [step])
    save_conflicts(store, [lost(run_id, "1", change_id=change_id)])
    store.execute("delete from changes")
    assert [(found["advo_value"], found["change_id"]) for found in list_conflicts(store)] == [("1", None)]
