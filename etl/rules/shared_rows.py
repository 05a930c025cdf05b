"""What EspoCRM already knows of a value that a PUT brings (rules.md §3, Shared address rows). Pure.

Type, optOut, invalid and a mail's letter case belong to the value, whoever holds it: EspoCRM keeps one row for all, and
a PUT stamps what it says on that row (espocrm-api.md ², 7). So what is stored there is sent, not what a new entry of
this person would have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from etl.records import Channel, Item, Side
from etl.rules.canonical import e164, has_extension
from etl.rules.items import espo_key
from etl.rules.marker import MarkerKind, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.rules.entry import Decision, Pair, Step
    from etl.rules.plan import PersonPlan

Key: TypeAlias = tuple[Channel, str]
"""EspoCRM's own: equal keys are one row, whatever records hold it."""

Sent: TypeAlias = "dict[Key, tuple[Item, Item]]"
"""By channel and value: the item as it was to be, and as it is to be instead."""


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What the state store last saw of a value that no record holds any more."""

    type: str | None
    opt_out: bool
    invalid: bool


def key_of(item: Item) -> Key:
    """Return which of EspoCRM's rows an item stands in."""
    return item.channel, espo_key(item.channel, item.value)


def stored_of(item: Item) -> tuple[str, str | None, bool, bool]:
    """Return what EspoCRM keeps once for all records: spelling, type, optOut, invalid."""
    return item.value, item.type, item.opt_out, item.invalid


def spellings(item: Item, region: str) -> set[Key]:
    """Return the rows in which records may hold an item's value: as it is sent, and as E.164 where nothing is lost."""
    plain = item.channel is Channel.PHONE and not has_extension(item.value, region)
    number = e164(item.value, region) if plain else None
    return {key_of(item)} | ({(item.channel, number)} if number else set())


def items_sent(plan: PersonPlan) -> list[tuple[Step, Item]]:
    """Return EspoCRM's steps that end with an item, each with it."""
    return [(step, step.item) for step in plan.steps if step.side is Side.ESPO and step.item is not None]


def items_brought(plan: PersonPlan) -> list[tuple[Step, Item]]:
    """Return those of them that put a value into EspoCRM which the replaced item did not have."""
    return [(step, item) for step, item in items_sent(plan) if step.was is None or key_of(step.was) != key_of(item)]


def not_held(items: Iterable[Item], held: Iterable[Item]) -> list[Item]:
    """Return those of the items whose row is none of ``held``."""
    keys = {key_of(item) for item in held}
    return [item for item in items if key_of(item) not in keys]


def as_stored(item: Item, was: Item | None, elsewhere: Item | None, known: Sequence[Item | LastSeen]) -> Item:
    """Return the item as it is to be sent.

    ``was``: the item it replaces; ``elsewhere``: the item of another record in the same row; ``known``: what else tells
    of the value, this record's own item of it (values change places) and what the store last saw. An opt-out is a
    consent withdrawn: no source alone lifts what another one says.
    """
    if elsewhere is not None:
        spelling = elsewhere.value if item.channel is Channel.MAIL else item.value
        opt_out = elsewhere.opt_out or item.opt_out or (was is not None and was.opt_out)
        return replace(item, value=spelling, type=elsewhere.type, invalid=elsewhere.invalid, opt_out=opt_out)
    opt_out = item.opt_out or any(one.opt_out for one in known)
    invalid = item.invalid or any(one.invalid for one in known)
    kind = next((one.type for one in known if one.type), item.type) if was is None else item.type
    return replace(item, type=kind, opt_out=opt_out, invalid=invalid)


def with_stored(
    plan: PersonPlan, elsewhere: Mapping[Key, Item], last_seen: Mapping[Key, LastSeen]
) -> PersonPlan:
    """Return the plan with its new items as they are stored: elsewhere in EspoCRM, else as last seen."""
    own = {key_of(item): item for item in plan.items}
    instead: dict[int, Item] = {}
    for step, item in items_sent(plan):
        key = key_of(item)
        known = [one for one in (own.get(key), last_seen.get(key)) if one is not None]
        instead[id(step)] = as_stored(item, step.was, elsewhere.get(key), known)
    return with_items(plan, instead)


def with_items(plan: PersonPlan, instead: Mapping[int, Item]) -> PersonPlan:
    """Return the plan with other items in EspoCRM's steps (by ``id`` of the step), and in all that speaks of them."""
    changed: Sent = {
        (step.channel, step.item.value): (step.item, instead[id(step)])
        for step in plan.steps
        if step.item is not None and id(step) in instead and instead[id(step)] != step.item
    }
    if not changed:
        return plan
    return replace(plan, decisions=tuple(decision_with(one, changed) for one in plan.decisions))


def decision_with(decision: Decision, changed: Sent) -> Decision:
    """Return one decision that speaks of the changed items as they are."""
    steps = tuple(step_with(step, changed) for step in decision.steps)
    pair = pair_with(decision.pair, changed) if decision.pair is not None else None
    return replace(decision, steps=steps, pair=pair)


def step_with(step: Step, changed: Sent) -> Step:
    """Return one write with the changed item, or with its spelling in the marker."""
    if step.side is Side.ADVO:
        return replace(step, new_remark=remark_with(step.channel, step.new_remark, changed))
    sent = step.item
    if sent is None or changed.get((step.channel, sent.value), (None,))[0] is not sent:
        return step
    item = changed[step.channel, sent.value][1]
    return replace(step, item=item, new_value=item.value)


def pair_with(pair: Pair, changed: Sent) -> Pair:
    """Return what is to be agreed on; a type that waits for the next plan waits on, unless another one was found."""
    if (pair.channel, pair.espo_value) not in changed:
        return pair
    sent, item = changed[pair.channel, pair.espo_value]
    kind = pair.espo_type if item.type == sent.type else item.type
    remark = remark_with(pair.channel, pair.remark, changed)
    return replace(pair, espo_value=item.value, espo_type=kind, remark=remark)


def remark_with(channel: Channel, remark: str | None, changed: Sent) -> str | None:
    """Return a remark whose marker spells the value as EspoCRM does; nothing else of it changes."""
    told = decode(remark)
    if told.kind is not MarkerKind.MARKER or told.value is None or (channel, told.value) not in changed:
        return remark
    spelling = changed[channel, told.value][1].value
    return remark if spelling == told.value else encode(spelling, told.komm_kz or 1, told.own_text)
