"""From columns to persons: whoever has anything to decide, taken out of the joins once, with all entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from etl.frames import LEFT_ALONE
from etl.records import Channel, Side
from etl.rules.entry import Entry, LeftAlone, PersonState
from etl.rules.joins.columns import ColumnArrays
from etl.rules.leftovers import leftover_entry, retype_leftover_entry
from etl.rules.snapshot_records import (
    advo_entry_from_record,
    baseline_pair_from_record,
    espo_entry_from_record,
    note_from_record,
)
from etl.rules.variants import FACTS, EntryFacts, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from etl.rules.joins.facts import Entries
    from etl.rules.joins.matching import MatchSides

Record = TypeVar("Record")


ITEM_FIELDS = ("channel", "value", "canonical", "doubt", "readings", "type", "is_primary", "opt_out", "invalid", "raw")
ROW_FIELDS = (
    *("row_id", "value", "canonical", "doubt", "readings", "remark", "own_text"),
    *("marker_kind", "marker_komm_kz", "komm_kz", "channel", "online"),
)
PAIR_FIELDS = (
    "espo_value",
    "espo_canonical",
    "espo_type",
    "advo_value",
    "advo_canonical",
    "komm_kz",
    "unmarked",
    "remark",
)


class PersonEntries:
    """The touched persons with their entries, taken out of the tables once, not row by row."""

    def __init__(
        self, persons: ColumnArrays, sides: MatchSides, left_alone: pd.DataFrame, touched_persons: np.ndarray
    ) -> None:
        self._touched = touched_persons
        self._persons = persons.records(touched_persons, ("entity_id", "betnr", "waiting_side"))
        self._items = build_by_position(sides.items, touched_persons, ITEM_FIELDS, espo_entry_from_record)
        self._rows = build_by_position(sides.rows, touched_persons, ROW_FIELDS, advo_entry_from_record)
        self._base = build_by_position(sides.base, touched_persons, PAIR_FIELDS, baseline_pair_from_record)
        self._sides = sides
        self._left = notes_by_person(left_alone)

    def iter_persons(self, entries: Entries) -> Iterator[tuple[PersonState, list[Entry]]]:
        """Yield each touched person with all its entries, untouched ones included."""
        positions = np.flatnonzero(np.isin(entries.person, self._touched))
        entries_by_person: dict[int, list[Entry]] = {}
        for person, entry in zip(entries.person[positions].tolist(), self._entries(entries, positions), strict=True):
            entries_by_person.setdefault(person, []).append(entry)
        matched_rows = set(entries.index.row[positions].tolist())
        items_by_person = records_by_person(self._sides.items, self._items)
        rows_by_person = records_by_person(
            self._sides.rows,
            {row_position: row for row_position, row in self._rows.items() if row_position not in matched_rows},
        )
        is_retype_leftover, is_emptied = self._sides.rows["spare"], self._sides.rows["emptied"]
        is_first_of_value = self._sides.items["pair"]
        for position, person in zip(self._touched.tolist(), self._persons, strict=True):
            person_entries, rows, items = (
                entries_by_person.get(position, []),
                rows_by_person.get(position, []),
                items_by_person.get(position, []),
            )
            person_entries += [
                retype_leftover_entry(row, person_entries)
                for row_position, row in rows
                if is_retype_leftover[row_position]
            ]
            person_entries += [leftover_entry(row) for row_position, row in rows if is_emptied[row_position]]
            empty_side = side_without_entries(person_entries)
            state = PersonState(
                person["entity_id"],
                person["betnr"],
                first_sync=person["first_sync"],
                first_sync_interrupted=person["begun"],
                recovery=person["recovery"],
                markers_trusted=person["trusted"],
                empty_side=empty_side,
                waiting_side=side_to_wait_for(person, empty_side),
                items=tuple(item.item for _, item in items),
                slots=tuple(row for _, row in rows),
                left_alone=tuple(self._left.get(person["entity_id"], ())),
                duplicate_items=tuple(item for item_position, item in items if not is_first_of_value[item_position]),
            )
            yield state, person_entries

    def _entries(self, entries: Entries, positions: np.ndarray) -> Iterator[Entry]:
        """The entries at these places."""
        index = entries.index
        entry_columns = (entries.channel, entries.variant, entries.komm_kz, index.base, index.row, index.item)
        columns = [array[positions].tolist() for array in (*entry_columns, *(entries.facts[fact] for fact in FACTS))]
        for channel, variant, komm_kz, base, row, item, *facts in zip(*columns, strict=True):
            yield Entry(
                Channel(channel),
                Variant(variant),
                komm_kz,
                EntryFacts(*facts),
                self._base.get(base),
                self._rows.get(row),
                self._items.get(item),
            )


def build_by_position(
    columns: ColumnArrays,
    touched_persons: np.ndarray,
    names: Sequence[str],
    build: Callable[[Mapping[str, Any]], Record],
) -> dict[int, Record]:
    """What belongs to the touched persons, built into values, by its place."""
    positions = np.flatnonzero(np.isin(columns["person"], touched_persons))
    return dict(zip(positions.tolist(), map(build, columns.records(positions, names)), strict=True))


def records_by_person(columns: ColumnArrays, records: Mapping[int, Record]) -> dict[int, list[tuple[int, Record]]]:
    """The same by its person, with its place."""
    person_numbers = columns["person"]
    result: dict[int, list[tuple[int, Record]]] = {}
    for position, record in records.items():
        result.setdefault(int(person_numbers[position]), []).append((position, record))
    return result


def notes_by_person(left_alone: pd.DataFrame) -> dict[str, list[LeftAlone]]:
    """Notes by the id of their person."""
    result: dict[str, list[LeftAlone]] = {}
    for record in ColumnArrays(left_alone).records(np.arange(len(left_alone)), [*LEFT_ALONE]):
        result.setdefault(record["entity_id"], []).append(note_from_record(record))
    return result


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
