"""A retype that was half done when the state store lost its journal: its new row stands already (rules.md §3, retype).

With the journal the baseline knows that row (``other_row``); an old backup knows neither. The row still tells: the
retype would write it exactly so, with a kommKz in its marker that the pair never had. It is taken for the new row,
instead of being made a second time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.rules.marker import MarkerKind, same_text
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.entry import Entry


def with_made_rows(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries of a person, each retype with the row an earlier try made for it, which is no entry of its own."""
    made = {
        id(entry): other
        for entry in entries
        if entry.variant is Variant.RETYPE
        for other in entries
        if is_made_for(entry, other)
    }
    taken = {id(other) for other in made.values()}
    return [
        replace(entry, made=made[id(entry)].row) if id(entry) in made else entry
        for entry in entries
        if id(entry) not in taken
    ]


def is_made_for(entry: Entry, other: Entry) -> bool:
    """Whether an unlinked row shows value, marker and own text as this retype writes them."""
    row, item, old = other.row, entry.item, entry.row
    if row is None or item is None or old is None or other.base is not None or other.item is not None:
        return False
    ours = row.marker_kind is MarkerKind.MARKER and row.marker_komm_kz == item.komm_kz != entry.komm_kz
    return ours and row.key == row.marker_key == item.key and same_text(row.own_text, old.own_text)
