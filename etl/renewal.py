"""Compute what the store derives from values anew when the grammar has changed (rules §0), so an upgrade holds nobody.

The version of the grammar, the metadata of the library and the region decide how a value is read. The store keeps raw
values, so snapshots and baseline are derived from them again, in one pass, by the functions that derive them at every
read. A pair whose two values are no longer one value ends: both stay as they are and are reported, and an edit or
deletion of one says nothing about the other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from etl.enums import LeftAloneReason
from etl.records import AdvoRecord, AdvoRow, Channel, EspoItem
from etl.rules.snapshot_records import item_record, row_records
from etl.rules.unclear import pair_split_notes, recompute_pair
from etl.rules.values.canonical import canonical
from etl.rules.values.classify import GRAMMAR, LITERAL, Clarity, classify
from etl.store.tables.baseline import (
    add_left_alone,
    delete_notes,
    delete_pairs,
    load_all_pairs,
    load_left_alone,
    load_pairs,
    save_baseline,
)
from etl.store.tables.persons import persons_after
from etl.store.tables.queue import mark_due
from etl.store.tables.snapshots import (
    load_former_flags,
    load_items,
    load_rows,
    replace_former_flags,
    save_items,
    save_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.context import RunContext
    from etl.store.database import Store

    Record = Mapping[str, Any]

GRAMMAR_SETTING: Final = "grammar"
"""Setting: the grammar that the stored values were read with last."""

PERSONS_PER_RENEWAL: Final = 500  # in one transaction
NEWER_GRAMMAR: Final = "its values are read by a newer grammar"


def grammar_version(region: str) -> str:
    """What decides how a value is read."""
    return f"{GRAMMAR} {region}"


def renew_values(run: RunContext) -> None:
    """Read all stored values anew if the grammar has changed; persons with values that read differently become due."""
    current_grammar = grammar_version(run.policy.region)
    if run.store.setting(GRAMMAR_SETTING) == current_grammar:
        return
    after = ""
    while persons := persons_after(run.store, after, PERSONS_PER_RENEWAL):
        with run.store.transaction():
            for person in persons:
                renew_person(run, person)
        after = persons[-1]["entity_id"]
    run.store.set_setting(GRAMMAR_SETTING, current_grammar)


def pairs_to_end(store: Store, region: str) -> list[Record]:
    """The agreed pairs that the next run will end, because their two values are no longer one value."""
    if store.setting(GRAMMAR_SETTING) == grammar_version(region):
        return []
    return [pair for pair in load_all_pairs(store) if recompute_pair(pair, region) is None]


def renew_person(run: RunContext, person: Record) -> None:
    """Renew one person's snapshots, pairs and notes."""
    entity_id, betnr = person["entity_id"], person["betnr"]
    changed = renew_items(run, entity_id) | renew_rows(run, person)
    renew_marks(run, entity_id)
    split_pairs = [
        pair
        for pair in (load_pairs(run.store, entity_id, betnr) if betnr is not None else ())
        if not renew_pair(run, pair)
    ]
    for pair in split_pairs:
        delete_pairs(run.store, entity_id, [pair["komm_id"]])
        for note in pair_split_notes(pair):
            add_left_alone(run.store, entity_id, note, run.utcnow())
    note_ids = notes_to_drop(run, entity_id, changed)
    delete_notes(run.store, note_ids)
    if changed or split_pairs or note_ids:
        mark_due(run.store, [entity_id], NEWER_GRAMMAR, run.utcnow())


def renew_items(run: RunContext, entity_id: str) -> set[str]:
    """Store EspoCRM's items as the grammar reads them now; return the values that it reads differently."""
    stored_items = load_items(run.store, entity_id)
    fresh_items = [
        item_record(
            EspoItem(
                Channel(item["channel"]),
                item["value"],
                item["type"],
                bool(item["is_primary"]),
                bool(item["opt_out"]),
                bool(item["invalid"]),
                item["raw"],
            ),
            run.policy.region,
        )
        for item in stored_items
    ]
    if fresh_items != stored_items:
        save_items(run.store, entity_id, fresh_items, stored_items)
    return values_with_new_meaning(stored_items, fresh_items)


def renew_marks(run: RunContext, entity_id: str) -> None:
    """Store opt-outs of values that are gone from the record under what these values are compared by now."""
    stored_marks = load_former_flags(run.store, entity_id)
    fresh_marks = [
        {**mark, "canonical": canonical(Channel(mark["channel"]), mark["value"], run.policy.region) or mark["value"]}
        for mark in stored_marks
    ]
    if fresh_marks != stored_marks:
        replace_former_flags(run.store, entity_id, fresh_marks)


def renew_rows(run: RunContext, person: Record) -> set[str]:
    """Store Advoware's rows as the grammar reads them now; return the values that it reads differently."""
    if person["betnr"] is None:
        return set()
    stored_rows = load_rows(run.store, person["betnr"])
    rows = tuple(
        AdvoRow(row["komm_id"], row["row_id"], row["value"], row["remark"], row["komm_kz"], bool(row["online"]))
        for row in stored_rows
    )
    fields = json.loads(person["advo_fields"] or "{}")
    fresh_rows = row_records(AdvoRecord(person["betnr"], rows, fields), run.policy.region, run.policy.table)
    if fresh_rows != stored_rows:
        save_rows(run.store, person["betnr"], fresh_rows, stored_rows)
    return values_with_new_meaning(stored_rows, fresh_rows)


def values_with_new_meaning(stored: Iterable[Record], fresh: Iterable[Record]) -> set[str]:
    """The values that are read differently; the sign that text is now stored with makes no difference."""
    return {
        after["value"]
        for before, after in zip(stored, fresh, strict=True)
        if after["doubt"] != before["doubt"]
        or canonical_meaning(before["canonical"]) != canonical_meaning(after["canonical"])
    }


def canonical_meaning(stored: str | None) -> str:
    """A canonical value of either edition, without the sign that the second one puts before unclear values and text."""
    return (stored or "").removeprefix(LITERAL)


def renew_pair(run: RunContext, pair: Record) -> bool:
    """Store what both values of a pair are compared by now; False if they are no longer one value."""
    new_pair = recompute_pair(pair, run.policy.region)
    if new_pair is not None and new_pair != pair:
        save_baseline(run.store, [new_pair], pair["agreed_at"])
    return new_pair is not None


def notes_to_drop(run: RunContext, entity_id: str, changed: set[str]) -> Sequence[int]:
    """The notes of unsyncable values that now read as a certain number or address."""
    notes = load_left_alone(run.store, entity_id) if changed else ()
    return [
        note["id"]
        for note in notes
        if note["reason"] == LeftAloneReason.UNSYNCABLE and note["value"] in changed and is_certain_value(run, note)
    ]


def is_certain_value(run: RunContext, note: Record) -> bool:
    """Whether the value of a note is certainly one number or address."""
    parsed = classify(Channel(note["channel"] or Channel.PHONE), note["value"], run.policy.region)
    return parsed is not None and parsed.clarity is Clarity.CERTAIN
