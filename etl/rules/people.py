"""From frames to persons: whoever has anything to decide, taken out of the joins once, with all entries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Direction, Item, Side
from etl.rules.entry import NONE, Agreed, Entry, ItemSeen, Left, PersonFacts, RowSeen
from etl.rules.marker import MarkerKind
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from etl.rules.matching import Sides


class PeopleOf:
    """The touched persons with their entries, taken out of the frames once (``to_dict``), not row by row."""

    def __init__(self, persons: pd.DataFrame, sides: Sides, left_alone: pd.DataFrame, touched: pd.Index) -> None:
        self._touched = touched
        self._persons = records(persons.loc[touched])
        self._items = {place: item_seen(one) for place, one in by_place(sides.items, touched)}
        self._rows = {place: row_seen(one) for place, one in by_place(sides.rows, touched)}
        self._base = {place: agreed(one) for place, one in by_place(sides.base, touched)}
        self._sides = sides
        self._spare = set(sides.rows.index[sides.rows["spare"]])
        self._twins = set(sides.items.index[~sides.items["pair"]])
        self._left = grouped(left_alone, "entity_id", left_note)

    def with_entries(self, entries: pd.DataFrame) -> Iterator[tuple[PersonFacts, list[Entry]]]:
        """Yield each touched person with all its entries, untouched ones included."""
        own = entries[entries["person"].isin(self._touched)]
        entries_of: dict[int, list[Entry]] = {}
        claimed = set(own["row"]) - {NONE}
        for one in records(own):
            entries_of.setdefault(one["person"], []).append(self._entry(one))
        items_of = self._by_person(self._sides.items, self._items)
        rows_of = self._by_person(
            self._sides.rows, {place: row for place, row in self._rows.items() if place not in claimed}
        )
        for number, person in zip(self._touched, self._persons, strict=True):
            mine = entries_of.get(number, [])
            mine += [
                spare_entry(row, mine) for place, row in rows_of.get(number, []) if place in self._spare
            ]
            items = items_of.get(number, [])
            facts = PersonFacts(
                person["entity_id"],
                int(person["betnr"]),
                first_sync=bool(person["first_sync"]),
                recovery=bool(person["recovery"]),
                trusted=bool(person["trusted"]),
                waits_for=waits_for(person, mine),
                items=tuple(item.item for _, item in items),
                slots=tuple(row for _, row in rows_of.get(number, [])),
                left=tuple(self._left.get(person["entity_id"], ())),
                twins=tuple(item for place, item in items if place in self._twins),
            )
            yield facts, mine

    def _entry(self, one: dict[str, Any]) -> Entry:
        return Entry(
            Channel(one["channel"]),
            Variant(one["variant"]),
            int(one["komm_kz"]),
            bool(one["marked"]),
            bool(one["type_edit"]),
            self._base.get(one["base"]),
            self._rows.get(one["row"]),
            self._items.get(one["item"]),
        )

    def _by_person(self, frame: pd.DataFrame, seen: Mapping[int, Any]) -> dict[int, list[tuple[int, Any]]]:
        owner = frame["person"].to_numpy()
        result: dict[int, list[tuple[int, Any]]] = {}
        for place, one in seen.items():
            result.setdefault(int(owner[place]), []).append((place, one))
        return result


def spare_entry(row: RowSeen, entries: Sequence[Entry]) -> Entry:
    """A row of a half-done retype: our leftover. Own text that the pair's row has too goes, any other stays."""
    pairs = (entry.row for entry in entries if entry.base is not None and entry.base.espo_key == row.key)
    copied = any(pair is not None and pair.own_text == row.own_text for pair in pairs)
    own_text = "" if copied else row.own_text
    return Entry(
        row.channel or Channel.PHONE,
        Variant.LEFTOVER,
        row.marker_komm_kz or 1,
        marked=True,
        row=replace(row, own_text=own_text),
    )


def waits_for(person: Mapping[str, Any], entries: Sequence[Entry]) -> Side | None:
    """The side from which all known entries vanished, unless the last run saw the same (rules.md §1, Completeness).

    A new entry beside them is no reason not to wait.
    """
    known = [entry for entry in entries if entry.base is not None]
    has_items = any(entry.item is not None for entry in known)
    has_rows = any(entry.row is not None and bool(entry.row.value) for entry in known)
    if not known or has_items == has_rows:
        return None
    side = Side.ESPO if not has_items else Side.ADVO
    return None if person["waiting_side"] == side.value else side


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, NA as None; column by column, as converting whole frames costs twenty times as much."""
    plain = {"dtype": "object", "na_value": None}
    names = frame.columns.tolist()
    columns = [frame[name].to_numpy(**plain).tolist() for name in names]  # type: ignore[call-overload]  # the stubs know no None
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def by_place(frame: pd.DataFrame, touched: pd.Index) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of the touched persons with their places."""
    own = frame[frame["person"].isin(touched)]
    return zip(own.index.tolist(), records(own), strict=True)


def grouped(
    frame: pd.DataFrame, key: str, build: Callable[[Mapping[str, Any]], Any]
) -> dict[str, list[Any]]:
    """Rows of a frame, built into values, by key."""
    result: dict[str, list[Any]] = {}
    for one in records(frame):
        result.setdefault(one[key], []).append(build(one))
    return result


def item_seen(one: Mapping[str, Any]) -> ItemSeen:
    """An item out of the frame."""
    item = Item(
        Channel(one["channel"]),
        one["value"],
        one["type"],
        bool(one["is_primary"]),
        bool(one["opt_out"]),
        bool(one["invalid"]),
        one["raw"],
    )
    return ItemSeen(item, one["canonical"] or "", int(one["key"]), int(one["komm_kz"]))


def row_seen(one: Mapping[str, Any]) -> RowSeen:
    """A row out of the frame."""
    return RowSeen(
        int(one["komm_id"]),
        one["row_id"],
        one["value"] or "",
        one["canonical"],
        int(one["key"]),
        one["remark"],
        one["own_text"] or "",
        MarkerKind(one["marker_kind"] or "none"),
        int(one["marker_key"]),
        None if one["marker_komm_kz"] is None else int(one["marker_komm_kz"]),
        Channel(one["channel"]) if one["channel"] else None,
        bool(one["online"]),
    )


def agreed(one: Mapping[str, Any]) -> Agreed:
    """A baseline row out of the frame."""
    return Agreed(
        int(one["komm_id"]),
        one["espo_value"],
        one["espo_canonical"],
        one["espo_type"],
        one["advo_value"],
        one["advo_canonical"],
        int(one["komm_kz"]),
        int(one["espo_key"]),
        int(one["advo_key"]),
        bool(one["unmarked"]),
        one.get("remark"),
        bool(one["pseudo"]),
    )


def left_note(one: Mapping[str, Any]) -> Left:
    """A note of an earlier run."""
    return Left(
        Side(one["side"]),
        one["reason"],
        one["detail"] or "",
        one["value"] or "",
        None if one["komm_id"] is None else int(one["komm_id"]),
        Direction(one["direction"]) if one["direction"] else None,
        Channel(one["channel"]) if one["channel"] else None,
    )
