"""Which entries are left alone, and why (rules §3: unsyncable, held back, duplicate).

What is left alone counts as unchanged: no direction and no conflict empties it (rules §4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.enums import LeftAloneReason, NoteCause
from etl.records import Side
from etl.rules.entry import Decision, Entry, LeftAlone, NextBaseline, PersonState, Policy
from etl.rules.espo.items import rejection_reason
from etl.rules.leftovers import attach_retype_rows, reclassify_leftover
from etl.rules.truncation import without_cut_letter
from etl.rules.unclear import unclear_note
from etl.rules.values.cleaning import is_empty_value
from etl.rules.variants import VARIANT_REASONS, Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.same_value import ResolvedEntry

SENT_TO_ESPO = frozenset({Variant.VAR4, Variant.VAR6})
CHANGES_ARRAYS = SENT_TO_ESPO | {Variant.VAR3}
SENT_TO_ADVO = frozenset({Variant.VAR1, Variant.VAR5, Variant.RETYPE, Variant.CLASH})


def find_left_alone(
    person: PersonState, entries: Sequence[Entry], policy: Policy
) -> list[tuple[Entry, LeftAlone | None]]:
    """Pair each entry with the note why it is left alone, None if it is not; our own leftovers become LEFTOVER."""
    entries_and_notes = [
        (
            entry,
            undo_note(person, entry)
            or unclear_note(person, entry, entries)
            or duplicate_note(person, entry, entries)
            or unsyncable_note(person, entry, policy),
        )
        for entry in entries
    ]
    entries_and_notes = [
        reclassify_leftover(
            entry,
            note,
            entries,
            earlier_note=find_note(person, entry, LeftAloneReason.DUPLICATE),
            first_sync=is_in_first_sync(person, entry),
        )
        for entry, note in entries_and_notes
    ]
    return leave_beyond_limit(person, attach_retype_rows(entries_and_notes, policy.direction), policy)


def is_in_first_sync(person: PersonState, entry: Entry) -> bool:
    """Whether a first sync, perhaps one that was broken off, meets the entry: it destroys nothing (rules §3)."""
    return person.first_sync or (person.first_sync_interrupted and entry.base is None)


def undo_note(person: PersonState, entry: Entry) -> LeftAlone | None:
    """The note of an undo, while nobody has edited the entry: what was undone is not done again (rules §4)."""
    notes = undo_notes(person, entry)
    is_unedited = all(is_note_of_row(note, entry) or is_note_of_item(note, entry) for note in notes)
    is_settled = entry.variant is Variant.SAME or (entry.variant is Variant.FORGET and entry.row is None)
    return notes[0] if notes and is_unedited and not is_settled else None


def undo_notes(person: PersonState, entry: Entry) -> list[LeftAlone]:
    """The notes of an undo about either half of this entry; a note about the item may name the row, too."""
    rows = {row_or_base.komm_id for row_or_base in (entry.row, entry.base) if row_or_base is not None}
    return [
        note
        for note in person.left_alone
        if is_undo_note(note) and (is_note_of_row(note, entry) or is_note_of_item(note, entry) or note.komm_id in rows)
    ]


def is_undo_note(note: LeftAlone) -> bool:
    """Whether this note comes from an undo and not from a direction."""
    return (
        note.reason == LeftAloneReason.HELD_BACK and note.direction is None and NoteCause.UNDO.is_cause_of(note.detail)
    )


def duplicate_note(person: PersonState, entry: Entry, entries: Sequence[Entry]) -> LeftAlone | None:
    """The note about a second row or item with a value that the person has already."""
    is_duplicate = (
        entry_with_value(entry, entries) is not None or find_note(person, entry, LeftAloneReason.DUPLICATE) is not None
    )
    if entry.variant is Variant.VAR4 and entry.row is not None and is_duplicate:
        reason = "another row of this person holds the same value"
        return LeftAlone(Side.ADVO, LeftAloneReason.DUPLICATE, reason, entry.row.value, entry.row.komm_id)
    if entry.variant is Variant.VAR1 and entry.item is not None and find_note(person, entry, LeftAloneReason.DUPLICATE):
        return LeftAlone(
            Side.ESPO, LeftAloneReason.DUPLICATE, "it was the second item with this value", entry.item.item.value
        )
    return None


def entry_with_value(entry: Entry, entries: Sequence[Entry]) -> Entry | None:
    """The other entry whose row was, or becomes, the pair of the value that this unlinked row holds."""
    same = [other for other in entries if other is not entry and other.row_key == entry.row_key is not None]
    for other in same:
        comes_first = other.variant is Variant.VAR4 and komm_id_or_zero(other) < komm_id_or_zero(entry)
        if other.row_holds_baseline or other.variant in (Variant.LINK, Variant.REPAIR) or comes_first:
            return other
    return None


def unsyncable_note(person: PersonState, entry: Entry, policy: Policy) -> LeftAlone | None:
    """The note about a value that a system refused, or did not store as sent, or that EspoCRM cannot hold."""
    earlier_note = find_note(person, entry, LeftAloneReason.UNSYNCABLE)
    if entry.variant in SENT_TO_ADVO and entry.item is not None:
        value = entry.item.item.value
        espo_reason = (
            ""
            if earlier_note is None
            else earlier_reason(earlier_note, Side.ESPO) or "Advoware did not take this value"
        )
        espo_reason = espo_reason or (
            "it shows nothing" if is_empty_value(value) else ""
        )  # its row would be empty, which reads as deleted
        return (
            LeftAlone(Side.ESPO, LeftAloneReason.UNSYNCABLE, espo_reason, value, komm_id_or_zero(entry) or None)
            if espo_reason
            else None
        )
    if entry.variant not in SENT_TO_ESPO or entry.row is None:
        return None
    if earlier_note is not None:
        note_reason = earlier_reason(earlier_note, Side.ADVO) or "EspoCRM did not take this value"
        return LeftAlone(Side.ADVO, LeftAloneReason.UNSYNCABLE, note_reason, entry.row.value, entry.row.komm_id)
    changed_channel = entry.row.channel is not entry.channel
    reason = "the row now holds something of another kind" if changed_channel else marker_truncation_reason(entry)
    reason = reason or rejection_reason(
        entry.channel, entry.row.value, entry.row.canonical, international=policy.international
    )
    if not reason:
        return None
    return LeftAlone(Side.ADVO, LeftAloneReason.UNSYNCABLE, reason, entry.row.value, entry.row.komm_id)


def earlier_reason(note: LeftAlone, side: Side) -> str | None:
    """The reason an earlier run gave for an entry on this side; people go on reading the same reason."""
    return note.detail if note.side is side else None


def marker_truncation_reason(entry: Entry) -> str | None:
    """Why, after a loss of the store, a row with only the beginning of its marker's value is left alone, else None.

    Either Advoware shortened our last write and the store was lost before it was repaired, or a person deleted the end.
    EspoCRM holds the whole value, so nothing is overwritten until somebody edits one of the two.
    """
    base, row = entry.base, entry.row
    if base is None or row is None or not base.pseudo:
        return None
    is_truncated_value = row.value != base.espo_value and base.espo_value.startswith(without_cut_letter(row.value))
    return "it is the beginning of what its marker says" if is_truncated_value else None


def leave_beyond_limit(
    person: PersonState, entries_and_notes: list[tuple[Entry, LeftAlone | None]], policy: Policy
) -> list[tuple[Entry, LeftAlone | None]]:
    """Leave the 11th item of a channel, as EspoCRM cannot hold it (fact A10): the highest rows stay in Advoware only.

    A record that got more of them from an EspoCRM 8 takes no array of this channel until people remove some there.
    """
    result: list[tuple[Entry, LeftAlone | None]] = []
    room = {
        channel: policy.max_items
        - sum(item.channel is channel for item in person.items)
        + sum(
            entry.variant is Variant.VAR3 and entry.channel is channel and note is None
            for entry, note in entries_and_notes
        )
        for channel in {entry.channel for entry, _ in entries_and_notes}
    }
    overfull = {channel for channel, count in room.items() if count < 0}
    for entry, note in sorted(entries_and_notes, key=lambda pair: komm_id_or_zero(pair[0])):
        if note is not None:
            result.append((entry, note))
            continue
        room[entry.channel] -= entry.variant is Variant.VAR4
        is_beyond = entry.channel in overfull and entry.variant in CHANGES_ARRAYS
        is_beyond |= entry.variant is Variant.VAR4 and room[entry.channel] < 0
        result.append((entry, limit_note(entry, policy) if is_beyond else None))
    return result


def limit_note(entry: Entry, policy: Policy) -> LeftAlone:
    """The note that EspoCRM takes no array this long; for a deletion, about the item, which stays."""
    reason = f"EspoCRM holds at most {policy.max_items} of a kind"
    if entry.variant is Variant.VAR3 and entry.item is not None:
        komm_id = entry.base.komm_id if entry.base is not None else None
        return LeftAlone(Side.ESPO, LeftAloneReason.UNSYNCABLE, reason, entry.item.item.value, komm_id)
    value = entry.row.value if entry.row is not None else ""
    return LeftAlone(Side.ADVO, LeftAloneReason.UNSYNCABLE, reason, value, komm_id_or_zero(entry) or None)


def find_note(person: PersonState, entry: Entry, reason: str) -> LeftAlone | None:
    """The note of an earlier run about this entry, if nobody has edited it since."""
    for note in person.left_alone:
        if note.reason == reason and (is_note_of_row(note, entry) or is_note_of_item(note, entry)):
            return note
    return None


def has_held_back_note(person: PersonState, entry: Entry) -> bool:
    """Whether an earlier run held this entry back: by the komm_id of its row, or by the value of its item."""
    notes = [note for note in person.left_alone if note.reason == LeftAloneReason.HELD_BACK]
    is_row_held_back = any(note.side is Side.ADVO and note.komm_id == komm_id_or_zero(entry) != 0 for note in notes)
    return is_row_held_back or any(is_note_of_item(note, entry) for note in notes)


def is_note_of_row(note: LeftAlone, entry: Entry) -> bool:
    """Whether the note is about this row with this very value."""
    return (
        note.side is Side.ADVO
        and entry.row is not None
        and (note.komm_id, note.value) == (entry.row.komm_id, entry.row.value)
    )


def is_note_of_item(note: LeftAlone, entry: Entry) -> bool:
    """Whether the note is about this item with this very value."""
    return note.side is Side.ESPO and entry.item is not None and note.value == entry.item.item.value


def komm_id_or_zero(entry: Entry) -> int:
    """The row's komm_id; 0 without a row."""
    return entry.row.komm_id if entry.row is not None else 0


def leave_decision(resolved: ResolvedEntry, policy: Policy) -> Decision:
    """A decision that writes nothing and keeps the baseline row.

    A pair that a recovery took from a marker enters the baseline, else the next run would take both halves for new.
    """
    entry = resolved.entry
    note = resolved.left_alone
    if note is None:
        side = Side.ESPO if entry.item is not None and entry.variant is not Variant.VAR4 else Side.ADVO
        value = entry.item.item.value if side is Side.ESPO and entry.item else entry.row.value if entry.row else ""
        komm_id = entry.row.komm_id if entry.row else entry.base.komm_id if entry.base else None
        note = LeftAlone(
            side,
            LeftAloneReason.HELD_BACK,
            f"{VARIANT_REASONS[entry.variant]}; direction {policy.direction} holds it back",
            value,
            komm_id,
            policy.direction,
        )
    recovered_pair = next_baseline_from_marker(entry)
    return Decision(
        entry,
        Variant.LEAVE,
        Resolution.LEAVE,
        f"{VARIANT_REASONS[entry.variant]}: {note.detail}",
        keeps_baseline=recovered_pair is None,
        next_baseline=recovered_pair,
        left_alone=note,
    )


def next_baseline_from_marker(entry: Entry) -> NextBaseline | None:
    """The pair that was agreed according to a marker that a recovery trusts, else None."""
    base = entry.base
    if base is None or not base.pseudo:
        return None
    return NextBaseline(base.komm_id, entry.channel, base.espo_value, base.espo_type, base.advo_value, base.komm_kz)
