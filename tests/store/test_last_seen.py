"""What EspoCRM said of a value when it was last seen, also of one that no record holds any more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Channel, EspoItem
from etl.rules.snapshot_records import item_record
from etl.store.database import Store
from etl.store.schema import MIGRATIONS
from etl.store.tables.persons import save_listings, update_person
from etl.store.tables.snapshots import load_last_seen, save_items
from etl.store.upkeep.erase import erase, erase_from_copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl.records import EspoListing

NOW, LATER = "2026-08-30 10:00:00", "2026-08-30 11:00:00"
X, Y = "+495111234560", "+493022334455"
FORMER_ENTRIES_MIGRATION = next(number for number, migration in enumerate(MIGRATIONS) if "former_entries" in migration)


def phone_entry(value: str, kind: str | None = "Office", *, opt_out: bool = False) -> dict[str, Any]:
    return item_record(EspoItem(Channel.PHONE, value, kind, opt_out=opt_out), "DE")


def mail_entry(value: str, *, invalid: bool = False) -> dict[str, Any]:
    return item_record(EspoItem(Channel.MAIL, value, invalid=invalid), "DE")


@pytest.fixture
def filled_store(store: Store, make_listing: Callable[..., EspoListing]) -> Store:
    save_listings(store, [make_listing("a", 1), make_listing("b", 2)], NOW)
    update_person(store, "a", espo_seen_at=NOW)
    update_person(store, "b", espo_seen_at=LATER)
    return store


def last_seen_rows(store: Store, *canonicals: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in load_last_seen(store, canonicals)), key=str)


def test_what_a_record_holds_tells_of_the_value_for_everybody(filled_store: Store) -> None:
    save_items(
        filled_store, "a", [phone_entry("0511/123456-0", "Fax", opt_out=True), mail_entry("M@A.de", invalid=True)]
    )
    assert last_seen_rows(filled_store, X, "m@a.de", Y) == [("mail", "m@a.de", None, 0, 1), ("phone", X, "Fax", 1, 0)]
    assert last_seen_rows(filled_store) == []


def test_where_looks_differ_the_latest_counts(filled_store: Store) -> None:
    save_items(filled_store, "a", [phone_entry(X, "Fax", opt_out=True)])
    save_items(filled_store, "b", [phone_entry(X, "Home")])
    assert last_seen_rows(filled_store, X) == [("phone", X, "Home", 0, 0)]
    update_person(filled_store, "a", espo_seen_at="2026-08-30 12:00:00")
    assert last_seen_rows(filled_store, X) == [("phone", X, "Fax", 1, 0)]


def test_an_opt_out_is_remembered_beyond_the_last_record_that_had_the_value(filled_store: Store) -> None:
    save_items(
        filled_store,
        "a",
        [phone_entry(X, "Fax", opt_out=True), phone_entry(Y, "Fax"), mail_entry("M@A.de", invalid=True)],
    )
    save_items(filled_store, "a", [])
    assert last_seen_rows(filled_store, X, Y, "m@a.de") == [("mail", "m@a.de", None, 0, 1), ("phone", X, None, 1, 0)]
    assert filled_store.rows("select entity_id, value, seen_at from former_entries order by channel") == [
        {"entity_id": "a", "value": "M@A.de", "seen_at": NOW},
        {"entity_id": "a", "value": X, "seen_at": NOW},
    ]


def test_of_a_value_that_is_held_again_its_entry_tells(filled_store: Store) -> None:
    save_items(filled_store, "a", [phone_entry(X, opt_out=True)])
    save_items(filled_store, "a", [])
    save_items(filled_store, "a", [phone_entry(X)])
    assert last_seen_rows(filled_store, X) == [("phone", X, "Office", 0, 0)]
    save_items(filled_store, "a", [])
    assert last_seen_rows(filled_store, X) == []


def test_a_later_look_at_another_record_counts_more_than_what_one_had_before(filled_store: Store) -> None:
    save_items(filled_store, "a", [phone_entry(X, opt_out=True)])
    save_items(filled_store, "a", [])
    save_items(filled_store, "b", [phone_entry(X, "Home")])
    assert last_seen_rows(filled_store, X) == [("phone", X, "Home", 0, 0)]
    update_person(filled_store, "b", espo_seen_at="2026-08-30 09:00:00")
    assert last_seen_rows(filled_store, X) == [("phone", X, "Home", 1, 0)], "the latest type that any look tells"


def test_who_is_forgotten_has_no_former_entries(filled_store: Store, path: Path) -> None:
    save_items(filled_store, "a", [phone_entry(X, opt_out=True)])
    save_items(filled_store, "a", [])
    assert erase(filled_store, "a")
    assert last_seen_rows(filled_store, X) == []
    assert X.encode() not in path.read_bytes()


def write_first_edition_store(path: Path) -> None:
    """A store of 0ddc3ba in which a run removed an opted-out number and replaced an invalid mail."""
    with Store.open(path, now=NOW, durable=False, migrations=MIGRATIONS[:FORMER_ENTRIES_MIGRATION]) as old:
        old.execute("insert into runs (id, trigger, started_at) values (1, 'sync', :now)", {"now": NOW})
        for value, channel, flags, entity_id in (
            (X, "phone", {"opt_out": True, "invalid": False}, "a"),
            ("M@A.de", "mail", {"opt_out": False, "invalid": True}, "a"),
            (Y, "phone", {"opt_out": False, "invalid": False}, "a"),
            (X, "phone", {"opt_out": True, "invalid": False}, "b"),
        ):
            old.execute(
                """
                insert into changes (
                    run_id, entity_id, variant, side, action, channel, old_value, before, state, finished_at
                )
                values (1, :entity_id, 'var3', 'espo', 'remove', :channel, :value, :before, 'done', :now)
                """,
                {"entity_id": entity_id, "channel": channel, "value": value, "before": flags, "now": NOW},
            )
        old.execute(
            """
            insert into espo_entries (entity_id, channel, position, value, canonical, raw)
            values ('b', 'phone', 0, :value, :value, '{}')
            """,
            {"value": X},
        )


def test_a_store_of_the_first_edition_takes_opt_outs_from_its_journal(path: Path) -> None:
    write_first_edition_store(path)
    with Store.open(path, now=NOW, durable=False) as store:
        assert store.rows("select entity_id, channel, canonical, opt_out, invalid from former_entries") == [
            {"entity_id": "a", "channel": "mail", "canonical": "m@a.de", "opt_out": 0, "invalid": 1},
            {"entity_id": "a", "channel": "phone", "canonical": X, "opt_out": 1, "invalid": 0},
        ]


def test_a_person_is_erased_from_a_copy_that_knows_no_former_entries(path: Path) -> None:
    write_first_edition_store(path)
    assert erase_from_copy(path, "a")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("select entity_id from changes").fetchall() == [("b",)]
