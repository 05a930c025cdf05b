"""From columns to persons: whoever has anything to decide, taken out of the joins once, with all entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from etl.frames import LEFT_ALONE
from etl.records import Channel, Side
from etl.rules.columns import Columns
from etl.rules.entry import Entry, Left, PersonFacts
from etl.rules.leftovers import leftover_entry, spare_entry
from etl.rules.seen import agreed, item_seen, left_note, row_seen
from etl.rules.variants import FACTS, Facts, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from etl.rules.facts import Entries
    from etl.rules.matching import Sides

Seen = TypeVar("Seen")


ITEM = ("channel", "value", "canonical", "doubt", "readings", "type", "is_primary", "opt_out", "invalid", "raw")
ROW = (
    *("row_id", "value", "canonical", "doubt", "readings", "remark", "own_text"),
    *("marker_kind", "marker_komm_kz", "komm_kz", "channel", "online"),
)
PAIR = ("espo_value", "espo_canonical", "espo_type", "advo_value", "advo_canonical", "komm_kz", "unmarked", "remark")


class PeopleOf:
    """The touched persons with their entries, taken out of the tables once, not row by row."""

    def __init__(self, persons: Columns, sides: Sides, left_alone: pd.DataFrame, touched: np.ndarray) -> None:
        self._touched = touched
        self._persons = persons.records(touched, ("entity_id", "betnr", "waiting_side"))
        self._items = by_place(sides.items, touched, ITEM, item_seen)
        self._rows = by_place(sides.rows, touched, ROW, row_seen)
        self._base = by_place(sides.base, touched, PAIR, agreed)
        self._sides = sides
        self._left = grouped(left_alone)

    def with_entries(self, entries: Entries) -> Iterator[tuple[PersonFacts, list[Entry]]]:
        """Yield each touched person with all its entries, untouched ones included."""
        own = np.flatnonzero(np.isin(entries.person, self._touched))
        entries_of: dict[int, list[Entry]] = {}
        for person, entry in zip(entries.person[own].tolist(), self._entries(entries, own), strict=True):
            entries_of.setdefault(person, []).append(entry)
        claimed = set(entries.places.row[own].tolist())
        items_of = by_person(self._sides.items, self._items)
        rows_of = by_person(
            self._sides.rows, {place: row for place, row in self._rows.items() if place not in claimed}
        )
        spare, emptied = self._sides.rows["spare"], self._sides.rows["emptied"]
        pair = self._sides.items["pair"]
        for number, person in zip(self._touched.tolist(), self._persons, strict=True):
            mine, rows, items = entries_of.get(number, []), rows_of.get(number, []), items_of.get(number, [])
            mine += [spare_entry(row, mine) for place, row in rows if spare[place]]
            mine += [leftover_entry(row) for place, row in rows if emptied[place]]
            vanished = vanished_from(mine)
            facts = PersonFacts(
                person["entity_id"],
                person["betnr"],
                first_sync=person["first_sync"],
                begun=person["begun"],
                recovery=person["recovery"],
                trusted=person["trusted"],
                vanished_from=vanished,
                waits_for=waits_for(person, vanished),
                items=tuple(item.item for _, item in items),
                slots=tuple(row for _, row in rows),
                left=tuple(self._left.get(person["entity_id"], ())),
                twins=tuple(item for place, item in items if not pair[place]),
            )
            yield facts, mine

    def _entries(self, entries: Entries, own: np.ndarray) -> Iterator[Entry]:
        """The entries at these places."""
        where = entries.places
        told = (entries.channel, entries.variant, entries.komm_kz, where.base, where.row, where.item)
        columns = [array[own].tolist() for array in (*told, *(entries.facts[fact] for fact in FACTS))]
        for channel, variant, komm_kz, base, row, item, *facts in zip(*columns, strict=True):
            yield Entry(
                Channel(channel),
                Variant(variant),
                komm_kz,
                Facts(*facts),
                self._base.get(base),
                self._rows.get(row),
                self._items.get(item),
            )


def by_place(
    columns: Columns, touched: np.ndarray, names: Sequence[str], build: Callable[[Mapping[str, Any]], Seen]
) -> dict[int, Seen]:
    """What belongs to the touched persons, built into values, by its place."""
    at = np.flatnonzero(np.isin(columns["person"], touched))
    return dict(zip(at.tolist(), map(build, columns.records(at, names)), strict=True))


def by_person(columns: Columns, seen: Mapping[int, Seen]) -> dict[int, list[tuple[int, Seen]]]:
    """The same by its person, with its place."""
    person = columns["person"]
    result: dict[int, list[tuple[int, Seen]]] = {}
    for place, one in seen.items():
        result.setdefault(int(person[place]), []).append((place, one))
    return result


def grouped(left_alone: pd.DataFrame) -> dict[str, list[Left]]:
    """Notes by the id of their person."""
    result: dict[str, list[Left]] = {}
    for one in Columns(left_alone).records(np.arange(len(left_alone)), [*LEFT_ALONE]):
        result.setdefault(one["entity_id"], []).append(left_note(one))
    return result


def vanished_from(entries: Sequence[Entry]) -> Side | None:
    """The side that shows none of the known entries any more (rules.md §1, Completeness).

    A new entry beside them changes nothing. Where they are gone from EspoCRM as well, it is Advoware if that shows no
    row at all: rows that one run is not shown may return, and once forgotten they would be new and bring back what was
    deleted. What two runs in a row do not find on either side is forgotten; a row that returns later is new, since
    nobody can tell it from one a person typed in.
    """
    known = [entry for entry in entries if entry.base is not None]
    has_items = any(entry.item is not None for entry in known)
    has_rows = any(entry.row is not None and bool(entry.row.value) for entry in known)
    nowhere = not has_items and not has_rows
    if not known or (has_items and has_rows) or (nowhere and any(entry.row is not None for entry in entries)):
        return None
    return Side.ESPO if has_rows else Side.ADVO


def waits_for(person: Mapping[str, Any], side: Side | None) -> Side | None:
    """The side to wait for: the one from which all vanished, unless the last look saw the same."""
    return None if side is None or person["waiting_side"] == side.value else side
