"""Rows that carry a marker of ours and belong to no pair become slots (rules §3, Leftovers).

An empty one always does: our own write was interrupted between EspoCRM's arrays and the row, or a person typed blanks
over the number. One with a value does only if nothing can get lost: the value is the marker's own and that of a pair,
and nobody wrote a text beside it. A first sync or a recovery empties none with a value, because a person may have been
copied with its markers; what it left alone stays so until somebody edits it.

A retype may find its new row already there (rules §3, retype and Leftovers): then nothing is created. Somebody typed
the number as a fax before its type in EspoCRM became Fax; or an earlier try of this retype created the row, and the
state store, an old backup, does not know it. Such a row belongs to no pair, holds the value, and its kommKz is known to
be the new one. Its own text stays; the text of the old row moves there only if it has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etl.enums import LeftAloneReason, NoteCause
from etl.records import Channel, Direction
from etl.rules.entry import AdvoEntry, Entry, LeftAlone
from etl.rules.marker import MarkerKind, is_same_text
from etl.rules.variants import EntryFacts, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.entry import EspoEntry
    EntryAndNote = tuple[Entry, LeftAlone | None]

PAIR_VARIANTS: Final = frozenset({Variant.LINK, Variant.REPAIR, Variant.SAME})
"""The variants of entries that are a pair already, or become one by a marker alone."""


def retype_leftover_entry(row: AdvoEntry, entries: Sequence[Entry]) -> Entry:
    """The entry of an old row that a retype left; its own text is dropped only if the pair's row has it, too."""
    pairs = (entry.row for entry in entries if entry.base is not None and entry.base.espo_key == row.key)
    is_copied = any(pair is not None and is_same_text(pair.own_text, row.own_text) for pair in pairs)
    return leftover_entry(replace(row, own_text="") if is_copied else row)


def leftover_entry(row: AdvoEntry) -> Entry:
    """The entry of a row that is to become a slot of the kommKz in its marker; its own text stays."""
    facts = EntryFacts(in_advo=bool(row.value))
    return Entry(row.channel or Channel.PHONE, Variant.LEFTOVER, row.marker_komm_kz or 1, facts, row=row)


def is_empty_leftover(entry: Entry) -> bool:
    """Whether this leftover has no value any more: only its marker is written."""
    return entry.variant is Variant.LEFTOVER and entry.row is not None and not entry.row.value


def reclassify_leftover(
    entry: Entry, note: LeftAlone | None, entries: Sequence[Entry], *, earlier_note: LeftAlone | None, first_sync: bool
) -> tuple[Entry, LeftAlone | None]:
    """Let a duplicate of ours become a slot once its value belongs to a pair.

    ``earlier_note``: the note that an earlier run left about it.
    """
    if note is None or note.reason != LeftAloneReason.DUPLICATE or not is_own_leftover(entry):
        return entry, note
    is_copy = first_sync if earlier_note is None else not is_own_leftover_note(earlier_note)
    if is_copy:
        return entry, note
    if not first_sync and any(is_pair_of_same_value(other, entry) for other in entries):
        return replace(entry, variant=Variant.LEFTOVER), None
    return entry, replace(note, detail=NoteCause.OWN_LEFTOVER)


def is_own_leftover_note(note: LeftAlone | None) -> bool:
    """Whether a note is about a row of ours that may become a slot."""
    return note is not None and NoteCause.OWN_LEFTOVER.is_cause_of(note.detail)


def is_own_leftover(entry: Entry) -> bool:
    """Whether the row carries our marker for the value it holds, and no own text."""
    row = entry.row
    return row is not None and row.marker_kind is MarkerKind.MARKER and row.marker_key == row.key and not row.own_text


def is_pair_of_same_value(other: Entry, entry: Entry) -> bool:
    """Whether another entry is, or just was, the pair of this row's value, and its own row holds that value."""
    is_pair = other.row_holds_baseline or other.variant in PAIR_VARIANTS
    return other is not entry and is_pair and other.row_key == entry.row_key is not None


def leaves_leftover(entry: Entry, entries_and_notes: Sequence[tuple[Entry, LeftAlone | None]]) -> bool:
    """Whether this entry becomes the pair of a value that a row of ours also holds: a leftover for the next plan."""
    return entry.variant in (Variant.VAR4, Variant.LINK) and any(
        other is not entry and other.row_key == entry.row_key and is_own_leftover_note(note)
        for other, note in entries_and_notes
    )


def attach_retype_rows(entries_and_notes: Sequence[EntryAndNote], direction: Direction) -> list[EntryAndNote]:
    """Attach to each retype the row it takes, if there is one, and drop that row's own entry."""
    if direction is Direction.TO_ESPOCRM:
        return list(entries_and_notes)
    retypes = [entry for entry, note in entries_and_notes if entry.variant is Variant.RETYPE and note is None]
    row_of_entry = {
        id(entry): row for entry in retypes if (row := find_retype_row(entry, entries_and_notes)) is not None
    }
    taken_komm_ids = {row.komm_id for row in row_of_entry.values()}
    return [
        (replace(entry, retype_row=row_of_entry[id(entry)]) if id(entry) in row_of_entry else entry, note)
        for entry, note in entries_and_notes
        if entry.base is not None or entry.row is None or entry.row.komm_id not in taken_komm_ids
    ]


def find_retype_row(entry: Entry, entries_and_notes: Sequence[EntryAndNote]) -> AdvoEntry | None:
    """The row this retype takes: one that an earlier try created, else the lowest; none that an undo left alone."""
    item, old_row = entry.item, entry.row
    rows = [
        other.row
        for other, note in entries_and_notes
        if other.row is not None and other.base is None and other.item is None
        if note is None or note.reason == LeftAloneReason.DUPLICATE
    ]
    candidates = [
        row for row in rows if item is not None and is_retype_row(row, item) and item.komm_kz != entry.komm_kz
    ]
    text = old_row.own_text if old_row is not None else ""
    return min(candidates, key=lambda row: (not is_retype_copy(row, item, text), row.komm_id), default=None)


def is_retype_row(row: AdvoEntry, item: EspoEntry) -> bool:
    """Whether a row holds the item's value and, by its marker or else the payload, has the kommKz of its type."""
    komm_kz = row.marker_komm_kz if row.marker_kind is MarkerKind.MARKER else row.komm_kz
    return row.key == item.key and komm_kz == item.komm_kz and row.channel is item.item.channel


def is_retype_copy(row: AdvoEntry, item: EspoEntry | None, text: str) -> bool:
    """Whether a row shows marker and own text exactly as a retype writes them."""
    carries_marker = item is not None and row.marker_kind is MarkerKind.MARKER and row.marker_key == item.key
    return carries_marker and is_same_text(row.own_text, text)
