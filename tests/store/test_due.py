"""Whose turn is next: nobody is forgotten, nobody comes before their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.store.due import (
    clear_due,
    due_persons,
    hot_persons,
    known_between,
    mark_due,
    next_of_sweep,
    oldest_looks,
    persons_to_poll,
    shared_betnrs,
)
from etl.store.endings import belonging_to_others, return_from_wait, save_waits
from etl.store.holds import hold_persons, open_holds, release_holds
from etl.store.persons import load_person, save_listings, update_person

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import Listing
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
EARLIER = "2026-08-30 09:45:00"
LATER = "2026-08-30 10:15:00"


def ids(persons: list[dict[str, Any]]) -> str:
    return " ".join(person["entity_id"] for person in persons)


@pytest.fixture
def firm(store: Store, listed: Callable[..., Listing]) -> Store:
    """a to e are linked with 1 to 5; u is not linked, s and t share a betnr, g is gone."""
    linked = [listed(entity_id, betnr) for betnr, entity_id in enumerate("abcde", start=1)]
    save_listings(store, [*linked, listed("u"), listed("s", 9), listed("t", 9), listed("g", 6)], NOW)
    update_person(store, "g", gone_at=NOW)
    return store


def mark(store: Store, entity_id: str) -> tuple[Any, ...]:
    person = load_person(store, entity_id)
    assert person is not None
    return person["due_since"], person["due_reason"], person["edited_by_other"]


def test_a_due_mark_keeps_the_earlier_time_with_its_reason(firm: Store) -> None:
    mark_due(firm, ["a"], "modified", EARLIER)
    mark_due(firm, ["a", "b"], "asked", NOW, edited_by_other=True)
    assert mark(firm, "a") == (EARLIER, "modified", 1)
    assert mark(firm, "b") == (NOW, "asked", 1)
    assert mark(firm, "c") == (None, None, 0)


def test_that_somebody_else_edited_is_kept_until_the_mark_is_cleared(firm: Store) -> None:
    mark_due(firm, ["a"], "modified", EARLIER, edited_by_other=True)
    mark_due(firm, ["a"], "sweep", NOW)
    assert mark(firm, "a") == (EARLIER, "modified", 1)
    clear_due(firm, ["a"])
    assert mark(firm, "a") == (None, None, 0)


def test_the_longest_waiting_come_first_and_only_those_that_can_be_synced(firm: Store) -> None:
    mark_due(firm, ["c", "s", "t", "g"], "modified", EARLIER)
    mark_due(firm, ["b", "a"], "modified", NOW)
    assert ids(due_persons(firm, NOW, 10)) == "c a b"
    assert ids(due_persons(firm, NOW, 2)) == "c a"
    assert ids(due_persons(firm, NOW, 10, excluding=["c"])) == "a b"


def test_who_is_not_linked_any_more_is_read_and_who_never_was_is_not(firm: Store) -> None:
    assert ids(due_persons(firm, NOW, 10)) == ""
    assert known_between(firm, "", None) == [*"abcdest"]
    mark_due(firm, ["u", "g"], "its betnr is gone", EARLIER)
    assert ids(due_persons(firm, NOW, 10)) == "u"
    assert known_between(firm, "", None) == [*"abcdestu"]


def test_a_betnr_of_a_person_that_waits_is_nobody_elses_yet(firm: Store, run_id: int) -> None:
    """x was synced with 3 and carries 4 now; c, which carries 3, waits with it."""
    wait = {"entity_id": "x", "betnr": 3, "kind": "other_betnr", "seen_betnr": 4, "run_id": run_id, "now": EARLIER}
    save_waits(firm, [wait])
    mark_due(firm, "abcde", "modified", NOW)
    assert ids(due_persons(firm, NOW, 10)) == "a b d e"
    assert "c" not in ids(oldest_looks(firm, 10))
    assert belonging_to_others(firm, [*"abc"]) == ["c"]
    return_from_wait(firm, ["x"], NOW)
    assert ids(due_persons(firm, NOW, 10)) == "a b c d e"


def test_a_pilot_group_may_mix_ids_and_betnr(firm: Store) -> None:
    mark_due(firm, "abcde", "modified", NOW)
    assert ids(due_persons(firm, NOW, 10, ["a", 3, "5"])) == "a c e"
    assert ids(next_of_sweep(firm, "", 10, ["a", 3, "5"])) == "a c e"
    assert ids(oldest_looks(firm, 10, only=[2])) == "b"


def test_a_retry_waits_for_its_time_unless_somebody_asks(firm: Store) -> None:
    mark_due(firm, "abcd", "modified", NOW)
    update_person(firm, "a", status="failed", next_retry_at=NOW)
    update_person(firm, "b", status="failed", next_retry_at=LATER)
    update_person(firm, "c", status="permanently_failed", auto_reset_at=LATER)
    update_person(firm, "d", status="permanently_failed", auto_reset_at=NOW)
    assert ids(due_persons(firm, NOW, 10)) == "a d"
    assert ids(due_persons(firm, LATER, 10)) == "a c d b"  # b waits since its retry time
    assert ids(due_persons(firm, NOW, 10, asked=True)) == "a c d b"


def test_a_held_person_stays_due_but_is_not_taken_until_released(firm: Store, run_id: int) -> None:
    mark_due(firm, "ab", "modified", NOW)
    hold_persons(firm, [{"run_id": run_id, "entity_id": "a", "kind": "removals", "held_at": NOW}])
    assert ids(due_persons(firm, NOW, 10, asked=True)) == "b"
    release_holds(firm, [hold["id"] for hold in open_holds(firm)], now=LATER, by="anna")
    assert ids(due_persons(firm, NOW, 10)) == "a b"


def test_a_sweep_sees_every_linked_person_once_in_chunks(firm: Store) -> None:
    chunks = []
    position = ""
    while chunk := next_of_sweep(firm, position, 2):
        chunks.append(ids(chunk))
        position = chunk[-1]["entity_id"]
    assert chunks == ["a b", "c d", "e"]


def test_the_oldest_look_comes_first_never_looked_at_before_all(firm: Store) -> None:
    update_person(firm, "a", advo_seen_at=NOW)
    update_person(firm, "b", advo_seen_at=EARLIER)
    update_person(firm, "e", status="deleted_in_advoware")
    assert ids(oldest_looks(firm, 10)) == "c d b a"
    assert ids(oldest_looks(firm, 2, excluding=["c"])) == "d b"


def test_of_persons_looked_at_together_the_latest_changed_on_either_side_is_hottest(firm: Store) -> None:
    for entity_id in "abcdes":
        update_person(firm, entity_id, advo_seen_at="2026-08-30 08:00:00")
    update_person(firm, "a", espo_changed_at=EARLIER)
    update_person(firm, "b", advo_changed_at=LATER)
    update_person(firm, "c", espo_changed_at=NOW, advo_changed_at=EARLIER)
    update_person(firm, "s", espo_changed_at=LATER)
    assert ids(hot_persons(firm, LATER, 10)) == "b c a"
    assert ids(hot_persons(firm, LATER, 1, excluding=["b"])) == "c"


def test_who_was_just_looked_at_leaves_the_look_to_somebody_else(firm: Store) -> None:
    update_person(firm, "a", advo_changed_at="2026-08-30 10:05:00", advo_seen_at="2026-08-30 10:14:00")
    update_person(firm, "b", advo_changed_at="2026-08-27 10:15:00", advo_seen_at="2026-08-30 08:00:00")
    assert ids(hot_persons(firm, LATER, 10)) == "b a"


def test_half_of_a_poll_goes_to_the_oldest_looks_and_nobody_is_polled_twice(firm: Store) -> None:
    for hour, entity_id in enumerate("abcde"):
        update_person(firm, entity_id, advo_seen_at=f"2026-08-30 0{hour}:00:00", advo_changed_at=NOW)
    assert sorted(ids(persons_to_poll(firm, LATER, 4)).split()) == ["a", "b", "c", "d"]
    assert ids(persons_to_poll(firm, LATER, 4))[:3] == "c d"
    assert ids(persons_to_poll(firm, LATER, 4, excluding=["a"])) == "d e b c"


def test_records_that_share_a_betnr_are_named(firm: Store, listed: Callable[..., Listing]) -> None:
    save_listings(firm, [listed("g2", 6), listed("x", 3)], NOW)
    assert shared_betnrs(firm) == [(3, ["c", "x"]), (9, ["s", "t"])]


def test_a_record_is_linked_again_once_the_other_with_its_betnr_is_gone(firm: Store) -> None:
    mark_due(firm, ["s"], "modified", NOW)
    update_person(firm, "t", gone_at=NOW)
    assert ids(due_persons(firm, NOW, 10)) == "s"
    assert shared_betnrs(firm) == []
