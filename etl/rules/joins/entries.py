"""From frames to persons: whoever has anything to decide, with all entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.frames import LEFT_ALONE
from etl.records import Channel, Side
from etl.rules.entry import AdvoEntry, BaselinePair, Entry, EspoEntry, LeftAlone, PersonState
from etl.rules.joins.columns import frame_records, is_any_of
from etl.rules.leftovers import leftover_entry, retype_leftover_entry
from etl.rules.snapshot_records import (
    advo_entry_from_record,
    baseline_pair_from_record,
    espo_entry_from_record,
    note_from_record,
)
from etl.rules.variants import FACTS, EntryFacts, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from etl.rules.joins.matching import MatchSides


PERSON_FIELDS = (
    *("entity_id", "betnr", "waiting_side"),
    *("first_sync", "begun", "recovery"),
)
ITEM_FIELDS = (
    *("entity_id", "item", "key", "komm_kz", "is_first"),
    *("channel", "value", "canonical", "doubt", "readings", "type", "is_primary", "opt_out", "invalid", "raw"),
)
ROW_FIELDS = (
    *("entity_id", "row", "key", "marker_key", "retype_leftover", "emptied"),
    *("komm_id", "row_id", "value", "canonical", "doubt", "readings", "remark", "own_text"),
    *("marker_kind", "marker_komm_kz", "komm_kz", "channel", "online"),
)
PAIR_FIELDS = (
    *("entity_id", "pair", "espo_key", "advo_key", "pseudo"),
    *("komm_id", "espo_value", "espo_canonical", "espo_type", "advo_value", "advo_canonical"),
    *("komm_kz", "unmarked", "remark"),
)
ENTRY_FIELDS = ("entity_id", "channel", "variant", "komm_kz", "pair", "row", "item", *FACTS)


@dataclass(frozen=True, slots=True)
class PersonParts:
    """All that is stored of a person, and its entries; pairs, rows and items by their number, in the stored order."""

    record: Mapping[str, Any]
    pairs: dict[int, BaselinePair] = field(default_factory=dict)
    rows: dict[int, AdvoEntry] = field(default_factory=dict)
    items: dict[int, EspoEntry] = field(default_factory=dict)
    notes: list[LeftAlone] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    duplicate_items: list[EspoEntry] = field(default_factory=list)
    retype_leftovers: list[int] = field(default_factory=list)
    emptied_rows: list[int] = field(default_factory=list)

    def add_item(self, record: Mapping[str, Any]) -> None:
        """An item; beside the first with its value it is a duplicate."""
        item = self.items[record["item"]] = espo_entry_from_record(record)
        if not record["is_first"]:
            self.duplicate_items.append(item)

    def add_row(self, record: Mapping[str, Any]) -> None:
        """A row, which may be a leftover unless it is an entry's."""
        self.rows[record["row"]] = advo_entry_from_record(record)
        if record["retype_leftover"]:
            self.retype_leftovers.append(record["row"])
        if record["emptied"]:
            self.emptied_rows.append(record["row"])

    def add_entry(self, record: Mapping[str, Any]) -> None:
        """An entry, which takes its row: the rows that no entry takes are leftovers and slots."""
        self.entries.append(
            Entry(
                Channel(record["channel"]),
                Variant(record["variant"]),
                record["komm_kz"],
                EntryFacts(*(record[fact] for fact in FACTS)),
                self.pairs.get(record["pair"]),
                self.rows.pop(record["row"], None),
                self.items.get(record["item"]),
            )
        )

    def state_with_entries(self) -> tuple[PersonState, list[Entry]]:
        """The person with all its entries, untouched ones and leftovers included."""
        entries, rows, person = self.entries, self.rows, self.record
        leftovers = [rows[number] for number in self.retype_leftovers if number in rows]
        entries = entries + [retype_leftover_entry(row, entries) for row in leftovers]
        entries += [leftover_entry(rows[number]) for number in self.emptied_rows if number in rows]
        empty_side = side_without_entries(entries)
        state = PersonState(
            person["entity_id"],
            person["betnr"],
            first_sync=person["first_sync"],
            first_sync_interrupted=person["begun"],
            recovery=person["recovery"],
            empty_side=empty_side,
            waiting_side=side_to_wait_for(person, empty_side),
            items=tuple(item.item for item in self.items.values()),
            slots=tuple(rows.values()),
            left_alone=tuple(self.notes),
            duplicate_items=tuple(self.duplicate_items),
        )
        return state, entries


def persons_with_entries(
    persons: pd.DataFrame, sides: MatchSides, notes: pd.DataFrame, entries: pd.DataFrame
) -> Iterator[tuple[PersonState, list[Entry]]]:
    """Yield each of these persons with all its entries, out of the frames of many."""
    parts = {record["entity_id"]: PersonParts(record) for record in frame_records(persons, PERSON_FIELDS)}

    def records(frame: pd.DataFrame, fields: Sequence[str]) -> Iterator[tuple[PersonParts, dict[str, Any]]]:
        of_these = frame[is_any_of(frame["entity_id"], persons["entity_id"])]
        return ((parts[record["entity_id"]], record) for record in frame_records(of_these, fields))

    for person, record in records(sides.base, PAIR_FIELDS):
        person.pairs[record["pair"]] = baseline_pair_from_record(record)
    for person, record in records(sides.rows, ROW_FIELDS):
        person.add_row(record)
    for person, record in records(sides.items, ITEM_FIELDS):
        person.add_item(record)
    for person, record in records(notes, [*LEFT_ALONE]):
        person.notes.append(note_from_record(record))
    for person, record in records(entries, ENTRY_FIELDS):
        person.add_entry(record)
    return (person.state_with_entries() for person in parts.values())


def side_without_entries(entries: Sequence[Entry]) -> Side | None:
    """The side that shows none of the known entries any more (rules §1, Completeness).

    A new entry beside them changes nothing. Where they are gone from EspoCRM as well, it is Advoware if that shows no
    row at all: rows that one run is not shown may return, and once forgotten they would be new and bring back what was
    deleted. What two runs in a row do not find on either side is forgotten; a row that returns later is new, since
    nobody can tell it from one a person typed in.
    """
    baseline_entries = [entry for entry in entries if entry.base is not None]
    has_items = any(entry.item is not None for entry in baseline_entries)
    has_rows = any(entry.row is not None and bool(entry.row.value) for entry in baseline_entries)
    is_nowhere = not has_items and not has_rows
    if (
        not baseline_entries
        or (has_items and has_rows)
        or (is_nowhere and any(entry.row is not None for entry in entries))
    ):
        return None
    return Side.ESPO if has_rows else Side.ADVO


def side_to_wait_for(person: Mapping[str, Any], side: Side | None) -> Side | None:
    """The side to wait for: the one from which all vanished, unless the last look saw the same."""
    return None if side is None or person["waiting_side"] == side.value else side
