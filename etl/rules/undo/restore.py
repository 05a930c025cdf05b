"""Put a value that lost back on both sides (rules §4, ``restore``), as a decision like any other. Pure.

It replaces the winner if that pair is still as the winner left it. Otherwise it is added beside it: in the row it came
from if that is a slot now, else in a free slot of its kommKz, else in a new row. ``CurrentState`` is a person as it
stands now, also for ``undo`` and for repairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.enums import Action
from etl.records import Channel, EspoItem, Side
from etl.rules.entry import AdvoEntry, Decision, Entry, EspoEntry, NextBaseline, Policy, Step
from etl.rules.espo.items import new_item, rejection_reason, with_value
from etl.rules.marker import MarkerKind, encode
from etl.rules.plan import update_row_step
from etl.rules.slots import Slots
from etl.rules.values.canonical import canonical
from etl.rules.variants import Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.entry import BaselinePair, LeftAlone

@dataclass(frozen=True, slots=True)
class CurrentState:
    """A person as it stands now: both sides as just read, the agreed pairs by komm_id, and the notes.

    ``max_items``: how many items of a channel this EspoCRM can hold; infinite without a limit.
    """

    items: tuple[EspoItem, ...]
    rows: Mapping[int, AdvoEntry]
    baseline: Mapping[int, BaselinePair]
    left_alone: tuple[LeftAlone, ...]
    region: str
    max_items: float


def find_item(item: EspoItem, current: CurrentState) -> EspoItem | None:
    """The item that now holds this value in EspoCRM."""
    canonical_value = canonical(item.channel, item.value, current.region)
    for candidate in current.items:
        if (
            candidate.channel is item.channel
            and canonical(candidate.channel, candidate.value, current.region) == canonical_value
        ):
            return candidate
    return None


@dataclass(frozen=True, slots=True)
class LostValue:
    """A row of ``conflicts``: the value that lost, and the pair that won (``winner`` None: the entry was deleted)."""

    channel: Channel
    value: str
    winner: str | None
    komm_id: int | None
    reason: str


def value_to_restore(conflict: Mapping[str, Any]) -> LostValue:
    """The value that lost, from a row of ``conflicts``."""
    return LostValue(
        Channel(conflict["channel"]),
        conflict["advo_value"],
        conflict["espo_value"],
        conflict["komm_id"],
        f"restored: it lost in run {conflict['run_id']} ({conflict['reason']})",
    )


def plan_restore(lost_value: LostValue, current: CurrentState, policy: Policy) -> Decision | str | None:
    """Return the decision that puts the value back; None if both sides have it; a sentence why, if it cannot be."""
    item = find_item(EspoItem(lost_value.channel, lost_value.value), current)
    row = find_row(lost_value, current)
    if item is not None and row is not None and row.komm_id in current.baseline:
        return None
    canonical_value = canonical(lost_value.channel, lost_value.value, policy.region)
    rejection = rejection_reason(
        lost_value.channel, lost_value.value, canonical_value, international=policy.international
    )
    if rejection is not None:
        return f"EspoCRM cannot hold {lost_value.value} ({rejection}); type it into Advoware, where it stays"
    winner = winning_pair(lost_value, current)
    if winner is not None and item is None and row is None:
        return replace_winner(lost_value, *winner, current, policy)
    has_room = sum(other.channel is lost_value.channel for other in current.items) < policy.max_items
    return (
        add_beside(lost_value, item, row, current, policy)
        if item or has_room
        else f"EspoCRM holds {policy.max_items} of a kind already"
    )


def find_row(lost_value: LostValue, current: CurrentState) -> AdvoEntry | None:
    """The row that now holds the value: one that is in a pair, else the lowest komm_id."""
    canonical_value = canonical(lost_value.channel, lost_value.value, current.region)
    rows = [
        row for row in current.rows.values() if row.channel is lost_value.channel and row.canonical == canonical_value
    ]
    return min(rows, key=lambda row: (row.komm_id not in current.baseline, row.komm_id), default=None)


def winning_pair(lost_value: LostValue, current: CurrentState) -> tuple[EspoItem, AdvoEntry] | None:
    """The item and the row that the winner left, if both are still what was agreed then."""
    row = current.rows.get(lost_value.komm_id) if lost_value.komm_id is not None else None
    base = current.baseline.get(lost_value.komm_id) if lost_value.komm_id is not None else None
    if lost_value.winner is None or row is None or base is None:
        return None
    canonical_winner = canonical(lost_value.channel, lost_value.winner, current.region)
    item = find_item(EspoItem(lost_value.channel, lost_value.winner), current)
    is_unchanged = item is not None and row.canonical == canonical_winner and base.espo_canonical == canonical_winner
    return (item, row) if item is not None and is_unchanged else None


def replace_winner(
    lost_value: LostValue, old_item: EspoItem, row: AdvoEntry, current: CurrentState, policy: Policy
) -> Decision:
    """Put the value in the winner's place: type, flags and own text stay."""
    base = current.baseline[row.komm_id]
    item = with_value(old_item, lost_value.value, canonical(lost_value.channel, lost_value.value, policy.region))
    espo = Step(
        Side.ESPO,
        Action.REPLACE,
        lost_value.channel,
        row.komm_id,
        base.komm_kz,
        old_item.value,
        item.value,
        old_item=old_item,
        item=item,
    )
    remark = encode(item.value, base.komm_kz, row.own_text)
    advo = update_row_step(Action.REVERT, lost_value.channel, row, base.komm_kz, lost_value.value, remark)
    return restore_decision(lost_value, (espo, advo), item, row, current)


def add_beside(
    lost_value: LostValue, item: EspoItem | None, row: AdvoEntry | None, current: CurrentState, policy: Policy
) -> Decision:
    """Add the value beside the winner; if one side has it already, that item or row is used."""
    komm_kz = komm_kz_of_lost_value(lost_value, row, current, policy)
    steps: tuple[Step, ...] = ()
    canonical_value = canonical(lost_value.channel, lost_value.value, policy.region)
    final_item = item or new_item(
        lost_value.channel, lost_value.value, policy.table.espo_type(komm_kz), canonical_value
    )
    if item is None:
        steps = (
            Step(Side.ESPO, Action.ADD, lost_value.channel, None, komm_kz, new_value=final_item.value, item=final_item),
        )
    target_row = row or find_slot(lost_value, komm_kz, current)
    if target_row is None:
        remark = encode(final_item.value, komm_kz, "")
        step = Step(
            Side.ADVO, Action.CREATE, lost_value.channel, None, komm_kz, new_value=lost_value.value, new_remark=remark
        )
    else:
        remark = encode(final_item.value, komm_kz, target_row.own_text)
        step = update_row_step(
            Action.MARK if row else Action.FILL,
            lost_value.channel,
            target_row,
            komm_kz,
            target_row.value or lost_value.value,
            remark,
        )
    return restore_decision(lost_value, (*steps, step), final_item, target_row, current)


def komm_kz_of_lost_value(lost_value: LostValue, row: AdvoEntry | None, current: CurrentState, policy: Policy) -> int:
    """The kommKz of the value: from its row's marker, that of the row it came from, else as for a new value."""
    origin = current.rows.get(lost_value.komm_id) if lost_value.komm_id is not None else None
    for candidate in (row, origin):
        if (
            candidate is not None
            and candidate.marker_komm_kz
            and policy.table.channel(candidate.marker_komm_kz) is lost_value.channel
        ):
            return candidate.marker_komm_kz
    return policy.table.komm_kz_for_type(None, lost_value.channel)


def find_slot(lost_value: LostValue, komm_kz: int, current: CurrentState) -> AdvoEntry | None:
    """The slot that the value's own row has become, with its text; else a free one without text."""
    origin = current.rows.get(lost_value.komm_id) if lost_value.komm_id is not None else None
    if origin is not None and origin.marker_kind is MarkerKind.SLOT and not origin.value:
        return origin
    return Slots(current.rows.values()).take(komm_kz)


def restore_decision(
    lost_value: LostValue, steps: tuple[Step, ...], item: EspoItem, row: AdvoEntry | None, current: CurrentState
) -> Decision:
    """The decision with these steps and the pair they end with."""
    last = steps[-1]
    base = current.baseline.get(row.komm_id) if row is not None else None
    komm_kz = last.komm_kz or 1
    pair = NextBaseline(
        last.komm_id, lost_value.channel, item.value, item.type, last.new_value or "", komm_kz, remark=last.new_remark
    )
    old_item = next((step.old_item for step in steps if step.old_item is not None), None)
    old_entry = EspoEntry(old_item, old_item.value, None, komm_kz) if old_item is not None else None
    entry = Entry(lost_value.channel, Variant.RESTORE, komm_kz, base=base, row=row, item=old_entry)
    ended_komm_ids = (base.komm_id,) if base is not None else ()
    return Decision(
        entry,
        Variant.RESTORE,
        Resolution.APPLY,
        lost_value.reason,
        steps,
        next_baseline=pair,
        ended_komm_ids=ended_komm_ids,
    )
