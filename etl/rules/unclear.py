"""Values that nobody can read with certainty (rules §0): they prevent writes and never cause one. Pure.

An unlinked unclear value is left alone, and so is any value of the other side that may be the same. If one side of a
pair is edited into an unclear value, the pair waits with its baseline row; if the other side then changes too, the pair
ends, and neither half says anything about the other any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from etl.enums import LeftAloneReason, NoteCause
from etl.records import Channel, Side
from etl.rules.entry import AdvoEntry, Entry, EspoEntry, LeftAlone, PersonState
from etl.rules.values.canonical import canonical
from etl.rules.values.classify import LITERAL
from etl.rules.values.doubts import ADVICE, Doubt
from etl.rules.values.readings import is_reading
from etl.rules.variants import EntryFacts, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.entry import BaselinePair

AGREEING_VARIANTS: Final = frozenset({Variant.SAME, Variant.REPAIR, Variant.LINK})


def split_ended_pairs(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with each pair that an unclear edit ends split up: the pair is forgotten, its halves are new."""
    return [half for entry in entries for half in split_pair(entry)]


def split_pair(entry: Entry) -> list[Entry]:
    """The entry itself, or, if its pair ends, the pair to forget and each half that holds a value."""
    if entry.base is None or not ends_pair(entry):
        return [entry]
    empty_row = entry.row if entry.row is not None and not entry.row.value else None
    result = [replace(entry, variant=Variant.FORGET, facts=EntryFacts(known=True), item=None, row=empty_row)]
    if entry.row is not None and entry.row.value:
        result.append(replace(entry, variant=Variant.VAR4, facts=EntryFacts(in_advo=True), base=None, item=None))
    if entry.item is not None:
        result.append(replace(entry, variant=Variant.VAR1, facts=EntryFacts(in_espo=True), base=None, row=None))
    return result


def ends_pair(entry: Entry) -> bool:
    """Whether an unclear value would be emptied, removed or overwritten in this pair, or both sides changed."""
    return is_doubtful_pair(entry) and entry.variant not in AGREEING_VARIANTS and not is_waiting_pair(entry)


def is_waiting_pair(entry: Entry) -> bool:
    """Whether one half was edited into an unclear value while the other holds what was agreed."""
    base = entry.base
    if base is None or not is_doubtful_pair(entry) or entry.variant in AGREEING_VARIANTS:
        return False
    if is_doubtful_item(entry.item, base):
        return entry.row_key == base.advo_key is not None
    return entry.item_key == base.espo_key is not None


def is_doubtful_pair(entry: Entry) -> bool:
    """Whether a pair shows an unclear value that the baseline does not hold byte for byte."""
    base = entry.base
    return base is not None and (is_doubtful_item(entry.item, base) or is_doubtful_row(entry.row, base))


def is_doubtful_item(item: EspoEntry | None, base: BaselinePair) -> bool:
    """Whether EspoCRM's value is unclear and not byte for byte the agreed one."""
    return item is not None and item.doubt is not None and item.item.value != base.espo_value


def is_doubtful_row(row: AdvoEntry | None, base: BaselinePair) -> bool:
    """Whether Advoware's value is unclear and not byte for byte the agreed one."""
    return row is not None and row.doubt is not None and row.value != base.advo_value


def unclear_note(person: PersonState, entry: Entry, entries: Sequence[Entry]) -> LeftAlone | None:
    """The note about an entry that is unclear, or may be the same as an unclear one on the other side."""
    if entry.base is not None:
        return unclear_pair_note(entry) if is_waiting_pair(entry) else None
    if entry.variant is Variant.VAR4 and entry.row is not None:
        return unclear_row_note(person, entry.row, entries)
    if entry.variant is Variant.VAR1 and entry.item is not None:
        return unclear_item_note(person, entry.item, entries)
    return None


def unclear_pair_note(entry: Entry) -> LeftAlone:
    """The note about the half that was edited into an unclear value.

    A note about an item also names the row: by it a later plan finds the pair, whatever else is new in EspoCRM then.
    """
    if entry.item is not None and entry.base is not None and is_doubtful_item(entry.item, entry.base):
        return LeftAlone(
            Side.ESPO, LeftAloneReason.UNCLEAR, doubt_text(entry.item.doubt), entry.item.item.value, entry.base.komm_id
        )
    row = entry.row
    assert row is not None  # noqa: S101 - whoever waits holds an unclear value on one of its sides
    return LeftAlone(Side.ADVO, LeftAloneReason.UNCLEAR, doubt_text(row.doubt), row.value, row.komm_id)


def unclear_row_note(person: PersonState, row: AdvoEntry, entries: Sequence[Entry]) -> LeftAlone | None:
    """The note about an unlinked row that is unclear, or may be what an unlinked unclear item means."""
    reason = doubt_text(row.doubt) if row.doubt else None
    address = address_of(row.canonical, row.doubt, row.readings)
    others = [other.item for other in entries if other.variant is Variant.VAR1 and other.base is None]
    if reason is None and any(other is not None and is_reading(address, other.readings) for other in others):
        reason = "EspoCRM has an unclear entry that may be this one"
    if reason is None and any(
        is_split_pair_note(note, Side.ADVO, row.value, row.komm_id) for note in person.left_alone
    ):
        reason = NoteCause.SPLIT_PAIR
    return None if reason is None else LeftAlone(Side.ADVO, LeftAloneReason.UNCLEAR, reason, row.value, row.komm_id)


def unclear_item_note(person: PersonState, item: EspoEntry, entries: Sequence[Entry]) -> LeftAlone | None:
    """The note about an unlinked item that may be what an unclear row means, or is unclear and may mean some row."""
    rows = [other.row for other in entries if other.row is not None and other.row.value]
    unread = [other.row for other in entries if other.row is not None and is_unread(other)]
    address = address_of(item.canonical, item.doubt, item.readings)
    reason = None
    if any(is_reading(address_of(row.canonical, row.doubt, row.readings), item.readings) for row in rows):
        reason = doubt_text(item.doubt)
    elif any(is_reading(address, row.readings) for row in unread):
        reason = "Advoware has an unclear entry that may be this one"
    elif any(is_split_pair_note(note, Side.ESPO, item.item.value, None) for note in person.left_alone):
        reason = NoteCause.SPLIT_PAIR
    return None if reason is None else LeftAlone(Side.ESPO, LeftAloneReason.UNCLEAR, reason, item.item.value)


def is_unread(entry: Entry) -> bool:
    """Whether a row holds something that was never agreed: an unlinked value, or an unclear edit of a pair."""
    if entry.base is None:
        return entry.variant is not Variant.LINK
    return is_doubtful_row(entry.row, entry.base)


def is_split_pair_note(note: LeftAlone, side: Side, value: str, komm_id: int | None) -> bool:
    """Whether a note says that this very value was half of a pair that a newer grammar no longer reads as one value."""
    is_same_entry = (note.side, note.value, note.komm_id if side is Side.ADVO else None) == (side, value, komm_id)
    return is_same_entry and note.reason == LeftAloneReason.UNCLEAR and NoteCause.SPLIT_PAIR.is_cause_of(note.detail)


def address_of(canonical: str | None, doubt: Doubt | None, readings: str | None) -> str | None:
    """The number or address that a value certainly is, or would be if the library knew such numbers; else None."""
    if doubt is Doubt.UNKNOWN:
        return next((word for word in (readings or "").split() if word.startswith("+")), None)
    return canonical if canonical is not None and not canonical.startswith(LITERAL) else None


def doubt_text(doubt: Doubt | None) -> str:
    """Why nobody can read a value, and how to write it."""
    says = ADVICE[doubt or Doubt.WORDS]
    return f"{says.reason} {says.correction}"


def recompute_pair(pair: Mapping[str, Any], region: str) -> Mapping[str, Any] | None:
    """An agreed or foreseen pair with what its values are compared by now; None if they are no longer one value."""
    channel = Channel(pair["channel"])
    espo_canonical, advo_canonical = (canonical(channel, pair[f"{side}_value"], region) for side in ("espo", "advo"))
    if espo_canonical != advo_canonical and pair["espo_canonical"] == pair["advo_canonical"]:
        return None
    return {**pair, "espo_canonical": espo_canonical, "advo_canonical": advo_canonical}


def pair_split_notes(pair: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The notes about both halves of a pair that ended."""
    common = {
        "betnr": pair["betnr"],
        "channel": pair["channel"],
        "reason": LeftAloneReason.UNCLEAR,
        "detail": NoteCause.SPLIT_PAIR,
    }
    return [
        {**common, "side": Side.ESPO, "value": pair["espo_value"]},
        {**common, "side": Side.ADVO, "komm_id": pair["komm_id"], "value": pair["advo_value"]},
    ]
