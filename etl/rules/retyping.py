"""A retype onto a row that stands already (rules.md §3, retype and Leftovers): nothing is created.

Somebody typed the number as a fax before its type in EspoCRM became Fax; or an earlier try of this very retype made the
row, and the state store, an old backup, knows nothing of it. Such a row is nobody's pair, holds the value, and its
kommKz is known to be the new one. Its own text stays; the old row's text moves there only where it has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.records import Direction
from etl.rules.marker import MarkerKind, same_text
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.entry import Entry, ItemSeen, Left, RowSeen

    Held = tuple[Entry, Left | None]


def with_rows_that_stand(held: Sequence[Held], direction: Direction) -> list[Held]:
    """The entries of a person, each retype that is carried out with the row it takes, which is no entry of its own."""
    if direction is Direction.TO_ESPOCRM:
        return list(held)
    retypes = [entry for entry, left in held if entry.variant is Variant.RETYPE and left is None]
    takes = {id(entry): found for entry in retypes if (found := row_for(entry, held)) is not None}
    taken = {row.komm_id for row in takes.values()}
    return [
        (replace(entry, stands=takes[id(entry)]) if id(entry) in takes else entry, left)
        for entry, left in held
        if entry.base is not None or entry.row is None or entry.row.komm_id not in taken
    ]


def row_for(entry: Entry, held: Sequence[Held]) -> RowSeen | None:
    """The row this retype takes: one that an earlier try made, else the lowest; none that an undo left alone."""
    item, old = entry.item, entry.row
    rows = [
        other.row
        for other, left in held
        if other.row is not None and other.base is None and other.item is None
        if left is None or left.reason == "duplicate"
    ]
    fitting = [row for row in rows if item is not None and fits(row, item) and item.komm_kz != entry.komm_kz]
    text = old.own_text if old is not None else ""
    return min(fitting, key=lambda row: (not is_our_copy(row, item, text), row.komm_id), default=None)


def fits(row: RowSeen, item: ItemSeen) -> bool:
    """Whether a row holds the value and is known to be of its type's kommKz: its marker says so, else the payload."""
    told = row.marker_komm_kz if row.marker_kind is MarkerKind.MARKER else row.komm_kz
    return row.key == item.key and told == item.komm_kz and row.channel is item.item.channel


def is_our_copy(row: RowSeen, item: ItemSeen | None, text: str) -> bool:
    """Whether a row shows marker and own text just as a retype writes them."""
    ours = item is not None and row.marker_kind is MarkerKind.MARKER and row.marker_key == item.key
    return ours and same_text(row.own_text, text)
