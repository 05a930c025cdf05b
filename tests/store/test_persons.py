"""What a list of EspoCRM leaves in the table persons, and how people find a person there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.errors import StoreError
from etl.store.tables.persons import (
    find_persons,
    load_person,
    load_persons,
    save_listings,
    update_person,
)
from etl.store.tables.queue import mark_due

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import EspoListing
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def test_an_unknown_record_is_stored_as_the_list_shows_it(
    store: Store, make_listing: Callable[..., EspoListing]
) -> None:
    save_listings(store, [make_listing("a", 104860, status="dirty", fingerprint="f", next_retry_at=LATER)], NOW)
    assert load_person(store, "a") == {
        "entity_id": "a",
        "betnr": 104860,
        "name": "A",
        "status": None,
        "due_since": None,
        "due_reason": None,
        "last_sync_at": None,
        "fingerprint": None,
        "retry_count": 0,
        "next_retry_at": None,
        "auto_reset_at": None,
        "error": None,
        "espo_modified_at": "2026-08-01 08:00:00",
        "espo_seen_at": None,
        "advo_seen_at": None,
        "espo_status": "dirty",
        "espo_fingerprint": "f",
        "espo_modified_by": "user",
        "espo_version": None,
        "own_modified_at": None,
        "edited_by_other": 0,
        "espo_changed_at": None,
        "advo_changed_at": None,
        "status_written": None,
        "fingerprint_written": None,
        "status_sent": None,
        "fingerprint_sent": None,
        "foreign_writes": 0,
        "waiting_side": None,
        "advo_fields": None,
        "advo_fingerprint": None,
        "gone_at": None,
        "agreed_betnr": None,
        "synced_betnr": None,
        "espo_locked": 0,
    }


def test_a_known_record_keeps_its_due_mark_and_what_we_decided(
    store: Store, make_listing: Callable[..., EspoListing]
) -> None:
    save_listings(store, [make_listing("a", 1)], NOW)
    mark_due(store, ["a"], "modified", NOW)
    update_person(store, "a", status="clean", fingerprint="ours", retry_count=2, advo_seen_at=NOW, gone_at=NOW)
    before = load_person(store, "a")
    save_listings(store, [make_listing("a", 2, name="New", status="failed", fingerprint="theirs")], LATER)
    assert before is not None
    assert load_person(store, "a") == before | {
        "betnr": 2,
        "name": "New",
        "espo_status": "failed",
        "espo_fingerprint": "theirs",
        "gone_at": None,
        "agreed_betnr": None,
    }


@pytest.mark.parametrize(
    ("modified_at", "changed_at"),
    [
        ("2026-08-01 08:00:00", None),  # as before
        ("2026-08-30 09:00:00", None),  # our own write
        ("2026-08-30 09:30:00", LATER),
        (None, LATER),
    ],
)
def test_a_record_modified_by_somebody_else_counts_as_changed(
    store: Store, make_listing: Callable[..., EspoListing], modified_at: str | None, changed_at: str | None
) -> None:
    save_listings(store, [make_listing("a", 1)], NOW)
    update_person(store, "a", own_modified_at="2026-08-30 09:00:00")
    save_listings(store, [make_listing("a", 1, modified_at=modified_at)], LATER)
    person = load_person(store, "a")
    assert person is not None
    assert (person["espo_modified_at"], person["espo_changed_at"]) == (modified_at, changed_at)


def test_a_person_is_found_by_id_and_by_betnr(store: Store, make_listing: Callable[..., EspoListing]) -> None:
    save_listings(store, [make_listing("a", 7), make_listing("b", 7), make_listing("c", 8), make_listing("d")], NOW)
    ids_by_key = {
        key: [person["entity_id"] for person in find_persons(store, key)] for key in ("a", " 7 ", "8", "9", "")
    }
    assert ids_by_key == {"a": ["a"], " 7 ": ["a", "b"], "8": ["c"], "9": [], "": []}
    assert [person["entity_id"] for person in load_persons(store, ["c", "a", "z"])] == ["a", "c"]
    assert load_person(store, "z") is None


def test_an_unknown_person_cannot_be_updated(store: Store) -> None:
    with pytest.raises(StoreError, match="knows no person z"):
        update_person(store, "z", status="clean")
