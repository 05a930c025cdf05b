"""The stage diff: from the frames of the state store to the plan. Pure: no I/O, no clock, no randomness.

Bulk joins find what belongs together and what happened to it. Then each person to whom anything happened is decided
by rules §3 and §4. The same frames always give the same plan, so a person that was read again and shows the same
need not be planned again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from etl.enums import LeftAloneReason
from etl.records import Channel, Side
from etl.rules.actions import WriteContext, build_decision
from etl.rules.entry import Decision, Entry, LeftAlone, PersonState, Policy
from etl.rules.espo.rights import missing_right_note
from etl.rules.espo.unread import unreadable_channel_notes, without_channels
from etl.rules.joins.columns import is_any_of
from etl.rules.joins.entries import persons_with_entries
from etl.rules.joins.facts import classify_entries
from etl.rules.joins.keys import build_sides
from etl.rules.joins.matching import match
from etl.rules.left_alone import (
    find_left_alone,
    find_note,
    has_held_back_note,
    is_in_first_sync,
    is_undo_note,
    undo_notes,
)
from etl.rules.leftovers import is_empty_leftover, leaves_leftover
from etl.rules.plan import PersonPlan, Plan, keep_reassigned_pairs
from etl.rules.same_value import ResolvedEntry, merge_same_value
from etl.rules.slots import Slots
from etl.rules.unclear import split_ended_pairs
from etl.rules.values.canonical import is_similar
from etl.rules.variants import Resolution, Variant, is_person_conflict, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.espo.array_read import PartialPut
    from etl.rules.joins.matching import MatchSides

DUPLICATE_ITEM = "another item of this person has the same value"


def plan_from_frames(
    frames: Mapping[str, pd.DataFrame], policy: Policy, in_part: Mapping[str, PartialPut] | None = None
) -> Plan:
    """Return the plan of every person to whom anything happened, by entity id.

    ``frames``: persons, items, rows, baseline, left_alone as ``etl.frames`` describes them. ``in_part``: by entity
    id, what array PUTs of ours did only in part (rules §5).
    """
    if frames["persons"].empty:
        return {}
    unreadable, frames = (
        unreadable_channel_notes(frames, policy.unreadable_channels),
        without_channels(frames, policy.unreadable_channels),
    )
    persons, sides = build_sides(frames, policy.table)
    entries = classify_entries(match(sides, are_similar), sides, persons, policy.table)
    persons = persons_to_decide(entries, sides, persons, unreadable)
    if persons.empty:
        return {}
    return {
        person.entity_id: plan_person(
            replace(
                person,
                partial_put=(in_part or {}).get(person.entity_id, person.partial_put),
                unreadable_notes=tuple(unreadable.get(person.entity_id, ())),
            ),
            person_entries,
            policy,
        )
        for person, person_entries in persons_with_entries(persons, sides, frames["left_alone"], entries)
    }


def are_similar(before: str, now: str) -> bool:
    """Whether the first canonical value may have been corrected to the second; its shape tells the channel."""
    return is_similar(Channel.MAIL if "@" in before else Channel.PHONE, before, now)


def persons_to_decide(
    entries: pd.DataFrame, sides: MatchSides, persons: pd.DataFrame, unreadable: Mapping[str, Sequence[LeftAlone]]
) -> pd.DataFrame:
    """Persons with anything to decide: a variant, a baseline row to move, a second item, or an old note to renew.

    So are those with a channel that is ``unreadable``.
    """
    items, rows = sides.items, sides.rows
    entity_ids = pd.concat(
        [
            entries.loc[entries["variant"].ne(Variant.SAME.value) | entries["baseline_outdated"], "entity_id"],
            items.loc[~items["is_first"], "entity_id"],
            rows.loc[rows["retype_leftover"] | rows["emptied"], "entity_id"],
            persons.loc[persons["noted"] | persons["entity_id"].isin(list(unreadable)), "entity_id"],
        ]
    )
    return persons[is_any_of(persons["entity_id"], entity_ids)]


def plan_person(person: PersonState, entries: Sequence[Entry], policy: Policy) -> PersonPlan:
    """Decide about one person: what is left alone, conflict and direction, one pair per value, slots, writes."""
    duplicates = tuple(
        LeftAlone(Side.ESPO, LeftAloneReason.DUPLICATE, DUPLICATE_ITEM, item.item.value, channel=item.item.channel)
        for item in person.duplicate_items
    )
    if person.waiting_side is not None:
        return PersonPlan(
            person.entity_id, person.betnr, (), (*person.left_alone,), person.items, waiting_side=person.waiting_side
        )
    resolved_entries = merge_same_value(resolve_entries(person, entries, policy))
    means = WriteContext(Slots(person.slots), policy, person.partial_put.removed_items)
    decisions = keep_reassigned_pairs([build_decision(resolved, means) for resolved in sort_entries(resolved_entries)])
    return PersonPlan(
        person.entity_id,
        person.betnr,
        decisions,
        notes_left_alone(person, decisions) + duplicates + person.unreadable_notes,
        person.items,
        first_sync=person.first_sync,
        recovery=person.recovery,
        empty_side=person.empty_side,
        replan=has_held_entries(resolved_entries, decisions)
        or any(
            resolved.replan or (resolved.entry.type_edit and resolved.entry.variant is Variant.VAR6)
            for resolved in resolved_entries
            if resolved.is_active
        ),
    )


def has_held_entries(resolved_entries: Sequence[ResolvedEntry], decisions: Sequence[Decision]) -> bool:
    """Whether entries are held back by a direction while others change: afterwards their plan may be another one."""
    is_any_held = any(
        resolved.resolution is Resolution.LEAVE and resolved.left_alone is None for resolved in resolved_entries
    )
    return is_any_held and any(decision.steps for decision in decisions)


def notes_left_alone(person: PersonState, decisions: Sequence[Decision]) -> tuple[LeftAlone, ...]:
    """The notes of what is left alone; of what an operator undid, those about both halves of the entry."""
    entry_notes = [
        replace(decision.left_alone, channel=decision.entry.channel)
        for decision in decisions
        if decision.left_alone is not None
    ]
    undo_halves = [
        note
        for decision in decisions
        if decision.left_alone is not None and is_undo_note(decision.left_alone)
        for note in undo_notes(person, decision.entry)
    ]
    return tuple(dict.fromkeys([*entry_notes, *undo_halves]))


def resolve_entries(person: PersonState, entries: Sequence[Entry], policy: Policy) -> list[ResolvedEntry]:
    """Say for each entry whether it is left alone, and if not, who wins it."""
    split_entries = split_ended_pairs(entries)
    half_ids = {id(entry) for entry in split_entries} - {id(entry) for entry in entries}
    entries_and_notes = [
        (entry, note or missing_right_note(entry, policy))
        for entry, note in find_left_alone(person, split_entries, policy)
    ]
    protected_ids = {
        id(entry)
        for entry, _ in entries_and_notes
        if is_in_first_sync(person, entry)
        or has_held_back_note(person, entry)
        or is_own_partial_write(person, entry)
        or id(entry) in half_ids
    }
    variants = {
        entry.variant.value for entry, note in entries_and_notes if note is None and id(entry) not in protected_ids
    }
    is_conflict = is_person_conflict(variants, policy.scope)
    resolutions = [
        # whatever the direction: a slot marker removes no value, and the number deleted there must not stay readable
        Resolution.APPLY
        if is_empty_leftover(entry)
        else resolve(
            entry.variant, policy.direction, person_conflict=is_conflict, unsafe_to_revert=id(entry) in protected_ids
        )
        for entry, _ in entries_and_notes
    ]
    return [
        ResolvedEntry(
            entry,
            resolution,
            note or earlier_refusal(person, entry, resolution),
            replan=leaves_leftover(entry, entries_and_notes),
        )
        for (entry, note), resolution in zip(entries_and_notes, resolutions, strict=True)
    ]


def is_own_partial_write(person: PersonState, entry: Entry) -> bool:
    """Whether one side lacks the entry because EspoCRM stored only a part of our PUT: that is nobody's change."""
    if entry.variant is Variant.VAR4 and entry.row is not None:
        return entry.row.komm_id in person.partial_put.removed_items
    if entry.variant is Variant.VAR1 and entry.item is not None and entry.base is None:
        return (entry.channel, entry.item.canonical) in person.partial_put.added_values
    return False


def earlier_refusal(person: PersonState, entry: Entry, resolution: Resolution) -> LeftAlone | None:
    """The note that Advoware did not take EspoCRM's value before: it is not put back until somebody edits it."""
    if resolution is not Resolution.REVERT or entry.item is None:
        return None
    return find_note(person, entry, LeftAloneReason.UNSYNCABLE)


def sort_entries(resolved_entries: Sequence[ResolvedEntry]) -> list[ResolvedEntry]:
    """Sort by row, then by item: the order of the plan does not depend on the order of the frames."""
    return sorted(
        resolved_entries,
        key=lambda resolved: (
            resolved.entry.row.komm_id if resolved.entry.row else 1 << 62,
            resolved.entry.channel,
            espo_spelling(resolved.entry),
        ),
    )


def espo_spelling(entry: Entry) -> str:
    """EspoCRM's spelling, or an empty text."""
    return entry.item.item.value if entry.item is not None else ""
