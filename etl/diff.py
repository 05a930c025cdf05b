"""The second stage: from the frames of the state store to the plan. Pure: no I/O, no clock, no randomness.

Bulk joins find what belongs together and what happened to it; persons to whom anything happened are then decided one
by one by the rules of rules.md §3 and §4. The same frames always give the same plan, so a person that was read again
and shows the same need not be planned again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.frames import STEPS
from etl.records import Channel, Side
from etl.rules.canonical import similar
from etl.rules.conflicts import Verdict, in_conflict, verdict
from etl.rules.entry import Decision, Entry, Left, PersonFacts, Policy
from etl.rules.facts import entries_with_facts
from etl.rules.keys import sides as sides_of
from etl.rules.leaving import held_back, is_first, is_undo_note, leave, remembered, undo_notes
from etl.rules.leftovers import leaves_a_leftover, stands_empty
from etl.rules.matching import match
from etl.rules.pairs import Decided, one_pair_a_value
from etl.rules.people import PeopleOf
from etl.rules.plan import PersonPlan, Plan, none_dropped_by_others
from etl.rules.rights import held_by_rights
from etl.rules.slots import Slots
from etl.rules.unclear import without_ended_pairs
from etl.rules.unread import readable, unread_notes
from etl.rules.variants import Variant
from etl.rules.writes import Means, decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.array_read import InPart
    from etl.rules.columns import Columns
    from etl.rules.facts import Entries
    from etl.rules.matching import Sides

TWIN = "another item of this person has the same value"


def plan(
    frames: Mapping[str, pd.DataFrame], policy: Policy, in_part: Mapping[str, InPart] | None = None
) -> Plan:
    """Return the plan of every person to whom anything happened, by entity id.

    ``frames``: persons, items, rows, baseline, left_alone as ``etl.frames`` describes them. ``in_part``: by entity
    id, what array PUTs of ours did in part (rules.md §5).
    """
    if frames["persons"].empty:
        return {}
    unread, frames = unread_notes(frames, policy.no_read), readable(frames, policy.no_read)
    persons, sides = sides_of(frames, policy.table)
    entries = entries_with_facts(match(sides, similar_values), sides, persons, policy.table)
    touched = touched_persons(entries, sides, persons)
    if unread:
        touched = np.union1d(touched, np.flatnonzero(np.isin(persons.words("entity_id"), list(unread))))
    if not len(touched):
        return {}
    people = PeopleOf(persons, sides, frames["left_alone"], touched)
    return {
        facts.entity_id: person_plan(
            replace(
                facts,
                in_part=(in_part or {}).get(facts.entity_id, facts.in_part),
                unread=tuple(unread.get(facts.entity_id, ())),
            ),
            own,
            policy,
        )
        for facts, own in people.with_entries(entries)
    }


def similar_values(was: str, now: str) -> bool:
    """Whether one canonical value may have become the other; its shape tells the channel."""
    return similar(Channel.MAIL if "@" in was else Channel.PHONE, was, now)


def touched_persons(entries: Entries, sides: Sides, persons: Columns) -> np.ndarray:
    """Persons with anything to decide: a variant, a baseline row to move, a second item, or an old note to renew."""
    acting = entries.person[(entries.variant != Variant.SAME.value) | entries.moves]
    twins = sides.items["person"][~sides.items["pair"]]
    leftover = sides.rows["person"][sides.rows["spare"] | sides.rows["emptied"]]
    return np.unique(np.concatenate([acting, twins, leftover, np.flatnonzero(persons["noted"])]))


def person_plan(person: PersonFacts, entries: Sequence[Entry], policy: Policy) -> PersonPlan:
    """Decide one person: leave, conflict and direction, one value one pair, slots, writes."""
    twins = tuple(
        Left(Side.ESPO, "duplicate", TWIN, twin.item.value, channel=twin.item.channel)
        for twin in person.twins
    )
    if person.waits_for is not None:
        return PersonPlan(person.entity_id, person.betnr, (), (*person.left,), person.items, waits_for=person.waits_for)
    decided = one_pair_a_value(judged(person, entries, policy))
    means = Means(Slots(person.slots), policy, person.in_part.taken)
    decisions = none_dropped_by_others([decision(one, means) for one in in_order(decided)])
    return PersonPlan(
        person.entity_id,
        person.betnr,
        decisions,
        noted(person, decisions) + twins + person.unread,
        person.items,
        first_sync=person.first_sync,
        recovery=person.recovery,
        vanished_from=person.vanished_from,
        again=held_beside_steps(decided, decisions) or any(
            one.again or (one.entry.type_edit and one.entry.variant is Variant.VAR6) for one in decided if one.active
        ),
    )


def held_beside_steps(decided: Sequence[Decided], decisions: Sequence[Decision]) -> bool:
    """Whether a direction holds entries back while others change: what stands then may mean another plan for them."""
    held = any(one.verdict is Verdict.HOLD and one.left is None for one in decided)
    return held and any(one.steps for one in decisions)


def noted(person: PersonFacts, decisions: Sequence[Decision]) -> tuple[Left, ...]:
    """What is left alone; of what an operator undid, the notes about both halves of the entry."""
    own = [replace(one.left, channel=one.entry.channel) for one in decisions if one.left is not None]
    halves = [
        note
        for one in decisions
        if one.left is not None and is_undo_note(one.left)
        for note in undo_notes(person, one.entry)
    ]
    return tuple(dict.fromkeys([*own, *halves]))


def judged(person: PersonFacts, entries: Sequence[Entry], policy: Policy) -> list[Decided]:
    """Say of each entry whether it is left alone, and else who wins it."""
    apart = without_ended_pairs(entries)
    halves = {id(entry) for entry in apart} - {id(entry) for entry in entries}
    pairs = [(entry, left or held_by_rights(entry, policy)) for entry, left in leave(person, apart, policy)]
    protected = {
        id(entry)
        for entry, _ in pairs
        if is_first(person, entry) or held_back(person, entry) or is_our_half(person, entry) or id(entry) in halves
    }
    counting = {entry.variant.value for entry, left in pairs if left is None and id(entry) not in protected}
    conflict = in_conflict(counting, policy.scope)
    verdicts = [
        Verdict.GO  # whatever the direction: a slot marker takes nothing, and the number deleted there must not stay
        if stands_empty(entry)
        else verdict(
            entry.variant, policy.direction, person_conflict=conflict, unsafe_to_revert=id(entry) in protected
        )
        for entry, _ in pairs
    ]
    return [
        Decided(
            entry,
            says,
            left or refused_revert(person, entry, says),
            again=leaves_a_leftover(entry, pairs),
        )
        for (entry, left), says in zip(pairs, verdicts, strict=True)
    ]


def is_our_half(person: PersonFacts, entry: Entry) -> bool:
    """Whether one side lacks the entry because EspoCRM stored a PUT of ours in part: that is nobody's change."""
    if entry.variant is Variant.VAR4 and entry.row is not None:
        return entry.row.komm_id in person.in_part.taken
    if entry.variant is Variant.VAR1 and entry.item is not None and entry.base is None:
        return (entry.channel, entry.item.canonical) in person.in_part.brought
    return False


def refused_revert(person: PersonFacts, entry: Entry, says: Verdict) -> Left | None:
    """EspoCRM's value is to come back, but Advoware did not take it before: not tried again until edited."""
    if says is not Verdict.REVERT or entry.item is None:
        return None
    return remembered(person, entry, "unsyncable")


def in_order(decided: Sequence[Decided]) -> list[Decided]:
    """By row, then by item: the order of the plan does not depend on the order of the frames."""
    return sorted(
        decided,
        key=lambda one: (one.entry.row.komm_id if one.entry.row else 1 << 62, one.entry.channel, item_value(one.entry)),
    )


def item_value(entry: Entry) -> str:
    """EspoCRM's spelling, or nothing."""
    return entry.item.item.value if entry.item is not None else ""


def steps_frame(plans: Plan) -> pd.DataFrame:
    """The plan as a frame, schema ``STEPS``: one row a step, columns as ``plan --json`` names them."""
    rows = [
        (
            one.entity_id, one.betnr, made.variant.value, step.side.value, step.action, step.channel.value,
            step.komm_id, step.komm_kz, step.old_value, step.new_value, step.old_remark, step.new_remark, made.reason,
        )
        for one in plans.values()
        for made in one.decisions
        for step in made.steps
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(STEPS), dtype="object").astype(STEPS)
