"""Which entries nothing is done about, and why (rules.md §3: unsyncable, held back, duplicate).

What is left alone is a change of nobody: no direction and no conflict empties it (rules.md §4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.records import Side
from etl.rules.cleaning import is_empty
from etl.rules.conflicts import Verdict
from etl.rules.entry import NONE, Decision, Entry, Left, Pair, PersonFacts, Policy
from etl.rules.items import can_hold
from etl.rules.leftovers import our_leftover
from etl.rules.mending import uncut
from etl.rules.retyping import with_rows_that_stand
from etl.rules.unclear import unclear
from etl.rules.variants import REASONS, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.pairs import Decided

UNDONE = "undone"
"""How the note begins about what an operator undid."""

SENT_TO_ESPO = frozenset({Variant.VAR4, Variant.VAR6})
SENT_TO_ADVO = frozenset({Variant.VAR1, Variant.VAR5, Variant.RETYPE, Variant.CLASH})


def leave(person: PersonFacts, entries: Sequence[Entry], policy: Policy) -> list[tuple[Entry, Left | None]]:
    """Pair each entry with the reason it is left alone, ``None`` where it is not; our own leftovers become LEFTOVER."""
    held = [
        (
            entry,
            undone(person, entry)
            or unclear(person, entry, entries)
            or duplicate(person, entry, entries)
            or unsyncable(person, entry, policy),
        )
        for entry in entries
    ]
    held = [
        our_leftover(
            entry,
            left,
            entries,
            before=remembered(person, entry, "duplicate"),
            first_sync=is_first(person, entry),
        )
        for entry, left in held
    ]
    return beyond_maximum(person, with_rows_that_stand(held, policy.direction), policy)


def is_first(person: PersonFacts, entry: Entry) -> bool:
    """Whether a first sync meets the entry, one that was broken off included: it destroys nothing (rules.md §3)."""
    return person.first_sync or (person.begun and entry.base is None)


def undone(person: PersonFacts, entry: Entry) -> Left | None:
    """What an operator undid does not happen again by itself, until somebody edits the entry (rules.md §4)."""
    notes = undo_notes(person, entry)
    agree = all(is_row(note, entry) or is_item(note, entry) for note in notes)
    over = entry.variant is Variant.SAME or (entry.variant is Variant.FORGET and entry.row is None)
    return notes[0] if notes and agree and not over else None


def undo_notes(person: PersonFacts, entry: Entry) -> list[Left]:
    """The notes of an undo about either half of this entry; a note about its row names the row, as EspoCRM's may."""
    rows = {one.komm_id for one in (entry.row, entry.base) if one is not None}
    return [
        note
        for note in person.left
        if is_undo_note(note) and (is_row(note, entry) or is_item(note, entry) or note.komm_id in rows)
    ]


def is_undo_note(note: Left) -> bool:
    """Whether an undo left this note, and not a direction."""
    return note.reason == "held_back" and note.direction is None and note.detail.startswith(UNDONE)


def duplicate(person: PersonFacts, entry: Entry, entries: Sequence[Entry]) -> Left | None:
    """A second row or item with a value the person has already."""
    taken = pair_of_value(entry, entries) is not None or remembered(person, entry, "duplicate") is not None
    if entry.variant is Variant.VAR4 and entry.row is not None and taken:
        why = "another row of this person holds the same value"
        return Left(Side.ADVO, "duplicate", why, entry.row.value, entry.row.komm_id)
    if entry.variant is Variant.VAR1 and entry.item is not None and remembered(person, entry, "duplicate"):
        return Left(Side.ESPO, "duplicate", "it was the second item with this value", entry.item.item.value)
    return None


def pair_of_value(entry: Entry, entries: Sequence[Entry]) -> Entry | None:
    """The entry whose row was, or becomes, the pair of the value this unlinked row holds."""
    same = [other for other in entries if other is not entry and other.row_key == entry.row_key != NONE]
    for other in same:
        earlier = other.variant is Variant.VAR4 and row_number(other) < row_number(entry)
        if other.was_pair or other.variant in (Variant.LINK, Variant.REPAIR) or earlier:
            return other
    return None


def unsyncable(person: PersonFacts, entry: Entry, policy: Policy) -> Left | None:
    """What a system refused or stored otherwise before, or what EspoCRM cannot hold."""
    known = remembered(person, entry, "unsyncable")
    if entry.variant in SENT_TO_ADVO and entry.item is not None:
        value = entry.item.item.value
        why = "" if known is None else told_by(known, Side.ESPO) or "Advoware did not take this value"
        why = why or ("it shows nothing" if is_empty(value) else "")  # a row of it would stand empty: deleted there
        return Left(Side.ESPO, "unsyncable", why, value, row_number(entry) or None) if why else None
    if entry.variant not in SENT_TO_ESPO or entry.row is None:
        return None
    if known is not None:
        told = told_by(known, Side.ADVO) or "EspoCRM did not take this value"
        return Left(Side.ADVO, "unsyncable", told, entry.row.value, entry.row.komm_id)
    moved = entry.row.channel is not entry.channel
    reason = "the row now holds something of another kind" if moved else is_beginning_of_marker(entry)
    reason = reason or can_hold(entry.channel, entry.row.value, entry.row.canonical, international=policy.international)
    return Left(Side.ADVO, "unsyncable", reason, entry.row.value, entry.row.komm_id) if reason else None


def told_by(note: Left, side: Side) -> str | None:
    """The reason an earlier run gave, where it spoke of an entry on this side: it stays what people read."""
    return note.detail if note.side is side else None


def is_beginning_of_marker(entry: Entry) -> str | None:
    """Why a row that shows the beginning of its marker's value is left alone where the store was lost, else None.

    Advoware may have shortened our last write, and the store did not live to mend it; or a person took its end away.
    EspoCRM holds it whole, so nothing is overwritten until somebody says which.
    """
    base, row = entry.base, entry.row
    if base is None or row is None or not base.pseudo:
        return None
    is_shorter = row.value != base.espo_value and base.espo_value.startswith(uncut(row.value))
    return "it is the beginning of what its marker says" if is_shorter else None


def beyond_maximum(
    person: PersonFacts, held: list[tuple[Entry, Left | None]], policy: Policy
) -> list[tuple[Entry, Left | None]]:
    """The 11th item of a channel cannot be added (espocrm-api.md, fact 10): the highest rows stay in Advoware only."""
    result: list[tuple[Entry, Left | None]] = []
    room = {
        channel: policy.max_items
        - sum(item.channel is channel for item in person.items)
        + sum(entry.variant is Variant.VAR3 and entry.channel is channel and left is None for entry, left in held)
        for channel in {entry.channel for entry, _ in held}
    }
    too_many = f"EspoCRM holds at most {policy.max_items} of a kind"
    for entry, left in sorted(held, key=lambda pair: row_number(pair[0])):
        if entry.variant is not Variant.VAR4 or left is not None or entry.row is None:
            result.append((entry, left))
            continue
        room[entry.channel] -= 1
        note = Left(Side.ADVO, "unsyncable", too_many, entry.row.value, entry.row.komm_id)
        result.append((entry, note if room[entry.channel] < 0 else None))
    return result


def remembered(person: PersonFacts, entry: Entry, reason: str) -> Left | None:
    """The note of an earlier run about this entry, as long as nobody edited it since."""
    for left in person.left:
        if left.reason == reason and (is_row(left, entry) or is_item(left, entry)):
            return left
    return None


def held_back(person: PersonFacts, entry: Entry) -> bool:
    """Whether a direction held this entry back: its row by its number, its item by its value, however spelled."""
    notes = [note for note in person.left if note.reason == "held_back"]
    of_row = any(note.side is Side.ADVO and note.komm_id == row_number(entry) != 0 for note in notes)
    return of_row or any(is_item(note, entry) for note in notes)


def is_row(left: Left, entry: Entry) -> bool:
    """Whether the note speaks of this row with this very value."""
    return (
        left.side is Side.ADVO
        and entry.row is not None
        and (left.komm_id, left.value) == (entry.row.komm_id, entry.row.value)
    )


def is_item(left: Left, entry: Entry) -> bool:
    """Whether the note speaks of this item with this very value."""
    return left.side is Side.ESPO and entry.item is not None and left.value == entry.item.item.value


def row_number(entry: Entry) -> int:
    """The row's komm_id; 0 without a row."""
    return entry.row.komm_id if entry.row is not None else 0


def left_alone(one: Decided, policy: Policy) -> Decision:
    """Nothing is written and the baseline row stays.

    A pair that a recovery read off a marker enters the baseline, else the next run would take both halves for new.
    """
    entry = one.entry
    left = one.left
    if left is None:
        side = Side.ESPO if entry.item is not None and entry.variant is not Variant.VAR4 else Side.ADVO
        value = entry.item.item.value if side is Side.ESPO and entry.item else entry.row.value if entry.row else ""
        komm_id = entry.row.komm_id if entry.row else entry.base.komm_id if entry.base else None
        left = Left(
            side,
            "held_back",
            f"{REASONS[entry.variant]}; direction {policy.direction} holds it back",
            value,
            komm_id,
            policy.direction,
        )
    recovered = pair_of_marker(entry)
    return Decision(
        entry,
        Variant.LEAVE,
        Verdict.HOLD,
        f"{REASONS[entry.variant]}: {left.detail}",
        keeps=recovered is None,
        pair=recovered,
        left=left,
    )


def pair_of_marker(entry: Entry) -> Pair | None:
    """What was agreed by a marker that a recovery trusts."""
    base = entry.base
    if base is None or not base.pseudo:
        return None
    return Pair(base.komm_id, entry.channel, base.espo_value, base.espo_type, base.advo_value, base.komm_kz)
