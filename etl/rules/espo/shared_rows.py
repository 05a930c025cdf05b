"""What EspoCRM already stores for a value that a PUT adds (rules §3, Shared address rows). Pure.

Type, optOut, invalid and the letter case of a mail belong to the value, whichever record holds it: EspoCRM keeps one
row for all of them, and a PUT overwrites that row (EspoCRM fact B7). So what is stored there is sent, and not what a
new entry of this person would have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from etl.records import Channel, EspoItem, Side
from etl.rules.espo.items import espo_key
from etl.rules.marker import MarkerKind, decode, encode
from etl.rules.values.canonical import e164, has_extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.rules.entry import Decision, NextBaseline, Step
    from etl.rules.plan import PersonPlan

EspoRowKey: TypeAlias = tuple[Channel, str]
"""EspoCRM's own key: equal keys are one row, whichever records hold it."""

ChangedItems: TypeAlias = "dict[EspoRowKey, tuple[EspoItem, EspoItem]]"
"""By channel and value: the item as planned, and the item to send instead."""


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What the state store last saw of a value."""

    type: str | None
    opt_out: bool
    invalid: bool


def espo_row_key(item: EspoItem) -> EspoRowKey:
    """Return which of EspoCRM's rows holds the value of an item."""
    return item.channel, espo_key(item.channel, item.value)


def value_attributes(item: EspoItem) -> tuple[str, str | None, bool, bool]:
    """Return what EspoCRM keeps only once for all records: spelling, type, optOut, invalid."""
    return item.value, item.type, item.opt_out, item.invalid


def keys_of_spellings(item: EspoItem, region: str) -> set[EspoRowKey]:
    """Return the rows that may hold the value of an item: as it is sent, and as E.164 if nothing is lost by that."""
    is_convertible = item.channel is Channel.PHONE and not has_extension(item.value, region)
    number = e164(item.value, region) if is_convertible else None
    return {espo_row_key(item)} | ({(item.channel, number)} if number else set())


def items_to_send(plan: PersonPlan) -> list[tuple[Step, EspoItem]]:
    """Return EspoCRM's steps that end with an item, each with that item."""
    return [(step, step.item) for step in plan.steps if step.side is Side.ESPO and step.item is not None]


def items_to_add(plan: PersonPlan) -> list[tuple[Step, EspoItem]]:
    """Return those of these steps that add a value to EspoCRM which the replaced item did not have."""
    return [
        (step, item)
        for step, item in items_to_send(plan)
        if step.old_item is None or espo_row_key(step.old_item) != espo_row_key(item)
    ]


def items_not_in(items: Iterable[EspoItem], present: Iterable[EspoItem]) -> list[EspoItem]:
    """Return the items whose row is not among those of ``present``."""
    keys = {espo_row_key(item) for item in present}
    return [item for item in items if espo_row_key(item) not in keys]


def item_to_send(
    item: EspoItem,
    old_item: EspoItem | None,
    item_elsewhere: EspoItem | None,
    other_sources: Sequence[EspoItem | LastSeen],
) -> EspoItem:
    """Return the item as it is to be sent.

    ``old_item``: the item it replaces; ``item_elsewhere``: the item of another record in the same row;
    ``other_sources``: what else is known about the value: this record's own item with it (where values change places)
    and what the store last saw. An opt-out is a withdrawn consent: no other source lifts it.
    """
    if item_elsewhere is not None:
        spelling = item_elsewhere.value if item.channel is Channel.MAIL else item.value
        opt_out = item_elsewhere.opt_out or item.opt_out or (old_item is not None and old_item.opt_out)
        return replace(item, value=spelling, type=item_elsewhere.type, invalid=item_elsewhere.invalid, opt_out=opt_out)
    opt_out = item.opt_out or any(source.opt_out for source in other_sources)
    invalid = item.invalid or any(source.invalid for source in other_sources)
    kind = next((source.type for source in other_sources if source.type), item.type) if old_item is None else item.type
    return replace(item, type=kind, opt_out=opt_out, invalid=invalid)


def with_stored_items(
    plan: PersonPlan, items_elsewhere: Mapping[EspoRowKey, EspoItem], last_seen_by_key: Mapping[EspoRowKey, LastSeen]
) -> PersonPlan:
    """Return the plan with its new items as they are stored elsewhere in EspoCRM, or else as last seen."""
    own_items = {espo_row_key(item): item for item in plan.items}
    replacements: dict[int, EspoItem] = {}
    for step, item in items_to_send(plan):
        key = espo_row_key(item)
        other_sources = [source for source in (own_items.get(key), last_seen_by_key.get(key)) if source is not None]
        replacements[id(step)] = item_to_send(item, step.old_item, items_elsewhere.get(key), other_sources)
    return replace_items(plan, replacements)


def replace_items(plan: PersonPlan, replacements: Mapping[int, EspoItem]) -> PersonPlan:
    """Return the plan with other items in EspoCRM's steps (by ``id`` of the step), and wherever they are mentioned."""
    changed_items: ChangedItems = {
        (step.channel, step.item.value): (step.item, replacements[id(step)])
        for step in plan.steps
        if step.item is not None and id(step) in replacements and replacements[id(step)] != step.item
    }
    if not changed_items:
        return plan
    return replace(plan, decisions=tuple(replace_in_decision(decision, changed_items) for decision in plan.decisions))


def replace_in_decision(decision: Decision, changed_items: ChangedItems) -> Decision:
    """Return one decision with the changed items."""
    steps = tuple(replace_in_step(step, changed_items) for step in decision.steps)
    pair = replace_in_pair(decision.next_baseline, changed_items) if decision.next_baseline is not None else None
    return replace(decision, steps=steps, next_baseline=pair)


def replace_in_step(step: Step, changed_items: ChangedItems) -> Step:
    """Return one write with the changed item, or with its spelling in the marker."""
    if step.side is Side.ADVO:
        return replace(step, new_remark=replace_in_remark(step.channel, step.new_remark, changed_items))
    planned_item = step.item
    if planned_item is None or changed_items.get((step.channel, planned_item.value), (None,))[0] is not planned_item:
        return step
    item = changed_items[step.channel, planned_item.value][1]
    return replace(step, item=item, new_value=item.value)


def replace_in_pair(pair: NextBaseline, changed_items: ChangedItems) -> NextBaseline:
    """Return the pair to agree on; a type that waits for the next plan goes on waiting, unless another was found."""
    if (pair.channel, pair.espo_value) not in changed_items:
        return pair
    planned_item, item = changed_items[pair.channel, pair.espo_value]
    kind = pair.espo_type if item.type == planned_item.type else item.type
    remark = replace_in_remark(pair.channel, pair.remark, changed_items)
    return replace(pair, espo_value=item.value, espo_type=kind, remark=remark)


def replace_in_remark(channel: Channel, remark: str | None, changed_items: ChangedItems) -> str | None:
    """Return a remark whose marker spells the value as EspoCRM does; nothing else in it changes."""
    parsed = decode(remark)
    if parsed.kind is not MarkerKind.MARKER or parsed.value is None or (channel, parsed.value) not in changed_items:
        return remark
    spelling = changed_items[channel, parsed.value][1].value
    return remark if spelling == parsed.value else encode(spelling, parsed.komm_kz or 1, parsed.own_text)
