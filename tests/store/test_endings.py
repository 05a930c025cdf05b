"""Who waits and who ended: counted over runs, kept by the first look, and known from a store of the first edition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.rules.guards import too_many_endings
from etl.store.database import Store
from etl.store.schema import ENDINGS_TABLE, MIGRATIONS
from etl.store.tables.endings import (
    close_wait_as_ending,
    close_waits_on_return,
    count_persons_read_since,
    count_recent_endings,
    has_ended_before,
    load_open_waits,
    recently_read_persons,
    save_waits,
)
from etl.store.tables.holds import insert_holds, release_holds
from etl.store.tables.persons import save_listings, update_person
from etl.store.tables.snapshots import load_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl.records import EspoListing

YESTERDAY, NOW, LATER = "2026-08-29 09:59:00", "2026-08-30 10:00:00", "2026-08-30 10:15:00"
A_DAY_AGO = "2026-08-29 10:00:00"


def wait_record(entity_id: str, run_id: int, now: str = NOW, **changes: Any) -> dict[str, Any]:
    defaults = {"betnr": 1, "kind": "no_betnr", "seen_betnr": None}
    return {"entity_id": entity_id, "run_id": run_id, "now": now} | defaults | changes


def first_read(store: Store, entity_id: str) -> tuple[Any, ...]:
    wait = load_open_waits(store)[entity_id]
    return wait["run_id"], wait["seen_at"], wait["last_seen_at"]


def test_a_wait_keeps_its_first_look_as_long_as_the_same_is_seen(store: Store) -> None:
    save_waits(store, [wait_record("a", 1)])
    save_waits(store, [wait_record("a", 2, LATER)])
    assert first_read(store, "a") == (1, NOW, LATER)
    save_waits(store, [wait_record("a", 3, LATER, kind="other_betnr", seen_betnr=7)])
    assert first_read(store, "a") == (3, LATER, LATER)
    save_waits(store, [wait_record("a", 4, LATER, kind="other_betnr", seen_betnr=8)])
    assert first_read(store, "a") == (4, LATER, LATER)


def test_a_wait_that_is_over_begins_anew(store: Store) -> None:
    save_waits(store, [wait_record("a", 1), wait_record("b", 1)])
    close_waits_on_return(store, ["a"], NOW)
    close_wait_as_ending(store, "b", NOW, approved=False)
    assert load_open_waits(store) == {}
    assert has_ended_before(store, "b", "no_betnr", None)
    assert not has_ended_before(store, "a", "no_betnr", None)
    save_waits(store, [wait_record("a", 2, LATER), wait_record("b", 2, LATER)])
    assert [first_read(store, entity_id)[0] for entity_id in "ab"] == [2, 2]


def test_who_waits_and_who_ended_within_a_day_counts_and_nobody_twice(store: Store, run_id: int) -> None:
    """a waits since long, b since today; c ended today, d yesterday, e with approval, f is there again."""
    save_waits(
        store, [wait_record(entity_id, run_id, YESTERDAY if entity_id in "ah" else NOW) for entity_id in "abcdefh"]
    )
    for entity_id, at, approved in (("c", NOW, False), ("d", YESTERDAY, False), ("e", NOW, True)):
        close_wait_as_ending(store, entity_id, at, approved=approved)
    close_waits_on_return(store, ["f"], NOW)
    save_waits(store, [wait_record("c", run_id)])
    assert count_recent_endings(store, A_DAY_AGO) == 4  # a, b, c, h
    held_fields = {"run_id": run_id, "betnr": 1, "kind": "endings", "reason": "", "digest": None, "held_at": YESTERDAY}
    insert_holds(store, [held_fields | {"entity_id": "h"}])
    assert count_recent_endings(store, A_DAY_AGO) == 3  # another day's incident, which somebody was told of
    release_holds(store, [1], now=NOW, released_by="it is there again")
    assert count_recent_endings(store, A_DAY_AGO) == 4


def test_of_a_firm_of_20_000_with_1_900_blanked_nobody_ends(
    store: Store, make_listing: Callable[..., EspoListing]
) -> None:
    """It is less than a tenth; the number alone holds them."""
    save_listings(store, (make_listing(f"{number:05}", number) for number in range(20_000)), NOW)
    store.execute("update persons set espo_seen_at = :now", {"now": NOW})
    save_waits(store, [wait_record(f"{number:05}", 1) for number in range(1900)])
    late_waits, persons_read = count_recent_endings(store, A_DAY_AGO), count_persons_read_since(store, A_DAY_AGO)
    assert (late_waits, persons_read) == (1900, 20_000)
    assert too_many_endings(late_waits, persons_read, max_removals=50, max_removal_share=0.10)
    assert not too_many_endings(50, persons_read, max_removals=50, max_removal_share=0.10)


@pytest.mark.parametrize(
    ("late_waits", "persons_read", "many"),
    [(3, 3, False), (4, 40, False), (4, 39, True), (4, 0, True), (50, 1000, False), (51, 1000, True)],
)
def test_more_than_three_that_are_more_than_the_share_are_too_many(
    late_waits: int, persons_read: int, *, many: bool
) -> None:
    assert too_many_endings(late_waits, persons_read, max_removals=50, max_removal_share=0.10) is many


def test_those_read_last_are_asked_and_nobody_of_whom_nothing_is_known(
    store: Store, make_listing: Callable[..., EspoListing]
) -> None:
    """b is linked elsewhere since; c waits, d is known to be deleted, e fails, f was never read."""
    save_listings(store, [make_listing(entity_id, number) for number, entity_id in enumerate("abcdef", start=1)], NOW)
    for place, entity_id in enumerate("abcde"):
        update_person(store, entity_id, advo_seen_at=f"2026-08-30 09:0{place}:00", synced_betnr=place + 1)
    update_person(store, "b", betnr=22)
    update_person(store, "d", status="deleted_in_advoware")
    update_person(store, "e", next_retry_at=LATER)
    save_waits(store, [wait_record("c", 1)])
    assert recently_read_persons(store, "advo", (), 3) == [
        {"entity_id": "b", "betnr": 2},
        {"entity_id": "a", "betnr": 1},
    ]
    assert recently_read_persons(store, "advo", ["b"], 3) == [{"entity_id": "a", "betnr": 1}]
    assert recently_read_persons(store, "espo", (), 3) == []


# A store of the first edition -----------------------------------------------------------------------------------------


FIRST_EDITION = """
insert into persons (entity_id, betnr, status, last_sync_at, agreed_betnr, due_since, gone_at) values
    ('agreed',    1, 'clean',               '2026-08-01 08:00:00', 1,    null,                  null),
    ('relinked',  22, 'clean',              '2026-08-01 08:00:00', 2,    '2026-08-02 08:00:00', null),
    ('empty',     3, 'clean',               '2026-08-01 08:00:00', null, null,                  null),
    ('deleted',   4, 'deleted_in_advoware', '2026-08-01 08:00:00', null, null,                  null),
    ('never',     5, 'deleted_in_advoware', null,                  null, null,                  null),
    ('gone',      6, 'clean',               '2026-08-01 08:00:00', null, null,                  '2026-08-03 08:00:00'),
    ('conflict',  7, 'conflict',            '2026-08-01 08:00:00', null, null,                  null),
    ('new',       8, null,                  null,                  null, '2026-08-02 08:00:00', null),
    ('unlinked',  null, 'clean',            '2026-08-01 08:00:00', null, null,                  null);
insert into baseline (entity_id, betnr, komm_id, channel, agreed_at) values
    ('agreed', 1, 11, 'phone', '2026-08-01 08:00:00'),
    ('relinked', 2, 21, 'phone', '2026-08-01 08:00:00');
insert into runs (id, trigger, started_at) values (1, 'sync', '2026-08-01 08:00:00');
insert into holds (id, run_id, entity_id, kind, held_at) values (40, 1, 'new', 'removals', '2026-08-01 08:00:00');
delete from holds;
insert into holds (run_id, entity_id, kind, held_at) values (1, 'agreed', 'recovery', '2026-08-01 08:00:00');
"""


def test_a_store_of_the_first_edition_knows_what_was_agreed_and_what_ended(path: Path) -> None:
    before = MIGRATIONS.index(ENDINGS_TABLE)
    with Store.open(path, now=NOW, durable=False, migrations=MIGRATIONS[:before]) as old:
        for statement in FIRST_EDITION.strip().split(";\n"):
            old.execute(statement.rstrip(";"))
    with Store.open(path, now=NOW, durable=False) as store:
        betnr_by_person = {row["entity_id"]: row["synced_betnr"] for row in store.rows("select * from persons")}
        assert {entity_id for entity_id, betnr in betnr_by_person.items() if betnr} == {"agreed", "relinked", "empty"}
        assert betnr_by_person["relinked"] == 2
        assert load_open_waits(store) == {}
        assert store.tuples("select entity_id, kind, betnr, seen_betnr, approved from endings order by 1") == [
            ("conflict", "shared_betnr", 7, 7, 0),
            ("deleted", "gone_in_advoware", 4, 4, 0),
            ("gone", "gone_in_espocrm", 6, None, 0),
            ("never", "gone_in_advoware", None, 5, 0),
        ]
        ended_flags = load_frames(store, None)["persons"].set_index("entity_id")["ended"]
        assert set(ended_flags.index[ended_flags]) == {"conflict", "deleted", "gone"}
        assert store.tuples("select id, entity_id, kind from holds") == [(41, "agreed", "recovery")]
        hold = {"run_id": 1, "entity_id": "new", "betnr": 8, "kind": "endings", "reason": "", "digest": None}
        insert_holds(store, [hold | {"held_at": NOW}])
        assert store.scalar("select max(id) from holds") == 42  # numbers are never used twice, across the migration too
        assert count_recent_endings(store, A_DAY_AGO) == 0
