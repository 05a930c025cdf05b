"""Putting a value that lost back on both sides (rules.md §4, ``restore``), as a decision like any other. Pure.

In place of the winner where that pair still stands as the winner left it, else beside it: in the row it came from when
that is a slot now, else in a free slot of the kind, else in a new row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.as_it_stands import Standing, found
from etl.rules.canonical import canonical
from etl.rules.conflicts import Verdict
from etl.rules.entry import NONE, Decision, Entry, ItemSeen, Pair, Policy, RowSeen, Step
from etl.rules.items import MAX_ITEMS, can_hold, new_item, replaced
from etl.rules.marker import MarkerKind, encode
from etl.rules.slots import Slots
from etl.rules.steps import row_step
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Lost:
    """A row of ``conflicts``: the value that lost, and the pair that won (``winner`` None: the entry was deleted)."""

    channel: Channel
    value: str
    winner: str | None
    komm_id: int | None
    reason: str


def lost_of(conflict: Mapping[str, Any]) -> Lost:
    """The value that lost, out of the table."""
    return Lost(
        Channel(conflict["channel"]),
        conflict["advo_value"],
        conflict["espo_value"],
        conflict["komm_id"],
        f"restored: it lost in run {conflict['run_id']} ({conflict['reason']})",
    )


def restoring(lost: Lost, standing: Standing, policy: Policy) -> Decision | str | None:
    """Return what puts the value back; None where it stands on both sides already; a sentence where it cannot be."""
    item = found(Item(lost.channel, lost.value), standing)
    row = row_with(lost, standing)
    if item is not None and row is not None and row.komm_id in standing.baseline:
        return None
    compared_by = canonical(lost.channel, lost.value, policy.region)
    why_not = can_hold(lost.channel, lost.value, compared_by, international=policy.international)
    if why_not is not None:
        return f"EspoCRM cannot hold {lost.value} ({why_not}); type it into Advoware, where it stays"
    winner = pair_of_winner(lost, standing)
    if winner is not None and item is None and row is None:
        return in_place(lost, *winner, standing, policy)
    room = sum(one.channel is lost.channel for one in standing.items) < MAX_ITEMS
    return beside(lost, item, row, standing, policy) if item or room else f"EspoCRM holds {MAX_ITEMS} of a kind already"


def row_with(lost: Lost, standing: Standing) -> RowSeen | None:
    """The row that holds the value now; the pair of it first, then the lowest."""
    wanted = canonical(lost.channel, lost.value, standing.region)
    rows = [one for one in standing.rows.values() if one.channel is lost.channel and one.canonical == wanted]
    return min(rows, key=lambda one: (one.komm_id not in standing.baseline, one.komm_id), default=None)


def pair_of_winner(lost: Lost, standing: Standing) -> tuple[Item, RowSeen] | None:
    """The item and the row the winner left, when both still are what was agreed then."""
    row = standing.rows.get(lost.komm_id) if lost.komm_id is not None else None
    base = standing.baseline.get(lost.komm_id) if lost.komm_id is not None else None
    if lost.winner is None or row is None or base is None:
        return None
    wanted = canonical(lost.channel, lost.winner, standing.region)
    item = found(Item(lost.channel, lost.winner), standing)
    stands = item is not None and row.canonical == wanted and base.espo_canonical == wanted
    return (item, row) if item is not None and stands else None


def in_place(lost: Lost, was: Item, row: RowSeen, standing: Standing, policy: Policy) -> Decision:
    """The value takes the winner's place: type, flags and own text stay."""
    base = standing.baseline[row.komm_id]
    item = replaced(was, lost.value, canonical(lost.channel, lost.value, policy.region))
    espo = Step(
        Side.ESPO, "replace", lost.channel, row.komm_id, base.komm_kz, was.value, item.value, was=was, item=item
    )
    remark = encode(item.value, base.komm_kz, row.own_text)
    advo = row_step("revert", lost.channel, row, base.komm_kz, lost.value, remark)
    return decision(lost, (espo, advo), item, row, standing)


def beside(lost: Lost, item: Item | None, row: RowSeen | None, standing: Standing, policy: Policy) -> Decision:
    """The value stands beside the winner; what is there of it on one side is kept."""
    komm_kz = komm_kz_of(lost, row, standing, policy)
    steps: tuple[Step, ...] = ()
    compared_by = canonical(lost.channel, lost.value, policy.region)
    kept = item or new_item(lost.channel, lost.value, policy.table.espo_type(komm_kz), compared_by)
    if item is None:
        steps = (Step(Side.ESPO, "add", lost.channel, None, komm_kz, new_value=kept.value, item=kept),)
    place = row or slot_for(lost, komm_kz, standing)
    if place is None:
        remark = encode(kept.value, komm_kz, "")
        step = Step(Side.ADVO, "create", lost.channel, None, komm_kz, new_value=lost.value, new_remark=remark)
    else:
        remark = encode(kept.value, komm_kz, place.own_text)
        step = row_step("mark" if row else "fill", lost.channel, place, komm_kz, place.value or lost.value, remark)
    return decision(lost, (*steps, step), kept, place, standing)


def komm_kz_of(lost: Lost, row: RowSeen | None, standing: Standing, policy: Policy) -> int:
    """The kind of the value: its row's marker, the row it came from, else as a new one of its channel."""
    origin = standing.rows.get(lost.komm_id) if lost.komm_id is not None else None
    for one in (row, origin):
        if one is not None and one.marker_komm_kz and policy.table.channel(one.marker_komm_kz) is lost.channel:
            return one.marker_komm_kz
    return policy.table.for_type(None, lost.channel)


def slot_for(lost: Lost, komm_kz: int, standing: Standing) -> RowSeen | None:
    """The slot the value's own row has become, its text included; else a free one without text."""
    origin = standing.rows.get(lost.komm_id) if lost.komm_id is not None else None
    if origin is not None and origin.marker_kind is MarkerKind.SLOT and not origin.value:
        return origin
    return Slots(standing.rows.values()).take(komm_kz)


def decision(lost: Lost, steps: tuple[Step, ...], item: Item, row: RowSeen | None, standing: Standing) -> Decision:
    """The steps, and the pair they end with."""
    last = steps[-1]
    base = standing.baseline.get(row.komm_id) if row is not None else None
    komm_kz = last.komm_kz or 1
    pair = Pair(
        last.komm_id, lost.channel, item.value, item.type, last.new_value or "", komm_kz, remark=last.new_remark
    )
    was = next((step.was for step in steps if step.was is not None), None)
    seen = ItemSeen(was, was.value, NONE, komm_kz) if was is not None else None
    entry = Entry(lost.channel, Variant.RESTORE, komm_kz, base=base, row=row, item=seen)
    drops = (base.komm_id,) if base is not None else ()
    return Decision(entry, Variant.RESTORE, Verdict.GO, lost.reason, steps, pair=pair, drops=drops)
