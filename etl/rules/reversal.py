"""Putting back what a run wrote (rules.md §4, ``undo``): from its before-images to decisions like any others.

What one decision wrote, on both sides, is put back as a whole or not at all: where any part of it is no longer as the
run left it, somebody edited since, and it is named instead. In Advoware a row that was created becomes a slot, and an
emptied one is filled again; nothing is ever deleted. What stands afterwards is noted, so that it does not happen again
by itself (``etl.rules.leaving.undone``). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.as_it_stands import found
from etl.rules.conflicts import Verdict
from etl.rules.entry import NONE, Agreed, Decision, Entry, ItemSeen, Left, Pair, Step
from etl.rules.leaving import UNDONE, is_undo_note
from etl.rules.steps import row_step
from etl.rules.trails import AS_LEFT, edited_items, edited_rows, groups, state_of_item, state_of_row
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.as_it_stands import Standing
    from etl.rules.trails import Group


EMPTY_AFTERWARDS = frozenset({Variant.FORGET, Variant.LEFTOVER})
"""What may have made no more of an empty row than a slot."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """What puts a person back; ``left`` is all that is noted afterwards, ``kept`` names what was edited since."""

    decisions: tuple[Decision, ...]
    left: tuple[Left, ...]
    kept: tuple[str, ...]


def reversal(
    changes: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    standing: Standing,
    *,
    of_run: int,
    by_run: int,
) -> Reversal:
    """Return what puts back one person. ``changes``: what the run did for it, in order; ``decisions``: theirs."""
    made: list[Decision] = []
    notes: list[Left] = []
    kept: list[str] = []
    touched: list[Group] = []
    for group in groups(changes, decisions):
        edited = [*edited_rows(group, standing), *edited_items(group, standing)]
        if edited:
            kept += edited
            continue
        own = put_back(group, changes, standing, of_run)
        if own:
            made += own
            touched.append(group)
            notes += [] if group.by_operator else notes_of(group, standing, by_run)
    return Reversal(tuple(made), (*kept_notes(standing, touched), *notes), tuple(kept))


def put_back(
    group: Group, changes: Sequence[Mapping[str, Any]], standing: Standing, of_run: int
) -> list[Decision]:
    """The decisions that put one entry back: the first carries the steps, the others only what was agreed."""
    steps = (*item_steps(group, standing), *row_steps(group, standing))
    if not steps:
        return []
    before = agreed_before(group, changes)
    pairs = [pair_of(one, group) for one in before.values() if one is not None]
    drops = tuple(komm_id for komm_id in before if komm_id in standing.baseline)
    bases = [standing.baseline[komm_id] for komm_id in drops]
    reason = f"undo of run {of_run}: {group.reason}"
    row = next((standing.rows[step.komm_id] for step in steps if step.side is Side.ADVO and step.komm_id), None)
    item = next((seen(step.was) for step in steps if step.was is not None), None)
    channel, komm_kz = steps[0].channel, steps[0].komm_kz or 1
    entry = Entry(channel, Variant.UNDO, komm_kz, base=next(iter(bases), None), row=row, item=item)
    first = Decision(
        entry, Variant.UNDO, Verdict.GO, reason, steps, pair=next(iter(pairs), None), drops=drops
    )
    more = [
        Decision(replace(entry, base=base, row=None, item=None), Variant.UNDO, Verdict.GO, reason, pair=pair)
        for base, pair in pairwise(bases[1:], pairs[1:])
    ]
    return [first, *more]


def pairwise(bases: Sequence[Agreed], pairs: Sequence[Pair]) -> list[tuple[Agreed | None, Pair | None]]:
    """What else ends and what else begins, one decision each."""
    length = max(len(bases), len(pairs))
    return [
        (bases[at] if at < len(bases) else None, pairs[at] if at < len(pairs) else None) for at in range(length)
    ]


def item_steps(group: Group, standing: Standing) -> list[Step]:
    """EspoCRM's half."""
    steps = []
    for trail in group.items:
        if state_of_item(trail, standing) != AS_LEFT:
            continue
        was = found(trail.left, standing) if trail.left is not None else None
        item = trail.was
        if was is not None and item is not None:
            item = replace(item, primary=was.primary)
        action = "add" if was is None else "remove" if item is None else "replace"
        komm_id = next((one.komm_id for one in group.rows), None)
        komm_kz = next((one.komm_kz for one in group.rows), None)
        old, new = (one.value if one is not None else None for one in (was, item))
        steps.append(Step(Side.ESPO, action, trail.channel, komm_id, komm_kz, old, new, was=was, item=item))
    return steps


def row_steps(group: Group, standing: Standing) -> list[Step]:
    """Advoware's half; values find their place again before others are emptied."""
    steps = []
    for trail in group.rows:
        row = standing.rows.get(trail.komm_id)
        if row is None or state_of_row(trail, row) != AS_LEFT:
            continue
        value, remark = trail.target
        steps.append(row_step(action_of(row.value, value), trail.channel, row, trail.komm_kz, value, remark))
    return sorted(steps, key=lambda step: step.action == "empty")


def action_of(old: str, new: str) -> str:
    """What a write does to a row, in the words the guard counts by."""
    if old == new:
        return "mark"
    if not new:
        return "empty"
    return "revert" if old else "fill"


def seen(item: Item) -> ItemSeen:
    """An item outside the joins."""
    return ItemSeen(item, item.value, NONE, 0)


def agreed_before(group: Group, changes: Sequence[Mapping[str, Any]]) -> dict[int, Agreed | None]:
    """The baseline rows the run touched for this entry, as they were before: None where there was none.

    A person that was planned again within the run may have a base that an earlier plan of the run had made.
    """
    before: dict[int, Agreed | None] = {}
    for at, one in enumerate(group.decisions):
        base = agreed_of((one["facts"] or {}).get("base"))
        if base is not None and not any(is_made_by(earlier, base) for earlier in group.decisions[:at]):
            before.setdefault(base.komm_id, base)
    for one in group.decisions:
        made = [change["komm_id"] for change in changes if change["decision_id"] == one["id"] and change["komm_id"]]
        kept = (one["foreseen"] or {}).get("komm_id") or (made[0] if one["foreseen"] and made else None)
        for komm_id in (*one["drops"], kept):
            if komm_id is not None:
                before.setdefault(komm_id, None)
    return before


def is_made_by(decision: Mapping[str, Any], base: Agreed) -> bool:
    """Whether an earlier decision of the run foresaw this pair."""
    pair = decision["foreseen"]
    same = pair is not None and (pair["espo_value"], pair["advo_value"]) == (base.espo_value, base.advo_value)
    return same and pair["komm_id"] in (None, base.komm_id)


def agreed_of(image: Mapping[str, Any] | None) -> Agreed | None:
    """What was agreed, out of the journal; what a recovery read off a marker was not."""
    return None if image is None or image["pseudo"] else Agreed(**image)


def pair_of(base: Agreed, group: Group) -> Pair:
    """The baseline row to be."""
    channel = Channel(next(one["channel"] for one in group.decisions))
    return Pair(
        base.komm_id,
        channel,
        base.espo_value,
        base.espo_type,
        base.advo_value,
        base.komm_kz,
        base.unmarked,
        base.remark,
    )


def notes_of(group: Group, standing: Standing, by_run: int) -> list[Left]:
    """What stands on either side after the undo, named by its exact value: left alone until somebody edits it."""
    detail = f"{UNDONE} by run {by_run}; edit the entry, or `advosync retry` the person, to let it happen again"
    rows = rows_afterwards(group, standing)
    items = items_afterwards(group, standing)
    bases = [agreed_of((one["facts"] or {}).get("base")) for one in group.decisions]
    tie = next((base.komm_id for base in bases if base is not None), next(iter(rows), None))
    channel = next(iter([*(one.channel for one in group.rows), *(one.channel for one in group.items)]))
    notes = [Left(Side.ADVO, "held_back", detail, value, komm_id, channel=channel) for komm_id, value in rows.items()]
    notes += [Left(Side.ESPO, "held_back", detail, value, tie, channel=channel) for value in items]
    if not notes and any(one["variant"] in EMPTY_AFTERWARDS for one in group.decisions):
        notes = [Left(Side.ADVO, "held_back", detail, "", trail.komm_id, channel=channel) for trail in group.rows]
    return notes


def rows_afterwards(group: Group, standing: Standing) -> dict[int, str]:
    """The rows of the entry that hold a value once it is put back."""
    written = {trail.komm_id: trail.target[0] for trail in group.rows}
    others = {one["komm_id"] for one in group.decisions if one["komm_id"] in standing.rows} - set(written)
    stand = {komm_id: standing.rows[komm_id].value for komm_id in others}
    return {komm_id: value for komm_id, value in {**written, **stand}.items() if value}


def items_afterwards(group: Group, standing: Standing) -> list[str]:
    """The items of the entry once it is put back: those that return, and those the run never touched."""
    returning = [trail.was.value for trail in group.items if trail.was is not None]
    if group.items:
        return returning
    agreed = [one["foreseen"] for one in group.decisions if one["foreseen"]]
    stand = [found(Item(Channel(one["channel"]), one["espo_value"]), standing) for one in agreed]
    return [one.value for one in stand if one is not None]


def kept_notes(standing: Standing, touched: Sequence[Group]) -> list[Left]:
    """The notes that stay: all but an earlier undo's about what is put back now."""
    rows = {trail.komm_id for group in touched for trail in group.rows}
    values = {
        item.value for group in touched for trail in group.items for item in (trail.was, trail.left) if item is not None
    }
    agreed = [
        image
        for group in touched
        for one in group.decisions
        for image in (one["foreseen"], (one["facts"] or {}).get("base"))
    ]
    values |= {image["espo_value"] for image in agreed if image}
    return [
        note
        for note in standing.left
        if not (is_undo_note(note) and (note.komm_id in rows or (note.side is Side.ESPO and note.value in values)))
    ]
