"""Turn a decided entry into its writes, and into the baseline row it is to end with (rules §3 and §5).

The steps of an entry are in the order in which they are written: EspoCRM first, then Advoware, and a new row before the
old one is emptied. All writers have the same signature, because a table picks one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from etl.enums import Action
from etl.records import Channel, EspoItem, Side
from etl.rules.entry import AdvoEntry, Decision, Entry, NextBaseline, Policy, Step
from etl.rules.espo.items import new_item, with_value
from etl.rules.left_alone import leave_decision
from etl.rules.leftovers import is_retype_copy
from etl.rules.marker import encode, encode_slot
from etl.rules.plan import empty_step, mark_slot_steps, require, update_row_step
from etl.rules.variants import VARIANT_REASONS, Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.same_value import ResolvedEntry
    from etl.rules.slots import Slots

REMARK_HINT: Final = "; the remark "
"""Begins the part of a reason about a remark that stays; `explain` repeats it from there."""


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What the writers need: the person's slots, the policy, and by komm_id the items lost in a half-stored PUT."""

    slots: Slots
    policy: Policy
    removed_items: Mapping[int, EspoItem] = field(default_factory=dict)


def build_decision(resolved: ResolvedEntry, context: WriteContext) -> Decision:
    """Turn one decided entry into a decision with its steps."""
    entry = resolved.entry
    if resolved.left_alone is not None or resolved.resolution is Resolution.LEAVE:
        return leave_decision(resolved, context.policy)
    reason = resolved.reason or VARIANT_REASONS[entry.variant]
    if resolved.resolution is Resolution.REVERT:
        decision = replace(REVERT_WRITERS[entry.variant](entry, context), resolution=Resolution.REVERT)
        return replace(decision, reason=f"{reason}; EspoCRM wins{remark_hint(decision)}")
    decision = WRITERS[entry.variant](entry, context)
    return replace(decision, reason=reason + remark_hint(decision))


def var1(entry: Entry, context: WriteContext) -> Decision:
    """Reuse a slot of the same kommKz without own text, else create a row."""
    item = require(entry.item)
    step = create_or_fill(entry, item.item.value, item.komm_kz, "", context)
    return Decision(
        entry,
        entry.variant,
        Resolution.APPLY,
        "",
        (step,),
        next_baseline=baseline_after_write(entry, step, item.item),
        ended_komm_ids=komm_ids_to_end(entry),
    )


def var2(entry: Entry, context: WriteContext) -> Decision:
    """Empty the row, which becomes a slot; the own text stays."""
    return Decision(
        entry, entry.variant, Resolution.APPLY, "", (empty_step(entry),), ended_komm_ids=komm_ids_to_end(entry)
    )


def var3(entry: Entry, context: WriteContext) -> Decision:
    """Remove the item; a row that still exists, empty, becomes a slot."""
    item = require(entry.item).item
    remove = Step(
        Side.ESPO,
        Action.REMOVE,
        entry.channel,
        komm_id_of_entry(entry),
        entry.komm_kz,
        old_value=item.value,
        old_item=item,
    )
    return Decision(
        entry,
        entry.variant,
        Resolution.APPLY,
        "",
        (remove, *mark_slot_steps(entry)),
        ended_komm_ids=komm_ids_to_end(entry),
    )


def var4(entry: Entry, context: WriteContext) -> Decision:
    """Add an item, then the marker; an item that EspoCRM lost in a PUT of ours comes back with all its attributes."""
    row = require(entry.row)
    kind = context.policy.table.espo_type(entry.komm_kz) if entry.channel is Channel.PHONE else None
    item = new_item(entry.channel, row.value, kind, row.canonical)
    removed_item = context.removed_items.get(row.komm_id)
    if removed_item is not None and removed_item.channel is entry.channel:
        item = with_value(removed_item, row.value, row.canonical)
    add = Step(Side.ESPO, Action.ADD, entry.channel, row.komm_id, entry.komm_kz, new_value=item.value, item=item)
    return mark_row(entry, item, (add,))


def var5(entry: Entry, context: WriteContext) -> Decision:
    """Write EspoCRM's value and the marker to the same row."""
    return overwrite_row(entry, Action.UPDATE)


def var6(entry: Entry, context: WriteContext) -> Decision:
    """Replace the item's value, keep the rest of it; then the marker. The baseline keeps the old type."""
    old_item = require(entry.item).item
    row = require(entry.row)
    item = with_value(old_item, row.value, row.canonical)
    step = Step(
        Side.ESPO,
        Action.REPLACE,
        entry.channel,
        komm_id_of_entry(entry),
        entry.komm_kz,
        old_item.value,
        item.value,
        old_item=old_item,
        item=item,
    )
    decision = mark_row(entry, item, (step,))
    espo_type = entry.base.espo_type if entry.base is not None and entry.type_edit else item.type
    return replace(decision, next_baseline=replace(require(decision.next_baseline), espo_type=espo_type))


def retype(entry: Entry, context: WriteContext) -> Decision:
    """Another row takes value, marker and own text; then the old one becomes a slot without own text."""
    item, row = require(entry.item), require(entry.row)
    if entry.retype_row is not None:
        return retype_onto(entry, entry.retype_row)
    empty_old_row = replace(empty_step(entry), new_remark=encode_slot(entry.komm_kz, ""))
    step = create_or_fill(entry, item.item.value, item.komm_kz, row.own_text, context)
    return Decision(
        entry,
        entry.variant,
        Resolution.APPLY,
        "",
        (step, empty_old_row),
        next_baseline=baseline_after_write(entry, step, item.item),
        ended_komm_ids=komm_ids_to_end(entry),
    )


def retype_onto(entry: Entry, target_row: AdvoEntry) -> Decision:
    """A row that already holds the value takes the marker; the old row's text moves there only if it has none."""
    item, row = require(entry.item), require(entry.row)
    remark = encode(item.item.value, item.komm_kz, target_row.own_text or row.own_text)
    is_own_copy = is_retype_copy(target_row, item, row.own_text)
    kept_text = "" if is_own_copy or not target_row.own_text else row.own_text
    is_marked = is_own_copy or remark == target_row.remark
    mark = (
        ()
        if is_marked
        else (update_row_step(Action.MARK, entry.channel, target_row, item.komm_kz, target_row.value, remark),)
    )
    empty_old_row = replace(empty_step(entry), new_remark=encode_slot(entry.komm_kz, kept_text))
    pair = NextBaseline(
        target_row.komm_id, entry.channel, item.item.value, item.item.type, target_row.value, item.komm_kz
    )
    return Decision(
        entry,
        entry.variant,
        Resolution.APPLY,
        "",
        (*mark, empty_old_row),
        next_baseline=pair,
        ended_komm_ids=komm_ids_to_end(entry),
    )


def link(entry: Entry, context: WriteContext) -> Decision:
    """Write the marker only; the value is sent back byte-identical."""
    return mark_row(entry, require(entry.item).item, ())


def keep_pair(entry: Entry, context: WriteContext) -> Decision:
    """Write nothing; the baseline follows spelling, type and rowId, and the row that took the place of the old one."""
    ended_rows = tuple(komm_id for komm_id in komm_ids_to_end(entry) if komm_id != require(entry.row).komm_id)
    return replace(pair_decision(entry, require(entry.item).item, ()), ended_komm_ids=ended_rows)


def clash(entry: Entry, context: WriteContext) -> Decision:
    """EspoCRM wins: its value, or its deletion, overwrites the row; what Advoware had is kept in ``conflicts``."""
    lost_value = require(entry.row).value
    if entry.item is None:
        return Decision(
            entry,
            entry.variant,
            Resolution.APPLY,
            "",
            (empty_step(entry),),
            ended_komm_ids=komm_ids_to_end(entry),
            lost_value=lost_value,
        )
    return replace(overwrite_row(entry, Action.UPDATE), lost_value=lost_value)


def forget_pair(entry: Entry, context: WriteContext) -> Decision:
    """End the baseline row; a row that still exists, empty, becomes a slot."""
    return Decision(
        entry, entry.variant, Resolution.APPLY, "", mark_slot_steps(entry), ended_komm_ids=komm_ids_to_end(entry)
    )


def empty_leftover(entry: Entry, context: WriteContext) -> Decision:
    """Make a slot of our own row that belongs to no pair; only if it holds a value does this remove something."""
    steps = (
        (replace(empty_step(entry), action=Action.LEFTOVER),) if require(entry.row).value else mark_slot_steps(entry)
    )
    return Decision(entry, entry.variant, Resolution.APPLY, "", steps)


def revert_var3(entry: Entry, context: WriteContext) -> Decision:
    """Create again what vanished from Advoware; a row that was emptied is filled again."""
    item = require(entry.item).item
    if entry.row is not None:
        return overwrite_row(entry, Action.REVERT)
    step = create_or_fill(entry, item.value, entry.komm_kz, "", context)
    return Decision(
        entry,
        entry.variant,
        Resolution.REVERT,
        "",
        (step,),
        next_baseline=baseline_after_write(entry, step, item),
        ended_komm_ids=komm_ids_to_end(entry),
    )


def revert_var4(entry: Entry, context: WriteContext) -> Decision:
    """The row a person added becomes a slot; its value is kept in ``conflicts``, its text in the remark."""
    return Decision(
        entry,
        entry.variant,
        Resolution.REVERT,
        "",
        (empty_step(entry),),
        ended_komm_ids=komm_ids_to_end(entry),
        lost_value=require(entry.row).value,
    )


def revert_var6(entry: Entry, context: WriteContext) -> Decision:
    """Write EspoCRM's value back; Advoware's is kept in ``conflicts``. A new type waits for the next plan."""
    decision = overwrite_row(entry, Action.REVERT)
    pair = (
        replace(require(decision.next_baseline), espo_type=require(entry.base).espo_type)
        if entry.type_edit
        else decision.next_baseline
    )
    return replace(decision, next_baseline=pair, lost_value=require(entry.row).value)


WRITERS = {
    Variant.VAR1: var1,
    Variant.VAR2: var2,
    Variant.VAR3: var3,
    Variant.VAR4: var4,
    Variant.VAR5: var5,
    Variant.VAR6: var6,
    Variant.RETYPE: retype,
    Variant.LINK: link,
    Variant.REPAIR: link,
    Variant.SAME: keep_pair,
    Variant.CLASH: clash,
    Variant.FORGET: forget_pair,
    Variant.LEFTOVER: empty_leftover,
}

REVERT_WRITERS = {Variant.VAR3: revert_var3, Variant.VAR4: revert_var4, Variant.VAR6: revert_var6}


def create_or_fill(entry: Entry, value: str, komm_kz: int, own_text: str, context: WriteContext) -> Step:
    """Fill a slot, or create a row, with value, marker and own text."""
    slot = context.slots.take(komm_kz)
    remark = encode(value, komm_kz, own_text)
    if slot is None:
        return Step(Side.ADVO, Action.CREATE, entry.channel, None, komm_kz, new_value=value, new_remark=remark)
    return update_row_step(Action.FILL, entry.channel, slot, komm_kz, value, remark)


def overwrite_row(entry: Entry, action: Action) -> Decision:
    """Write EspoCRM's value and marker to the same row and keep its own text."""
    item, row = require(entry.item).item, require(entry.row)
    remark = encode(item.value, entry.komm_kz, row.own_text)
    step = update_row_step(action, entry.channel, row, entry.komm_kz, item.value, remark)
    return Decision(
        entry,
        entry.variant,
        Resolution.APPLY,
        "",
        (step,),
        next_baseline=baseline_after_write(entry, step, item),
        ended_komm_ids=komm_ids_to_end(entry),
    )


def mark_row(entry: Entry, item: EspoItem, steps: tuple[Step, ...]) -> Decision:
    """A decision that makes the row the pair of ``item``; its marker is written only if it is not right already."""
    decision = pair_decision(entry, item, steps)
    if entry.marked and entry.variant is not Variant.VAR6:
        return decision
    row = require(entry.row)
    remark = encode(item.value, entry.komm_kz, row.own_text)
    is_marked = remark == row.remark  # a copied row brings its marker along
    mark = () if is_marked else (update_row_step(Action.MARK, entry.channel, row, entry.komm_kz, row.value, remark),)
    pair = replace(require(decision.next_baseline), unmarked=False, remark=remark)
    return replace(decision, steps=(*steps, *mark), next_baseline=pair)


def pair_decision(entry: Entry, item: EspoItem, steps: tuple[Step, ...]) -> Decision:
    """A decision that makes the row the pair of ``item`` and leaves its remark as it is."""
    row = require(entry.row)
    unmarked = entry.base is not None and entry.base.unmarked
    pair = NextBaseline(
        row.komm_id, entry.channel, item.value, item.type, row.value, entry.komm_kz, unmarked, row.remark
    )
    return Decision(
        entry, entry.variant, Resolution.APPLY, "", steps, next_baseline=pair, ended_komm_ids=komm_ids_to_end(entry)
    )


def baseline_after_write(entry: Entry, step: Step, item: EspoItem) -> NextBaseline:
    """The agreed pair after a write that brings EspoCRM's value to Advoware."""
    return NextBaseline(
        step.komm_id,
        entry.channel,
        item.value,
        item.type,
        step.new_value or "",
        step.komm_kz or 0,
        remark=step.new_remark,
    )


def komm_ids_to_end(entry: Entry) -> tuple[int, ...]:
    """The baseline row that ends, or is replaced, with this decision."""
    return (entry.base.komm_id,) if entry.base is not None and not entry.base.pseudo else ()


def komm_id_of_entry(entry: Entry) -> int | None:
    """The komm_id of the row that this entry is about, even if that row is gone."""
    if entry.row is not None:
        return entry.row.komm_id
    return entry.base.komm_id if entry.base is not None else None


def remark_hint(decision: Decision) -> str:
    """Mention a remark that stays with a row whose number changes, so that a person can check it (rules §2, step 6)."""
    row = decision.entry.row
    changes_value = (
        decision.variant in (Variant.VAR5, Variant.CLASH, Variant.RETYPE) or decision.resolution is Resolution.REVERT
    )
    if not changes_value or decision.entry.item is None or row is None or not row.own_text:
        return ""
    return f'{REMARK_HINT}"{row.own_text}" is kept'
