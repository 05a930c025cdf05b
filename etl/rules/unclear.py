"""Values nobody can read with certainty (rules.md §0): they prevent writes, and never cause one. Pure.

An unlinked unclear value is left alone, and with it whatever the other side holds that may be the same. A pair of which
one side was edited into an unclear value waits with its baseline row; when the other side changes too, the pair ends,
and neither half says anything about the other any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etl.records import Side
from etl.rules.doubts import ADVICE, Doubt
from etl.rules.entry import NONE, Entry, ItemSeen, Left, PersonFacts, RowSeen
from etl.rules.readings import is_reading
from etl.rules.values import LITERAL
from etl.rules.variants import Facts, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.entry import Agreed

PARTED: Final = "an earlier version took two values for one"
"""The note on both halves of a pair that a newer grammar does not read as one value; it stays until one is edited."""

AGREEING: Final = frozenset({Variant.SAME, Variant.REPAIR, Variant.LINK})


def without_ended_pairs(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, each pair that an unclear edit ends taken apart: what it was is forgotten, its halves are new."""
    return [part for entry in entries for part in parts(entry)]


def parts(entry: Entry) -> list[Entry]:
    """An entry as it is, or, where its pair ends, the pair to forget and each half that holds a value."""
    if entry.base is None or not ends(entry):
        return [entry]
    empty = entry.row if entry.row is not None and not entry.row.value else None
    result = [replace(entry, variant=Variant.FORGET, facts=Facts(known=True), item=None, row=empty)]
    if entry.row is not None and entry.row.value:
        result.append(replace(entry, variant=Variant.VAR4, facts=Facts(in_advo=True), base=None, item=None))
    if entry.item is not None:
        result.append(replace(entry, variant=Variant.VAR1, facts=Facts(in_espo=True), base=None, row=None))
    return result


def ends(entry: Entry) -> bool:
    """Whether an unclear value stands where this pair would be emptied, removed or overwritten, or both sides moved."""
    return is_doubtful_pair(entry) and entry.variant not in AGREEING and not waits(entry)


def waits(entry: Entry) -> bool:
    """Whether one half was edited into an unclear value while the other holds what was agreed."""
    base = entry.base
    if base is None or not is_doubtful_pair(entry) or entry.variant in AGREEING:
        return False
    if item_is_doubtful(entry.item, base):
        return entry.row_key == base.advo_key != NONE
    return entry.item_key == base.espo_key != NONE


def is_doubtful_pair(entry: Entry) -> bool:
    """Whether a pair shows an unclear value that the baseline does not hold byte for byte."""
    base = entry.base
    return base is not None and (item_is_doubtful(entry.item, base) or row_is_doubtful(entry.row, base))


def item_is_doubtful(item: ItemSeen | None, base: Agreed) -> bool:
    """Whether EspoCRM's value is unclear and not byte for byte the agreed one."""
    return item is not None and item.doubt is not None and item.item.value != base.espo_value


def row_is_doubtful(row: RowSeen | None, base: Agreed) -> bool:
    """Whether Advoware's value is unclear and not byte for byte the agreed one."""
    return row is not None and row.doubt is not None and row.value != base.advo_value


def unclear(person: PersonFacts, entry: Entry, entries: Sequence[Entry]) -> Left | None:
    """Why an entry is left alone because nobody can tell what it, or what stands on the other side, says."""
    if entry.base is not None:
        return waiting_note(entry) if waits(entry) else None
    if entry.variant is Variant.VAR4 and entry.row is not None:
        return row_note(person, entry.row, entries)
    if entry.variant is Variant.VAR1 and entry.item is not None:
        return item_note(person, entry.item, entries)
    return None


def waiting_note(entry: Entry) -> Left:
    """The note on the half that was edited into an unclear value.

    An item's names the row as well: a later plan knows the pair by it, whatever else is new in EspoCRM by then.
    """
    if entry.item is not None and entry.base is not None and item_is_doubtful(entry.item, entry.base):
        return Left(Side.ESPO, "unclear", advice(entry.item.doubt), entry.item.item.value, entry.base.komm_id)
    row = entry.row
    assert row is not None  # noqa: S101 - whoever waits holds an unclear value on one of its sides
    return Left(Side.ADVO, "unclear", advice(row.doubt), row.value, row.komm_id)


def row_note(person: PersonFacts, row: RowSeen, entries: Sequence[Entry]) -> Left | None:
    """An unlinked row: unclear itself, or perhaps what an unlinked unclear item of EspoCRM says."""
    why = advice(row.doubt) if row.doubt else None
    address = address_of(row.canonical, row.doubt, row.readings)
    others = [other.item for other in entries if other.variant is Variant.VAR1 and other.base is None]
    if why is None and any(other is not None and is_reading(address, other.readings) for other in others):
        why = "EspoCRM has an unclear entry that may be this one"
    if why is None and any(note_of(left, Side.ADVO, row.value, row.komm_id) for left in person.left):
        why = PARTED
    return None if why is None else Left(Side.ADVO, "unclear", why, row.value, row.komm_id)


def item_note(person: PersonFacts, item: ItemSeen, entries: Sequence[Entry]) -> Left | None:
    """An unlinked item: perhaps what an unclear row says; or unclear itself, while a row may be what it says."""
    rows = [other.row for other in entries if other.row is not None and other.row.value]
    unread = [other.row for other in entries if other.row is not None and is_unread(other)]
    address = address_of(item.canonical, item.doubt, item.readings)
    why = None
    if any(is_reading(address_of(row.canonical, row.doubt, row.readings), item.readings) for row in rows):
        why = advice(item.doubt)
    elif any(is_reading(address, row.readings) for row in unread):
        why = "Advoware has an unclear entry that may be this one"
    elif any(note_of(left, Side.ESPO, item.item.value, None) for left in person.left):
        why = PARTED
    return None if why is None else Left(Side.ESPO, "unclear", why, item.item.value)


def is_unread(entry: Entry) -> bool:
    """Whether what stands in a row was agreed by nobody: the row of a pair is as EspoCRM has it, read or not."""
    if entry.base is None:
        return entry.variant is not Variant.LINK
    return row_is_doubtful(entry.row, entry.base)


def note_of(left: Left, side: Side, value: str, komm_id: int | None) -> bool:
    """Whether a note says of this very value that it was half of a pair that a newer grammar does not read as one."""
    same = (left.side, left.value, left.komm_id if side is Side.ADVO else None) == (side, value, komm_id)
    return same and left.reason == "unclear" and left.detail == PARTED


def address_of(canonical: str | None, doubt: Doubt | None, readings: str | None) -> str | None:
    """The number or address a value is: certainly, or but for the library's knowing none like it."""
    if doubt is Doubt.UNKNOWN:
        return next((word for word in (readings or "").split() if word.startswith("+")), None)
    return canonical if canonical is not None and not canonical.startswith(LITERAL) else None


def advice(doubt: Doubt | None) -> str:
    """Why nobody can read a value, and how to write it."""
    says = ADVICE[doubt or Doubt.WORDS]
    return f"{says.why} {says.how}"
