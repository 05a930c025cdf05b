"""Who is held stays held, by the run that held them first, until released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.holds import hold_persons, open_holds, release_holds
from etl.store.runs import start_run

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def hold(run_id: int, entity_id: str, kind: str = "removals", **fields: Any) -> dict[str, Any]:
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
    assert hold_persons(store, [hold(run_id, "a"), hold(run_id, "b")]) == ["a", "b"]
    again = [hold(later, "b", digest="e"), hold(later, "c"), hold(later, "a", "recovery")]
    assert hold_persons(store, again) == ["c", "a"]
    found = [(row["run_id"], row["entity_id"], row["kind"], row["digest"]) for row in open_holds(store)]
    assert found == [
        (run_id, "a", "removals", "d"),
        (run_id, "b", "removals", "d"),
        (later, "c", "removals", "d"),
        (later, "a", "recovery", "d"),
    ]
    assert [row["entity_id"] for row in open_holds(store, run_id=later)] == ["c", "a"]
    assert [row["kind"] for row in open_holds(store, entity_id="a")] == ["removals", "recovery"]


def test_a_released_person_may_be_held_again(store: Store, run_id: int) -> None:
    hold_persons(store, [hold(run_id, "a")])
    release_holds(store, [1], now=LATER, by="anna")
    release_holds(store, [1], now=LATER, by="otto")
    assert hold_persons(store, [hold(run_id, "a")]) == ["a"]
    assert store.rows("select entity_id, released_at, released_by from holds order by id") == [
        {"entity_id": "a", "released_at": LATER, "released_by": "anna"},
        {"entity_id": "a", "released_at": None, "released_by": None},
    ]
