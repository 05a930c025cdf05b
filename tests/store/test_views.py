"""Each view answers the question it is named after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.store.queries.canned import CANNED_QUERIES
from etl.store.queries.status import count_persons_by_status
from etl.store.tables.baseline import save_left_alone
from etl.store.tables.conflicts import save_conflicts, set_seen_at
from etl.store.tables.holds import insert_holds, release_holds
from etl.store.tables.journal import save_changes, set_change_state
from etl.store.tables.persons import save_listings, update_person
from etl.store.tables.queue import mark_due
from etl.store.tables.runs import finish_run, start_run
from etl.store.tables.snapshots import save_items, save_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import EspoListing
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:01:30"


@pytest.fixture
def filled_store(store: Store, make_listing: Callable[..., EspoListing]) -> Store:
    save_listings(store, [make_listing("a", 1), make_listing("b", 2), make_listing("u")], NOW)
    return store


def view_item(channel: str, value: str, canonical: str) -> dict[str, Any]:
    flags = {"type": None, "is_primary": False, "opt_out": False, "invalid": False, "raw": "{}"}
    flags |= {"doubt": None, "readings": None}
    return {"channel": channel, "value": value, "canonical": canonical} | flags


def view_row(komm_id: int, value: str | None, canonical: str | None, channel: str | None) -> dict[str, Any]:
    rest = dict.fromkeys(("remark", "own_text", "marker_value", "marker_canonical", "marker_komm_kz", "field_komm_kz"))
    rest |= dict.fromkeys(("doubt", "readings"))
    flags = {"marker_kind": "none", "is_slot": value is None, "komm_kz": 0, "online": False, "mobile": False}
    values = {"komm_id": komm_id, "row_id": "R", "value": value, "canonical": canonical, "channel": channel}
    return rest | flags | values


def test_last_runs(store: Store) -> None:
    finish_run(store, start_run(store, now=NOW, version="1", trigger="sync"), now=LATER, outcome="done")
    start_run(store, now=LATER, version="1", trigger="sweep")
    runs = store.rows("select id, trigger, seconds, outcome from last_runs")
    assert runs == [
        {"id": 2, "trigger": "sweep", "seconds": None, "outcome": None},
        {"id": 1, "trigger": "sync", "seconds": 90, "outcome": "done"},
    ]


def test_failing_persons(filled_store: Store) -> None:
    mark_due(filled_store, ["a", "b"], "modified", NOW)
    update_person(filled_store, "a", status="failed", error="refused", retry_count=2, next_retry_at=LATER)
    update_person(filled_store, "u", status="clean")
    assert filled_store.rows("select * from failing_persons") == [
        {
            "entity_id": "a",
            "betnr": 1,
            "name": "A",
            "status": "failed",
            "error": "refused",
            "retry_count": 2,
            "next_attempt_at": LATER,
            "last_sync_at": None,
            "due_since": NOW,
        }
    ]


def test_who_is_held_is_held_in_every_view_that_says_how_persons_stand(filled_store: Store, run_id: int) -> None:
    for entity_id in "abu":
        update_person(filled_store, entity_id, status="failed", error="refused", advo_seen_at=NOW, espo_seen_at=NOW)
    update_person(filled_store, "b", status=None, error=None)
    save_items(filled_store, "a", [view_item("phone", "+49 1", "+491")])
    in_view = "select status, reason, held_by_run from person_status order by entity_id"
    failing, undecided, unlinked = (
        {"status": status, "reason": reason, "held_by_run": None}
        for status, reason in (("failed", "refused"), ("undecided", None), ("not_linked", "refused"))
    )
    assert filled_store.rows(in_view) == [failing, undecided, unlinked]
    hold = {"run_id": run_id, "kind": "removals", "reason": "too many", "held_at": NOW}
    insert_holds(filled_store, [hold | {"entity_id": entity_id} for entity_id in "au"])
    insert_holds(filled_store, [hold | {"entity_id": "a", "kind": "recovery"}])
    held = {"status": "held", "reason": "too many", "held_by_run": run_id}
    assert filled_store.rows(in_view) == [held, undecided, held]
    assert filled_store.rows("select entity_id from failing_persons") == []
    assert filled_store.rows(CANNED_QUERIES["who_fails_and_why"].sql) == []
    assert filled_store.rows("select entity_id, status from stale_persons") == [
        {"entity_id": "a", "status": "held"}, {"entity_id": "b", "status": None}
    ]  # fmt: skip
    assert filled_store.rows("select entity_id, held from differences") == [{"entity_id": "a", "held": "too many"}]
    assert count_persons_by_status(filled_store) == {"held": 2, "undecided": 1}
    release_holds(filled_store, [1, 2, 3], now=LATER, released_by="anna")
    assert count_persons_by_status(filled_store) == {"failed": 1, "undecided": 1, "not_linked": 1}
    for question in ("select entity_id from failing_persons", CANNED_QUERIES["who_fails_and_why"].sql):
        assert [row["entity_id"] for row in filled_store.rows(question)] == ["a"]  # u is not linked


def test_open_conflicts(filled_store: Store, run_id: int) -> None:
    conflict = {
        "run_id": run_id,
        "entity_id": "a",
        "betnr": 1,
        "variant": "clash",
        "advo_value": "3",
        "created_at": NOW,
    }
    seen_id, _open_id = save_conflicts(filled_store, [conflict, conflict])
    set_seen_at(filled_store, [seen_id], NOW)
    assert filled_store.rows("select id, name, advo_value, kept from open_conflicts") == [
        {"id": 2, "name": "A", "advo_value": "3", "kept": "espo"}
    ]


def test_unsyncable_entries(filled_store: Store) -> None:
    entry = {"side": "espo", "channel": "mail", "value": "ü@a.de"}
    twice = [entry | {"reason": "unsyncable", "detail": "umlaut"}, entry | {"reason": "duplicate"}]
    save_left_alone(filled_store, "a", twice, NOW)
    assert filled_store.rows("select entity_id, name, value, detail, since from unsyncable_entries") == [
        {"entity_id": "a", "name": "A", "value": "ü@a.de", "detail": "umlaut", "since": NOW}
    ]


def test_stale_persons(filled_store: Store) -> None:
    update_person(filled_store, "b", advo_seen_at="2020-01-01 00:00:00")
    assert [person["entity_id"] for person in filled_store.rows("select * from stale_persons")] == ["a", "b"]
    update_person(filled_store, "a", advo_seen_at="2999-01-01 00:00:00")
    update_person(filled_store, "b", gone_at=NOW)
    assert filled_store.rows("select * from stale_persons") == []


def test_changes_by_day(filled_store: Store, run_id: int) -> None:
    step = {"run_id": run_id, "variant": "var1", "side": "advo", "action": "create"}
    ids = save_changes(filled_store, [step | {"entity_id": entity_id} for entity_id in "aabb"])
    set_change_state(filled_store, ids[:3], "done", now=NOW)
    assert filled_store.rows("select * from changes_by_day") == [
        {"day": "2026-08-30", "side": "advo", "variant": "var1", "action": "create", "changes": 3, "persons": 2}
    ]


def test_differences(filled_store: Store) -> None:
    for entity_id in "ab":
        update_person(filled_store, entity_id, espo_seen_at=NOW, advo_seen_at=NOW)
    phones = [view_item("phone", "+49 1", "+491"), view_item("phone", "abc", "abc")]
    save_items(filled_store, "a", [*phones, view_item("mail", "X@a.de", "x@a.de")])
    save_rows(
        filled_store,
        1,
        [
            view_row(11, "01", "+491", "phone"),  # the same number
            view_row(12, "new", "new", "phone"),
            view_row(13, None, None, "phone"),  # a slot
            view_row(14, "www", "www", None),  # not relevant
            view_row(15, "x@a.de", "x@a.de", "mail"),
        ],
    )
    save_left_alone(
        filled_store, "a", [{"side": "espo", "channel": "phone", "value": "abc", "reason": "unsyncable"}], NOW
    )
    common = {"entity_id": "a", "betnr": 1, "name": "A", "channel": "phone", "due_since": None}
    assert filled_store.rows("select * from differences") == [
        common | {"value": "new", "stands_in": "advo", "komm_id": 12, "left_alone": None, "held": None},
        common | {"value": "abc", "stands_in": "espo", "komm_id": None, "left_alone": "unsyncable", "held": None},
    ]


def test_a_person_of_whom_one_side_was_never_read_shows_no_differences(filled_store: Store) -> None:
    save_items(filled_store, "a", [view_item("phone", "+49 1", "+491")])
    update_person(filled_store, "a", espo_seen_at=NOW)
    assert filled_store.rows("select * from differences") == []
