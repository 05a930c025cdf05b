"""The single writes to a row of Advoware that decisions are made of (rules.md §5). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from etl.records import Side
from etl.rules.entry import Step
from etl.rules.marker import MarkerKind, encode_slot

if TYPE_CHECKING:
    from etl.records import Channel
    from etl.rules.entry import Entry, RowSeen

T = TypeVar("T")


def row_step(action: str, channel: Channel, row: RowSeen, komm_kz: int, value: str, remark: str) -> Step:
    """One PUT to a row that stands."""
    return Step(
        Side.ADVO,
        action,
        channel,
        row.komm_id,
        komm_kz,
        row.value,
        value,
        row.remark,
        remark,
        row.online,
        old_row_id=row.row_id,
    )


def emptied(entry: Entry) -> Step:
    """An empty value and the slot marker, own text kept."""
    row = need(entry.row)
    return row_step("empty", entry.channel, row, entry.komm_kz, "", encode_slot(entry.komm_kz, row.own_text))


def slot_marked(entry: Entry) -> tuple[Step, ...]:
    """The slot marker for a row that stands empty without it."""
    row = entry.row
    if row is None or row.value or (row.marker_kind is MarkerKind.SLOT and row.marker_komm_kz == entry.komm_kz):
        return ()
    return (row_step("mark", entry.channel, row, entry.komm_kz, row.value, encode_slot(entry.komm_kz, row.own_text)),)


def need(thing: T | None) -> T:
    """The decision table promised this part of the entry; its absence is a bug, not a state of the world."""
    if thing is None:
        message = "the decision table promised a side that is not there"
        raise AssertionError(message)
    return thing
