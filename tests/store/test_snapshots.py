"""What was read is stored whole, and comes back as frames whose dtypes never depend on their contents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from etl import frames
from etl.store.tables.baseline import save_baseline, save_left_alone
from etl.store.tables.persons import save_listings
from etl.store.tables.snapshots import load_frames, save_items, save_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.records import EspoListing
    from etl.store.database import Store

NOW = "2026-08-30 10:00:00"

FRAME_SCHEMAS = {
    "persons": frames.PERSONS,
    "items": frames.ITEMS,
    "rows": frames.ROWS,
    "baseline": frames.BASELINE,
    "left_alone": frames.LEFT_ALONE,
}


def item_fields(value: str, channel: str = "phone", **fields: Any) -> dict[str, Any]:
    return {
        "channel": channel,
        "value": value,
        "canonical": value.replace(" ", "").casefold(),
        "doubt": None,
        "readings": None,
        "type": "Office" if channel == "phone" else None,
        "is_primary": False,
        "opt_out": False,
        "invalid": False,
        "raw": json.dumps({"value": value}),
    } | fields


def row_fields(komm_id: int, value: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "komm_id": komm_id,
        "row_id": f"R{komm_id}",
        "value": value,
        "canonical": value,
        "doubt": None,
        "readings": None,
        "remark": None,
        "own_text": None,
        "marker_kind": "none",
        "marker_value": None,
        "marker_canonical": None,
        "marker_komm_kz": None,
        "is_slot": False,
        "komm_kz": 0,
        "field_komm_kz": None,
        "channel": "phone",
        "online": False,
        "mobile": False,
    } | fields


@pytest.fixture
def filled_store(store: Store, make_listing: Callable[..., EspoListing]) -> Store:
    save_listings(store, [make_listing("a", 1), make_listing("b", 2), make_listing("u")], NOW)
    save_items(
        store,
        "a",
        [item_fields("+49 1", is_primary=True), item_fields("M@a.de", "mail"), item_fields("+49 2", type="Mobile")],
    )
    save_items(store, "b", [item_fields("+49 3")])
    save_rows(store, 1, [row_fields(11, "1"), row_fields(12, "", canonical=None, is_slot=True, marker_komm_kz=3)])
    save_rows(store, 3, [row_fields(31, "nobody")])
    return store


def test_items_are_stored_with_their_places(filled_store: Store) -> None:
    assert filled_store.rows("select * from espo_entries where entity_id = 'a'") == [
        {
            "entity_id": "a",
            "channel": "mail",
            "position": 0,
            "value": "M@a.de",
            "canonical": "m@a.de",
            "doubt": None,
            "readings": None,
            "type": None,
            "is_primary": 0,
            "opt_out": 0,
            "invalid": 0,
            "raw": '{"value": "M@a.de"}',
        },
        {
            "entity_id": "a",
            "channel": "phone",
            "position": 0,
            "value": "+49 1",
            "canonical": "+491",
            "doubt": None,
            "readings": None,
            "type": "Office",
            "is_primary": 1,
            "opt_out": 0,
            "invalid": 0,
            "raw": '{"value": "+49 1"}',
        },
        {
            "entity_id": "a",
            "channel": "phone",
            "position": 1,
            "value": "+49 2",
            "canonical": "+492",
            "doubt": None,
            "readings": None,
            "type": "Mobile",
            "is_primary": 0,
            "opt_out": 0,
            "invalid": 0,
            "raw": '{"value": "+49 2"}',
        },
    ]


def test_rows_are_stored_as_read(filled_store: Store) -> None:
    assert filled_store.rows("select * from advo_entries where komm_id = 12") == [
        {
            "betnr": 1,
            "komm_id": 12,
            "row_id": "R12",
            "value": "",
            "canonical": None,
            "doubt": None,
            "readings": None,
            "remark": None,
            "own_text": None,
            "marker_kind": "none",
            "marker_value": None,
            "marker_canonical": None,
            "marker_komm_kz": 3,
            "is_slot": 1,
            "komm_kz": 0,
            "field_komm_kz": None,
            "channel": "phone",
            "online": 0,
            "mobile": 0,
        }
    ]


def test_a_new_snapshot_replaces_the_persons_old_one_and_nobody_elses(filled_store: Store) -> None:
    save_items(filled_store, "a", [item_fields("+49 9")])
    save_rows(filled_store, 1, [])
    assert filled_store.rows("select entity_id, value from espo_entries order by 1, 2") == [
        {"entity_id": "a", "value": "+49 9"},
        {"entity_id": "b", "value": "+49 3"},
    ]
    assert filled_store.rows("select betnr, komm_id from advo_entries") == [{"betnr": 3, "komm_id": 31}]


def test_a_snapshot_that_fails_leaves_the_old_one(filled_store: Store) -> None:
    before = filled_store.rows("select * from espo_entries")
    with pytest.raises(KeyError):
        save_items(filled_store, "a", [item_fields("+49 9"), {"channel": "phone"}])
    assert filled_store.rows("select * from espo_entries") == before


@pytest.mark.parametrize("entity_ids", [None, [], ["a"], ["nobody"]])
def test_frames_have_their_dtypes_whatever_they_hold(store: Store, entity_ids: list[str] | None) -> None:
    frames_by_name = load_frames(store, entity_ids)
    assert {name: frame.dtypes.to_dict() for name, frame in frames_by_name.items()} == {
        name: {column: pd.api.types.pandas_dtype(dtype) for column, dtype in schema.items()}
        for name, schema in FRAME_SCHEMAS.items()
    }


def test_frames_hold_the_chosen_persons_only_with_both_keys(filled_store: Store) -> None:
    save_baseline(filled_store, [pair_fields("a", 1, 11), pair_fields("a", 99, 11), pair_fields("b", 2, 21)], NOW)
    save_left_alone(
        filled_store, "a", [{"side": "espo", "channel": "phone", "value": "+49 2", "reason": "unsyncable"}], NOW
    )
    save_left_alone(
        filled_store, "b", [{"side": "espo", "channel": "phone", "value": "+49 3", "reason": "unsyncable"}], NOW
    )
    frames_by_name = load_frames(filled_store, ["a", "u"])
    assert frames_by_name["persons"]["entity_id"].tolist() == ["a", "u"]
    assert frames_by_name["items"][["entity_id", "betnr", "channel", "position", "value"]].to_dict("split")["data"] == [
        ["a", 1, "mail", 0, "M@a.de"],
        ["a", 1, "phone", 0, "+49 1"],
        ["a", 1, "phone", 1, "+49 2"],
    ]
    assert frames_by_name["rows"][[*frames.ENTRY, "value", "online"]].to_dict("split")["data"] == [
        ["a", 1, 11, "1", False],
        ["a", 1, 12, "", False],
    ]
    assert frames_by_name["baseline"][frames.ENTRY].to_dict("split")["data"] == [["a", 1, 11], ["a", 99, 11]]
    assert frames_by_name["left_alone"]["value"].tolist() == ["+49 2"]


def pair_fields(entity_id: str, betnr: int, komm_id: int) -> dict[str, Any]:
    return {"entity_id": entity_id, "betnr": betnr, "komm_id": komm_id, "channel": "phone"}


def test_rows_of_a_shared_betnr_appear_once_for_each_person(
    filled_store: Store, make_listing: Callable[..., EspoListing]
) -> None:
    save_listings(filled_store, [make_listing("a2", 1)], NOW)
    rows = load_frames(filled_store, None)["rows"]
    assert rows[frames.ENTRY].to_dict("split")["data"] == [["a", 1, 11], ["a", 1, 12], ["a2", 1, 11], ["a2", 1, 12]]


def test_thousands_of_persons_are_loaded_at_once(filled_store: Store) -> None:
    assert len(load_frames(filled_store, ["a", *(f"x{n}" for n in range(50_000))])["persons"]) == 1


def test_null_is_na_and_never_text_or_a_float(filled_store: Store) -> None:
    persons = load_frames(filled_store, ["u"])["persons"]
    assert persons.loc[0, "betnr"] is pd.NA
    assert persons.loc[0, "last_sync_at"] is pd.NA
    assert not persons.loc[0, "edited_by_other"]
