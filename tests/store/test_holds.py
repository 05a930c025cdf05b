"""Who is held stays held, by the run that held them first, until released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.tables.holds import insert_holds, open_holds, release_holds
from etl.store.tables.runs import start_run

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def hold_fields(run_id: int, entity_id: str, kind: str = "removals", **fields: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "entity_id": entity_id,
        "betnr": 1,
        "kind": kind,
        "reason": "too many",
        "digest": "d",
        "held_at": NOW,
    } | fields


def test_only_the_newly_held_are_named_and_the_first_hold_stays(store: Store, run_id: int) -> None:
    later = start_run(store, now=LATER, version="1", trigger="sync")
    assert insert_holds(store, [hold_fields(run_id, "a"), hold_fields(run_id, "b")]) == ["a", "b"]
    later_holds = [hold_fields(later, "b", digest="e"), hold_fields(later, "c"), hold_fields(later, "a", "recovery")]
    assert insert_holds(store, later_holds) == ["c", "a"]
    holds = [(row["run_id"], row["entity_id"], row["kind"], row["digest"]) for row in open_holds(store)]
    assert holds == [
        (run_id, "a", "removals", "d"),
        (run_id, "b", "removals", "d"),
        (later, "c", "removals", "d"),
        (later, "a", "recovery", "d"),
    ]
    assert [row["entity_id"] for row in open_holds(store, run_id=later)] == ["c", "a"]
    assert [row["kind"] for row in open_holds(store, entity_id="a")] == ["removals", "recovery"]


def test_a_released_person_may_be_held_again(store: Store, run_id: int) -> None:
    insert_holds(store, [hold_fields(run_id, "a")])
    release_holds(store, [1], now=LATER, released_by="anna")
    release_holds(store, [1], now=LATER, released_by="otto")
    assert insert_holds(store, [hold_fields(run_id, "a")]) == ["a"]
    assert store.rows("select entity_id, released_at, released_by from holds order by id") == [
        {"entity_id": "a", "released_at": LATER, "released_by": "anna"},
        {"entity_id": "a", "released_at": None, "released_by": None},
    ]
