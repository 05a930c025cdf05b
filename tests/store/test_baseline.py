"""The agreed pairs move one by one and end as a whole; what is left alone keeps its first day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.tables.baseline import add_left_alone, delete_baseline, delete_pairs, save_baseline, save_left_alone

if TYPE_CHECKING:
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"
LATER = "2026-08-30 10:15:00"


def baseline_pair(entity_id: str, betnr: int, komm_id: int, **fields: Any) -> dict[str, Any]:
    return {"entity_id": entity_id, "betnr": betnr, "komm_id": komm_id, "channel": "phone"} | fields


def baseline_keys(store: Store) -> list[tuple[Any, ...]]:
    rows = store.rows("select entity_id, betnr, komm_id, agreed_at from baseline order by 1, 2, 3")
    return [tuple(row.values()) for row in rows]


def test_a_pair_is_stored_whole(store: Store) -> None:
    stored_pair = baseline_pair(
        "a",
        1,
        11,
        espo_value="+49511123456",
        espo_canonical="+49511123456",
        espo_type="Office",
        advo_value="0511/123456",
        advo_canonical="+49511123456",
        komm_kz=1,
        row_id="R1",
        remark="[ESPOCRM:…:1] Büro",
        unmarked=True,
        other_row=12,
    )
    save_baseline(store, [stored_pair], NOW)
    assert store.rows("select * from baseline") == [stored_pair | {"unmarked": 1, "agreed_at": NOW}]


def test_only_a_pair_that_moved_is_agreed_anew(store: Store) -> None:
    save_baseline(store, [baseline_pair("a", 1, 11, row_id="R1"), baseline_pair("a", 1, 12, row_id="R1")], NOW)
    save_baseline(store, [baseline_pair("a", 1, 11, row_id="R1"), baseline_pair("a", 1, 12, row_id="R2")], LATER)
    assert baseline_keys(store) == [("a", 1, 11, NOW), ("a", 1, 12, LATER)]


def test_pairs_end_by_row(store: Store) -> None:
    save_baseline(store, [baseline_pair("a", 1, 11), baseline_pair("a", 1, 12), baseline_pair("b", 2, 11)], NOW)
    delete_pairs(store, "a", [11, 99])
    assert baseline_keys(store) == [("a", 1, 12, NOW), ("b", 2, 11, NOW)]


def test_pairs_end_with_the_link(store: Store) -> None:
    save_baseline(
        store,
        [baseline_pair("a", 1, 11), baseline_pair("a", 2, 21), baseline_pair("b", 2, 21), baseline_pair("c", 3, 31)],
        NOW,
    )
    delete_baseline(store, "a")
    assert baseline_keys(store) == [("b", 2, 21, NOW), ("c", 3, 31, NOW)]


def test_what_is_left_alone_is_replaced_and_keeps_its_first_day(store: Store) -> None:
    row: dict[str, Any] = {"betnr": 1, "side": "advo", "komm_id": 11, "channel": "phone", "value": "abc"}
    row["reason"] = "unsyncable"
    item: dict[str, Any] = {"side": "espo", "channel": "mail", "value": "ü@a.de", "reason": "unsyncable"}
    save_left_alone(store, "a", [row, item], NOW)
    save_left_alone(store, "b", [row], NOW)
    held_back = row | {"reason": "held_back", "direction": "to_espocrm"}
    save_left_alone(store, "a", [row | {"detail": "not a number"}, held_back], LATER)
    assert store.rows("select * from left_alone order by id") == [
        {"id": 1, "entity_id": "a", **row, "direction": None, "detail": "not a number", "since": NOW},
        {"id": 3, "entity_id": "b", **row, "direction": None, "detail": None, "since": NOW},
        {"id": 4, "entity_id": "a", **held_back, "detail": None, "since": LATER},
    ]


def test_an_entry_without_row_is_listed_once_too(store: Store) -> None:
    item = {"side": "espo", "channel": "phone", "value": "abc", "reason": "unsyncable"}
    save_left_alone(store, "a", [item, item], NOW)
    save_left_alone(store, "a", [item], LATER)
    assert store.rows("select id, since from left_alone") == [{"id": 1, "since": NOW}]


def test_nothing_left_alone_clears_the_list_of_that_person_only(store: Store) -> None:
    item = {"side": "espo", "channel": "phone", "value": "abc", "reason": "duplicate"}
    save_left_alone(store, "a", [item], NOW)
    save_left_alone(store, "b", [item], NOW)
    save_left_alone(store, "a", [], LATER)
    assert store.rows("select entity_id from left_alone") == [{"entity_id": "b"}]


def test_one_more_entry_is_noted_once_beside_the_others(store: Store) -> None:
    item = {"side": "espo", "channel": "phone", "value": "abc", "reason": "duplicate"}
    save_left_alone(store, "a", [item], NOW)
    for now in (NOW, LATER):
        add_left_alone(store, "a", item | {"reason": "unsyncable", "detail": "refused"}, now)
    assert store.rows("select reason, detail, since from left_alone order by id") == [
        {"reason": "duplicate", "detail": None, "since": NOW},
        {"reason": "unsyncable", "detail": "refused", "since": NOW},
    ]
