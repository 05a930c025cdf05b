"""Whoever is left out of a plan, because everything stands as agreed, would have been planned nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.diff import plan_from_frames
from etl.records import Direction, Scope
from etl.rules.entry import Policy
from etl.rules.values.kommkz import KommKzTable
from etl.store.database import Store
from etl.store.queries.differences import persons_with_differences
from etl.store.tables.baseline import add_left_alone
from etl.store.tables.snapshots import load_frames
from jobs.run import sync_persons as persons
from jobs.sandbox.people import random_edits
from tests.bench.filling import EDITS, NOW, fill_store
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLE = KommKzTable.default()


def persons_without_plan(store: Store, entity_ids: Sequence[str], table: KommKzTable = TABLE) -> set[str]:
    """Whom the store finds as agreed; a plan of these persons, in whatever direction and scope, is held to be empty."""
    unchanged = set(entity_ids) - set(persons_with_differences(store, entity_ids, table))
    frames = load_frames(store, sorted(unchanged))
    for direction in Direction:
        for scope in Scope:
            assert plan_from_frames(frames, Policy(direction, scope, "DE", table)) == {}
    return unchanged


@pytest.mark.parametrize("seed", range(3))
def test_a_person_left_out_has_an_empty_plan_after_whatever_people_did(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_counts: list[int] = []
    unplanned_counts: list[int] = []

    def compare_with_plan(store: Store, entity_ids: Sequence[str], table: KommKzTable) -> list[str]:
        unchanged = persons_without_plan(store, entity_ids, table)
        asked_counts.append(len(entity_ids))
        unplanned_counts.append(len(unchanged))
        return sorted(set(entity_ids) - unchanged)

    # Wrapped by itself: each answer is compared with the plan of everybody, over runs that really happen.
    monkeypatch.setattr(persons, "persons_with_differences", compare_with_plan)
    harness = SyncHarness(tmp_path, 40, seed=seed, guards={"max_removals": 1000, "max_removal_share": 1.0})
    harness.run()
    for number in range(4):
        random_edits(harness.espo, harness.advo, 20, seed=10 * seed + number)
        harness.clock.advance(60)
        harness.run(sweep=True, **({"direction": Direction.TO_ADVOWARE} if number == 1 else {}))
    harness.run(sweep=True)
    harness.run(sweep=True)
    assert (
        0 < unplanned_counts[-1] < asked_counts[-1] == len(list(harness.person_links()))
    )  # who has an entry left alone is always planned


def test_every_kind_of_edit_is_planned_and_nobody_else_is(tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 60, edited_every=3)
    with Store.open(tmp_path / "state.db", now=NOW) as store:
        entity_ids = [row["entity_id"] for row in store.rows("select entity_id from persons")]
        assert len(entity_ids) - len(persons_without_plan(store, entity_ids)) == 60 / 3
        assert 60 / 3 / len(EDITS) >= 3


DIFFERENCES: dict[str, str] = {
    "another spelling": "update espo_entries set value = value || ' ' where position = 0",
    "another type": "update espo_entries set type = 'Other' where position = 1",
    "a second item with the same value": "update espo_entries set canonical = (select canonical from espo_entries)",
    "another rowId": "update advo_entries set row_id = 'NEW' where komm_id = 1",
    "another spelling in Advoware": "update advo_entries set value = value || ' ' where komm_id = 1",
    "no marker": "update advo_entries set marker_kind = 'none' where komm_id = 1",
    "a marker of another value": "update advo_entries set marker_canonical = 'x' where komm_id = 1",
    "a marker of another kommKz": "update advo_entries set marker_komm_kz = 6 where komm_id = 1",
    "a kommKz the channel cannot have": "update advo_entries set marker_komm_kz = 4 where komm_id = 1",
    "one row more": "update advo_entries set channel = 'phone', value = '0511 1' where komm_id = 99",
    "one pair less": "delete from baseline where komm_id = 1",
    "all agreed with another betnr": "update baseline set betnr = 1",
    "a pair without marker on purpose": "update baseline set unmarked = 1 where komm_id = 1",
    "a retype half done": "update baseline set other_row = 2 where komm_id = 1",
    "a baseline of another kommKz": "update baseline set komm_kz = 6 where komm_id = 1",
    "an emptied row that kept our marker": "insert into advo_entries (betnr, komm_id, row_id, marker_kind, channel) "
    "select betnr, 98, 'R', 'marker', 'phone' from persons",
    "another agreed value": "update baseline set espo_canonical = 'x' where komm_id = 1",
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_any_difference_to_what_was_agreed_asks_for_a_plan(difference: str, tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 1, edited_every=0)
    with Store.open(tmp_path / "state.db", now=NOW) as store:
        person: dict[str, Any] = store.rows("select entity_id, betnr from persons")[0]
        irrelevant = "insert into advo_entries (betnr, komm_id, row_id, value) values (:betnr, 99, 'R', 'www.x.de')"
        store.execute(irrelevant, {"betnr": person["betnr"]})
        assert persons_without_plan(store, [person["entity_id"]]) == {person["entity_id"]}
        store.execute(DIFFERENCES[difference])
        assert persons_with_differences(store, [person["entity_id"]], TABLE) == [person["entity_id"]]


def test_a_note_asks_for_a_plan_that_renews_or_ends_it(tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 2, edited_every=0)
    with Store.open(tmp_path / "state.db", now=NOW) as store:
        first, second = (row["entity_id"] for row in store.rows("select entity_id from persons order by entity_id"))
        add_left_alone(store, first, {"side": "espo", "value": "x", "reason": "unsyncable"}, NOW)
        assert persons_with_differences(store, [first, second], TABLE) == [first]


def test_a_person_never_synced_is_planned(tmp_path: Path) -> None:
    fill_store(tmp_path / "state.db", 1, edited_every=0)
    with Store.open(tmp_path / "state.db", now=NOW) as store:
        store.execute("delete from baseline")
        (entity_id,) = (row["entity_id"] for row in store.rows("select entity_id from persons"))
        assert persons_with_differences(store, [entity_id], TABLE) == [entity_id]
