"""Whose turn is next: nobody is forgotten, nobody comes before their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.store.tables.endings import close_waits_on_return, persons_with_betnr_of_others, save_waits
from etl.store.tables.holds import insert_holds, open_holds, release_holds
from etl.store.tables.persons import load_person, save_listings, update_person
from etl.store.tables.queue import (
    betnrs_of_several_records,
    clear_due,
    due_persons,
    ids_of_linked_between,
    longest_unread_persons,
    mark_due,
    persons_to_poll,
    recently_changed_persons,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import EspoListing
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
EARLIER = "2026-08-30 09:45:00"
LATER = "2026-08-30 10:15:00"


def ids_text(persons: list[dict[str, Any]]) -> str:
    return " ".join(person["entity_id"] for person in persons)


@pytest.fixture
def filled_store(store: Store, make_listing: Callable[..., EspoListing]) -> Store:
    """a to e are linked with 1 to 5; u is not linked, s and t share a betnr, g is gone."""
    linked = [make_listing(entity_id, betnr) for betnr, entity_id in enumerate("abcde", start=1)]
    save_listings(
        store, [*linked, make_listing("u"), make_listing("s", 9), make_listing("t", 9), make_listing("g", 6)], NOW
    )
    update_person(store, "g", gone_at=NOW)
    return store


def due_mark(store: Store, entity_id: str) -> tuple[Any, ...]:
    person = load_person(store, entity_id)
    assert person is not None
    return person["due_since"], person["due_reason"], person["edited_by_other"]


def test_a_due_mark_keeps_the_earlier_time_with_its_reason(filled_store: Store) -> None:
    mark_due(filled_store, ["a"], "modified", EARLIER)
    mark_due(filled_store, ["a", "b"], "asked", NOW, edited_by_other=True)
    assert due_mark(filled_store, "a") == (EARLIER, "modified", 1)
    assert due_mark(filled_store, "b") == (NOW, "asked", 1)
    assert due_mark(filled_store, "c") == (None, None, 0)


def test_that_somebody_else_edited_is_kept_until_the_mark_is_cleared(filled_store: Store) -> None:
    mark_due(filled_store, ["a"], "modified", EARLIER, edited_by_other=True)
    mark_due(filled_store, ["a"], "sweep", NOW)
    assert due_mark(filled_store, "a") == (EARLIER, "modified", 1)
    clear_due(filled_store, ["a"])
    assert due_mark(filled_store, "a") == (None, None, 0)


def test_the_longest_waiting_come_first_and_only_those_that_can_be_synced(filled_store: Store) -> None:
    mark_due(filled_store, ["c", "s", "t", "g"], "modified", EARLIER)
    mark_due(filled_store, ["b", "a"], "modified", NOW)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "c a b"
    assert ids_text(due_persons(filled_store, NOW, 2)) == "c a"
    assert ids_text(due_persons(filled_store, NOW, 10, excluding=["c"])) == "a b"


def test_who_is_not_linked_any_more_is_read_and_who_never_was_is_not(filled_store: Store) -> None:
    assert ids_text(due_persons(filled_store, NOW, 10)) == ""
    assert ids_of_linked_between(filled_store, "", None) == [*"abcdest"]
    mark_due(filled_store, ["u", "g"], "its betnr is gone", EARLIER)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "u"
    assert ids_of_linked_between(filled_store, "", None) == [*"abcdestu"]


def test_a_betnr_of_a_person_that_waits_is_nobody_elses_yet(filled_store: Store, run_id: int) -> None:
    """x was synced with 3 and carries 4 now; c, which carries 3, waits with it."""
    wait = {"entity_id": "x", "betnr": 3, "kind": "other_betnr", "seen_betnr": 4, "run_id": run_id, "now": EARLIER}
    save_waits(filled_store, [wait])
    mark_due(filled_store, "abcde", "modified", NOW)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "a b d e"
    assert "c" not in ids_text(longest_unread_persons(filled_store, 10))
    assert persons_with_betnr_of_others(filled_store, [*"abc"]) == ["c"]
    close_waits_on_return(filled_store, ["x"], NOW)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "a b c d e"


def test_a_pilot_group_may_mix_ids_and_betnr(filled_store: Store) -> None:
    mark_due(filled_store, "abcde", "modified", NOW)
    assert ids_text(due_persons(filled_store, NOW, 10, ["a", 3, "5"])) == "a c e"
    assert ids_text(longest_unread_persons(filled_store, 10, only=[2])) == "b"


def test_a_retry_waits_for_its_time(filled_store: Store) -> None:
    mark_due(filled_store, "abcd", "modified", NOW)
    update_person(filled_store, "a", status="failed", next_retry_at=NOW)
    update_person(filled_store, "b", status="failed", next_retry_at=LATER)
    update_person(filled_store, "c", status="permanently_failed", auto_reset_at=LATER)
    update_person(filled_store, "d", status="permanently_failed", auto_reset_at=NOW)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "a d"
    assert ids_text(due_persons(filled_store, LATER, 10)) == "a c d b"  # b waits since its retry time


def test_a_held_person_stays_due_but_is_not_taken_until_released(filled_store: Store, run_id: int) -> None:
    mark_due(filled_store, "ab", "modified", NOW)
    insert_holds(filled_store, [{"run_id": run_id, "entity_id": "a", "kind": "removals", "held_at": NOW}])
    assert ids_text(due_persons(filled_store, NOW, 10)) == "b"
    release_holds(filled_store, [hold["id"] for hold in open_holds(filled_store)], now=LATER, released_by="anna")
    assert ids_text(due_persons(filled_store, NOW, 10)) == "a b"


def test_the_oldest_look_comes_first_never_looked_at_before_all(filled_store: Store) -> None:
    update_person(filled_store, "a", advo_seen_at=NOW)
    update_person(filled_store, "b", advo_seen_at=EARLIER)
    update_person(filled_store, "e", status="deleted_in_advoware")
    assert ids_text(longest_unread_persons(filled_store, 10)) == "c d b a"
    assert ids_text(longest_unread_persons(filled_store, 2, excluding=["c"])) == "d b"


def test_of_persons_looked_at_together_the_latest_changed_on_either_side_is_hottest(filled_store: Store) -> None:
    for entity_id in "abcdes":
        update_person(filled_store, entity_id, advo_seen_at="2026-08-30 08:00:00")
    update_person(filled_store, "a", espo_changed_at=EARLIER)
    update_person(filled_store, "b", advo_changed_at=LATER)
    update_person(filled_store, "c", espo_changed_at=NOW, advo_changed_at=EARLIER)
    update_person(filled_store, "s", espo_changed_at=LATER)
    assert ids_text(recently_changed_persons(filled_store, LATER, 10)) == "b c a"
    assert ids_text(recently_changed_persons(filled_store, LATER, 1, excluding=["b"])) == "c"


def test_who_was_just_looked_at_leaves_the_look_to_somebody_else(filled_store: Store) -> None:
    update_person(filled_store, "a", advo_changed_at="2026-08-30 10:05:00", advo_seen_at="2026-08-30 10:14:00")
    update_person(filled_store, "b", advo_changed_at="2026-08-27 10:15:00", advo_seen_at="2026-08-30 08:00:00")
    assert ids_text(recently_changed_persons(filled_store, LATER, 10)) == "b a"


def test_half_of_a_poll_goes_to_the_oldest_looks_and_nobody_is_polled_twice(filled_store: Store) -> None:
    for hour, entity_id in enumerate("abcde"):
        update_person(filled_store, entity_id, advo_seen_at=f"2026-08-30 0{hour}:00:00", advo_changed_at=NOW)
    assert sorted(ids_text(persons_to_poll(filled_store, LATER, 4)).split()) == ["a", "b", "c", "d"]
    assert ids_text(persons_to_poll(filled_store, LATER, 4))[:3] == "c d"
    assert ids_text(persons_to_poll(filled_store, LATER, 4, excluding=["a"])) == "d e b c"


def test_records_that_share_a_betnr_are_named(filled_store: Store, make_listing: Callable[..., EspoListing]) -> None:
    save_listings(filled_store, [make_listing("g2", 6), make_listing("x", 3)], NOW)
    assert betnrs_of_several_records(filled_store) == [(3, ["c", "x"]), (9, ["s", "t"])]


def test_a_record_is_linked_again_once_the_other_with_its_betnr_is_gone(filled_store: Store) -> None:
    mark_due(filled_store, ["s"], "modified", NOW)
    update_person(filled_store, "t", gone_at=NOW)
    assert ids_text(due_persons(filled_store, NOW, 10)) == "s"
    assert betnrs_of_several_records(filled_store) == []
