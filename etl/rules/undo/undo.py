"""Put back what a run wrote (rules §4, ``undo``): from its before-images to decisions like any others.

What was written for one entry, on both sides, is put back as a whole or not at all: if any part of it is no longer as
the run left it, somebody has edited it since, and it is reported instead. In Advoware a row that was created becomes a
slot, and an emptied one is filled again; nothing is ever deleted. What stands afterwards is noted, so that the change
does not happen again by itself (``etl.rules.left_alone.undo_note``). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.enums import Action, LeftAloneReason, NoteCause
from etl.records import Channel, EspoItem, Side
from etl.rules.entry import BaselinePair, Decision, Entry, EspoEntry, LeftAlone, NextBaseline, Step
from etl.rules.left_alone import is_undo_note
from etl.rules.plan import update_row_step
from etl.rules.undo.restore import find_item
from etl.rules.undo.run_changes import (
    APPLIED,
    compare_item,
    compare_row,
    group_by_entry,
    item_edit_messages,
    row_edit_messages,
)
from etl.rules.variants import Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.undo.restore import CurrentState
    from etl.rules.undo.run_changes import EntryChanges


EMPTYING_VARIANTS = frozenset({Variant.FORGET, Variant.LEFTOVER})
"""Variants that may have done no more than make a slot of an empty row."""


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """The decisions that put a person back.

    ``left_alone`` are all notes afterwards, ``edits_since`` messages about what was edited since.
    """

    decisions: tuple[Decision, ...]
    left_alone: tuple[LeftAlone, ...]
    edits_since: tuple[str, ...]


def plan_undo(
    changes: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    current: CurrentState,
    *,
    run_id: int,
    undo_run_id: int,
) -> UndoPlan:
    """Return the plan that puts one person back, from the run's journal: its changes, in order, and its decisions."""
    undo_decisions: list[Decision] = []
    notes: list[LeftAlone] = []
    edits_since: list[str] = []
    undone_groups: list[EntryChanges] = []
    for group in group_by_entry(changes, decisions):
        edits = [*row_edit_messages(group, current), *item_edit_messages(group, current)]
        if edits:
            edits_since += edits
            continue
        group_decisions = undo_group(group, changes, current, run_id)
        if group_decisions:
            undo_decisions += group_decisions
            undone_groups.append(group)
            notes += [] if group.is_by_operator else build_undo_notes(group, current, undo_run_id)
    return UndoPlan(tuple(undo_decisions), (*remaining_notes(current, undone_groups), *notes), tuple(edits_since))


def undo_group(
    group: EntryChanges, changes: Sequence[Mapping[str, Any]], current: CurrentState, run_id: int
) -> list[Decision]:
    """The decisions that put one entry back: the first has the steps, the others only set the baseline."""
    steps = (*undo_item_steps(group, current), *undo_row_steps(group, current))
    if not steps:
        return []
    bases_before = baseline_before(group, changes)
    next_pairs = [next_baseline_of(base, group) for base in bases_before.values() if base is not None]
    ended_komm_ids = tuple(komm_id for komm_id in bases_before if komm_id in current.baseline)
    bases = [current.baseline[komm_id] for komm_id in ended_komm_ids]
    reason = f"undo of run {run_id}: {group.reason}"
    row = next((current.rows[step.komm_id] for step in steps if step.side is Side.ADVO and step.komm_id), None)
    item = next((espo_entry_of_item(step.old_item) for step in steps if step.old_item is not None), None)
    channel, komm_kz = steps[0].channel, steps[0].komm_kz or 1
    entry = Entry(channel, Variant.UNDO, komm_kz, base=next(iter(bases), None), row=row, item=item)
    first = Decision(
        entry,
        Variant.UNDO,
        Resolution.APPLY,
        reason,
        steps,
        next_baseline=next(iter(next_pairs), None),
        ended_komm_ids=ended_komm_ids,
    )
    more = [
        Decision(
            replace(entry, base=base, row=None, item=None), Variant.UNDO, Resolution.APPLY, reason, next_baseline=pair
        )
        for base, pair in zip_to_longest(bases[1:], next_pairs[1:])
    ]
    return [first, *more]


def zip_to_longest(
    bases: Sequence[BaselinePair], pairs: Sequence[NextBaseline]
) -> list[tuple[BaselinePair | None, NextBaseline | None]]:
    """Pair the bases that also end with the pairs that also begin; None where one list is shorter."""
    length = max(len(bases), len(pairs))
    return [
        (bases[position] if position < len(bases) else None, pairs[position] if position < len(pairs) else None)
        for position in range(length)
    ]


def undo_item_steps(group: EntryChanges, current: CurrentState) -> list[Step]:
    """The steps in EspoCRM."""
    steps = []
    for change in group.items:
        if compare_item(change, current) != APPLIED:
            continue
        current_item = find_item(change.after, current) if change.after is not None else None
        item = change.before
        if current_item is not None and item is not None:
            item = replace(item, primary=current_item.primary)
        action = Action.ADD if current_item is None else Action.REMOVE if item is None else Action.REPLACE
        komm_id = next((row.komm_id for row in group.rows), None)
        komm_kz = next((row.komm_kz for row in group.rows), None)
        old_value, new_value = (
            item_or_none.value if item_or_none is not None else None for item_or_none in (current_item, item)
        )
        steps.append(
            Step(
                Side.ESPO,
                action,
                change.channel,
                komm_id,
                komm_kz,
                old_value,
                new_value,
                old_item=current_item,
                item=item,
            )
        )
    return steps


def undo_row_steps(group: EntryChanges, current: CurrentState) -> list[Step]:
    """The steps in Advoware; values return to their rows before other rows are emptied."""
    steps = []
    for change in group.rows:
        row = current.rows.get(change.komm_id)
        if row is None or compare_row(change, row) != APPLIED:
            continue
        value, remark = change.undo_target
        steps.append(update_row_step(row_action(row.value, value), change.channel, row, change.komm_kz, value, remark))
    return sorted(steps, key=lambda step: step.action == Action.EMPTY)


def row_action(old: str, new: str) -> Action:
    """What a write does to a row, as the guard counts it."""
    if old == new:
        return Action.MARK
    if not new:
        return Action.EMPTY
    return Action.REVERT if old else Action.FILL


def espo_entry_of_item(item: EspoItem) -> EspoEntry:
    """An item, without the keys of the joins."""
    return EspoEntry(item, item.value, None, 0)


def baseline_before(group: EntryChanges, changes: Sequence[Mapping[str, Any]]) -> dict[int, BaselinePair | None]:
    """The baseline rows that the run touched for this entry, as they were before, None if there was none.

    A person that was planned again within the run may have a baseline row that an earlier plan of the run created.
    """
    before: dict[int, BaselinePair | None] = {}
    for position, decision in enumerate(group.decisions):
        base = baseline_from_image((decision["facts"] or {}).get("base"))
        if base is not None and not any(
            is_foreseen_by(earlier_decision, base) for earlier_decision in group.decisions[:position]
        ):
            before.setdefault(base.komm_id, base)
    for decision in group.decisions:
        komm_ids = [
            change["komm_id"] for change in changes if change["decision_id"] == decision["id"] and change["komm_id"]
        ]
        foreseen_komm_id = (decision["foreseen"] or {}).get("komm_id") or (
            komm_ids[0] if decision["foreseen"] and komm_ids else None
        )
        for komm_id in (*decision["drops"], foreseen_komm_id):
            if komm_id is not None:
                before.setdefault(komm_id, None)
    return before


def is_foreseen_by(decision: Mapping[str, Any], base: BaselinePair) -> bool:
    """Whether an earlier decision of the run foresaw this pair."""
    pair = decision["foreseen"]
    has_same_values = pair is not None and (pair["espo_value"], pair["advo_value"]) == (
        base.espo_value,
        base.advo_value,
    )
    return has_same_values and pair["komm_id"] in (None, base.komm_id)


def baseline_from_image(image: Mapping[str, Any] | None) -> BaselinePair | None:
    """A baseline row from the journal; None for what a recovery took from a marker, as it was not agreed."""
    return None if image is None or image["pseudo"] else BaselinePair(**image)


def next_baseline_of(base: BaselinePair, group: EntryChanges) -> NextBaseline:
    """The baseline row to set."""
    channel = Channel(next(decision["channel"] for decision in group.decisions))
    return NextBaseline(
        base.komm_id,
        channel,
        base.espo_value,
        base.espo_type,
        base.advo_value,
        base.komm_kz,
        base.unmarked,
        base.remark,
    )


def build_undo_notes(group: EntryChanges, current: CurrentState, undo_run_id: int) -> list[LeftAlone]:
    """Notes about what either side holds after the undo, by its exact value: left alone until somebody edits it."""
    ways_on = "edit the entry, or `advosync retry` the person, to let it happen again"
    detail = f"{NoteCause.UNDO} by run {undo_run_id}; {ways_on}"
    rows = rows_after_undo(group, current)
    items = items_after_undo(group, current)
    bases = [baseline_from_image((decision["facts"] or {}).get("base")) for decision in group.decisions]
    anchor_komm_id = next((base.komm_id for base in bases if base is not None), next(iter(rows), None))
    channel = next(iter([*(row.channel for row in group.rows), *(item.channel for item in group.items)]))
    notes = [
        LeftAlone(Side.ADVO, LeftAloneReason.HELD_BACK, detail, value, komm_id, channel=channel)
        for komm_id, value in rows.items()
    ]
    notes += [
        LeftAlone(Side.ESPO, LeftAloneReason.HELD_BACK, detail, value, anchor_komm_id, channel=channel)
        for value in items
    ]
    if not notes and any(decision["variant"] in EMPTYING_VARIANTS for decision in group.decisions):
        notes = [
            LeftAlone(Side.ADVO, LeftAloneReason.HELD_BACK, detail, "", row.komm_id, channel=channel)
            for row in group.rows
        ]
    return notes


def rows_after_undo(group: EntryChanges, current: CurrentState) -> dict[int, str]:
    """The rows of the entry that hold a value after the undo, by komm_id."""
    undone_values = {row.komm_id: row.undo_target[0] for row in group.rows}
    other_komm_ids = {decision["komm_id"] for decision in group.decisions if decision["komm_id"] in current.rows} - set(
        undone_values
    )
    other_values = {komm_id: current.rows[komm_id].value for komm_id in other_komm_ids}
    return {komm_id: value for komm_id, value in {**undone_values, **other_values}.items() if value}


def items_after_undo(group: EntryChanges, current: CurrentState) -> list[str]:
    """The items of the entry after the undo: those that return, or, if the run touched none, those that are there."""
    returning_values = [change.before.value for change in group.items if change.before is not None]
    if group.items:
        return returning_values
    foreseen_pairs = [decision["foreseen"] for decision in group.decisions if decision["foreseen"]]
    present_items = [
        find_item(EspoItem(Channel(image["channel"]), image["espo_value"]), current) for image in foreseen_pairs
    ]
    return [item.value for item in present_items if item is not None]


def remaining_notes(current: CurrentState, undone_groups: Sequence[EntryChanges]) -> list[LeftAlone]:
    """The notes that stay: all but those of an earlier undo about what is put back now."""
    rows = {row.komm_id for group in undone_groups for row in group.rows}
    values = {
        item.value
        for group in undone_groups
        for change in group.items
        for item in (change.before, change.after)
        if item is not None
    }
    images = [
        image
        for group in undone_groups
        for decision in group.decisions
        for image in (decision["foreseen"], (decision["facts"] or {}).get("base"))
    ]
    values |= {image["espo_value"] for image in images if image}
    return [
        note
        for note in current.left_alone
        if not (is_undo_note(note) and (note.komm_id in rows or (note.side is Side.ESPO and note.value in values)))
    ]
