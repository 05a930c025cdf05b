"""Rows that carry a marker of ours and are nobody's pair (rules.md §3, Leftovers): they become slots.

One that stands empty always does: our own write was interrupted between EspoCRM's arrays and the row, or a person typed
blanks over the number. One with a value does only where nothing can get lost: the value is the marker's own and that of
a pair, and nobody wrote a text beside it. A first sync or a recovery empties none of these, because a person may have
been copied with its markers; what it left alone stays so until somebody edits it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etl.records import Channel
from etl.rules.entry import NONE, Entry, Left, RowSeen
from etl.rules.marker import MarkerKind, same_text
from etl.rules.variants import Facts, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

OURS: Final = "our own second row"
"""How the note begins about a leftover that waits for its value to be a pair's; any other is of a person's row."""

PAIRED: Final = frozenset({Variant.LINK, Variant.REPAIR, Variant.SAME})
"""What stands as a pair already, or with no more than a marker."""


def spare_entry(row: RowSeen, entries: Sequence[Entry]) -> Entry:
    """A row of a half-done retype. Own text that the pair's row has too goes, any other stays."""
    pairs = (entry.row for entry in entries if entry.base is not None and entry.base.espo_key == row.key)
    copied = any(pair is not None and same_text(pair.own_text, row.own_text) for pair in pairs)
    return leftover_entry(replace(row, own_text="") if copied else row)


def leftover_entry(row: RowSeen) -> Entry:
    """A row that is to become a slot of the kommKz its marker says; its own text stays."""
    facts = Facts(in_advo=bool(row.value))
    return Entry(row.channel or Channel.PHONE, Variant.LEFTOVER, row.marker_komm_kz or 1, facts, row=row)


def stands_empty(entry: Entry) -> bool:
    """Whether this leftover has lost its value: nothing but its marker is written."""
    return entry.variant is Variant.LEFTOVER and entry.row is not None and not entry.row.value


def our_leftover(
    entry: Entry, left: Left | None, entries: Sequence[Entry], *, before: Left | None, first_sync: bool
) -> tuple[Entry, Left | None]:
    """A duplicate that is ours becomes a slot once its value is a pair's; ``before``: how an earlier run noted it."""
    if left is None or left.reason != "duplicate" or not looks_ours(entry):
        return entry, left
    is_copy = first_sync if before is None else not is_noted_as_ours(before)
    if is_copy:
        return entry, left
    if not first_sync and any(is_pair_of(other, entry) for other in entries):
        return replace(entry, variant=Variant.LEFTOVER), None
    return entry, replace(left, detail=OURS)


def is_noted_as_ours(left: Left | None) -> bool:
    """Whether a note speaks of a row that is ours to make a slot of."""
    return left is not None and left.detail.startswith(OURS)


def looks_ours(entry: Entry) -> bool:
    """Whether the row carries our marker for the value it holds, and nobody's text."""
    row = entry.row
    return row is not None and row.marker_kind is MarkerKind.MARKER and row.marker_key == row.key and not row.own_text


def is_pair_of(other: Entry, entry: Entry) -> bool:
    """Whether another entry is, or just was, the pair of the value this row holds, and its own row holds it."""
    stands = other.was_pair or other.variant in PAIRED
    return other is not entry and stands and other.row_key == entry.row_key != NONE


def leaves_a_leftover(entry: Entry, everything: Sequence[tuple[Entry, Left | None]]) -> bool:
    """Whether this plan makes a pair of the value that a row of ours holds too: it is a leftover for the next plan."""
    return entry.variant in (Variant.VAR4, Variant.LINK) and any(
        other is not entry and other.row_key == entry.row_key and is_noted_as_ours(left) for other, left in everything
    )
