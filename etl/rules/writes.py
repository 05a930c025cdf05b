"""From a decided entry to its writes and to the baseline row it is to end with (rules.md §3 and §5).

Steps of one entry stand in the order they are written: EspoCRM first, then Advoware, a new row before the old one is
emptied. Every writer has the same signature, because a table picks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from etl.records import Channel, Item, Side
from etl.rules.conflicts import Verdict
from etl.rules.entry import Decision, Entry, Pair, Policy, RowSeen, Step
from etl.rules.items import new_item, replaced
from etl.rules.leaving import left_alone
from etl.rules.marker import encode, encode_slot
from etl.rules.retyping import is_our_copy
from etl.rules.steps import emptied, need, row_step, slot_marked
from etl.rules.variants import REASONS, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.pairs import Decided
    from etl.rules.slots import Slots

@dataclass(frozen=True, slots=True)
class Means:
    """What the writers draw on: the person's slots, the policy, and by komm_id the items a half-stored PUT took."""

    slots: Slots
    policy: Policy
    taken: Mapping[int, Item] = field(default_factory=dict)


def decision(one: Decided, means: Means) -> Decision:
    """Turn one decided entry into its decision, steps included."""
    entry = one.entry
    if one.left is not None or one.verdict is Verdict.HOLD:
        return left_alone(one, means.policy)
    reason = one.because or REASONS[entry.variant]
    if one.verdict is Verdict.REVERT:
        made = replace(WRITERS_REVERT[entry.variant](entry, means), verdict=Verdict.REVERT)
        return replace(made, reason=f"{reason}; EspoCRM wins{remark_kept(made)}")
    made = WRITERS[entry.variant](entry, means)
    return replace(made, reason=reason + remark_kept(made))


def var1(entry: Entry, means: Means) -> Decision:
    """Reuse a slot of the same kommKz without own text, else create."""
    item = need(entry.item)
    step = new_row(entry, item.item.value, item.komm_kz, "", means)
    return Decision(
        entry, entry.variant, Verdict.GO, "", (step,), pair=pair_of(entry, step, item.item), drops=known(entry)
    )


def var2(entry: Entry, means: Means) -> Decision:
    """Empty the row to a slot; the own text stays."""
    return Decision(entry, entry.variant, Verdict.GO, "", (emptied(entry),), drops=known(entry))


def var3(entry: Entry, means: Means) -> Decision:
    """Remove the item; a row that still stands empty becomes a slot."""
    item = need(entry.item).item
    remove = Step(Side.ESPO, "remove", entry.channel, komm_id_of(entry), entry.komm_kz, old_value=item.value, was=item)
    return Decision(entry, entry.variant, Verdict.GO, "", (remove, *slot_marked(entry)), drops=known(entry))


def var4(entry: Entry, means: Means) -> Decision:
    """Add an item, then the marker; one that EspoCRM lost inside a PUT of ours comes back with all it had."""
    row = need(entry.row)
    kind = means.policy.table.espo_type(entry.komm_kz) if entry.channel is Channel.PHONE else None
    item = new_item(entry.channel, row.value, kind, row.canonical)
    taken = means.taken.get(row.komm_id)
    if taken is not None and taken.channel is entry.channel:
        item = replaced(taken, row.value, row.canonical)
    add = Step(Side.ESPO, "add", entry.channel, row.komm_id, entry.komm_kz, new_value=item.value, item=item)
    return with_marker(entry, item, (add,))


def var5(entry: Entry, means: Means) -> Decision:
    """EspoCRM's value and the marker, on the same row."""
    return overwritten(entry, "update")


def var6(entry: Entry, means: Means) -> Decision:
    """Replace the item's value, keep the rest of it; then the marker. The baseline keeps the old type."""
    was = need(entry.item).item
    row = need(entry.row)
    item = replaced(was, row.value, row.canonical)
    step = Step(
        Side.ESPO, "replace", entry.channel, komm_id_of(entry), entry.komm_kz, was.value, item.value, was=was, item=item
    )
    made = with_marker(entry, item, (step,))
    kept = entry.base.espo_type if entry.base is not None and entry.type_edit else item.type
    return replace(made, pair=replace(need(made.pair), espo_type=kept))


def retype(entry: Entry, means: Means) -> Decision:
    """Another row takes value, marker and own text; then the old one becomes a slot without own text."""
    item, row = need(entry.item), need(entry.row)
    if entry.stands is not None:
        return retype_onto(entry, entry.stands)
    old = replace(emptied(entry), new_remark=encode_slot(entry.komm_kz, ""))
    step = new_row(entry, item.item.value, item.komm_kz, row.own_text, means)
    return Decision(
        entry, entry.variant, Verdict.GO, "", (step, old), pair=pair_of(entry, step, item.item), drops=known(entry)
    )


def retype_onto(entry: Entry, stands: RowSeen) -> Decision:
    """A row that holds the value already takes the marker; its text stays, and the old row keeps its own beside it."""
    item, row = need(entry.item), need(entry.row)
    remark = encode(item.item.value, item.komm_kz, stands.own_text or row.own_text)
    ours = is_our_copy(stands, item, row.own_text)
    kept = "" if ours or not stands.own_text else row.own_text
    marked = ours or remark == stands.remark
    mark = () if marked else (row_step("mark", entry.channel, stands, item.komm_kz, stands.value, remark),)
    old = replace(emptied(entry), new_remark=encode_slot(entry.komm_kz, kept))
    pair = Pair(stands.komm_id, entry.channel, item.item.value, item.item.type, stands.value, item.komm_kz)
    return Decision(entry, entry.variant, Verdict.GO, "", (*mark, old), pair=pair, drops=known(entry))


def link(entry: Entry, means: Means) -> Decision:
    """Marker only; the value goes back byte-identical."""
    return with_marker(entry, need(entry.item).item, ())


def same(entry: Entry, means: Means) -> Decision:
    """Nothing to write; the baseline follows the spelling, the type, the row id, and the row that took its place."""
    moved = tuple(komm_id for komm_id in known(entry) if komm_id != need(entry.row).komm_id)
    return replace(with_pair(entry, need(entry.item).item, ()), drops=moved)


def clash(entry: Entry, means: Means) -> Decision:
    """EspoCRM wins: its value, or its deletion, overwrites the row; what Advoware had is kept in ``conflicts``."""
    lost = need(entry.row).value
    if entry.item is None:
        return Decision(entry, entry.variant, Verdict.GO, "", (emptied(entry),), drops=known(entry), lost=lost)
    return replace(overwritten(entry, "update"), lost=lost)


def forget(entry: Entry, means: Means) -> Decision:
    """The baseline row ends; a row that still stands empty becomes a slot."""
    return Decision(entry, entry.variant, Verdict.GO, "", slot_marked(entry), drops=known(entry))


def leftover(entry: Entry, means: Means) -> Decision:
    """A row of ours that is nobody's pair becomes a slot; only one that holds a value loses something by it."""
    steps = (replace(emptied(entry), action="leftover"),) if need(entry.row).value else slot_marked(entry)
    return Decision(entry, entry.variant, Verdict.GO, "", steps)


def revert_var3(entry: Entry, means: Means) -> Decision:
    """Create again what vanished from Advoware; an emptied row is filled again."""
    item = need(entry.item).item
    if entry.row is not None:
        return overwritten(entry, "revert")
    step = new_row(entry, item.value, entry.komm_kz, "", means)
    return Decision(
        entry, entry.variant, Verdict.REVERT, "", (step,), pair=pair_of(entry, step, item), drops=known(entry)
    )


def revert_var4(entry: Entry, means: Means) -> Decision:
    """The row a person added becomes a slot; its value is kept in ``conflicts``, its text in the remark."""
    return Decision(
        entry, entry.variant, Verdict.REVERT, "", (emptied(entry),), drops=known(entry), lost=need(entry.row).value
    )


def revert_var6(entry: Entry, means: Means) -> Decision:
    """EspoCRM's value comes back; what Advoware had is kept in ``conflicts``. A new type waits for the next plan."""
    made = overwritten(entry, "revert")
    pair = replace(need(made.pair), espo_type=need(entry.base).espo_type) if entry.type_edit else made.pair
    return replace(made, pair=pair, lost=need(entry.row).value)


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
    Variant.SAME: same,
    Variant.CLASH: clash,
    Variant.FORGET: forget,
    Variant.LEFTOVER: leftover,
}

WRITERS_REVERT = {Variant.VAR3: revert_var3, Variant.VAR4: revert_var4, Variant.VAR6: revert_var6}


def new_row(entry: Entry, value: str, komm_kz: int, own_text: str, means: Means) -> Step:
    """Fill a slot, or create a row, with value, marker and own text."""
    slot = means.slots.take(komm_kz)
    remark = encode(value, komm_kz, own_text)
    if slot is None:
        return Step(Side.ADVO, "create", entry.channel, None, komm_kz, new_value=value, new_remark=remark)
    return row_step("fill", entry.channel, slot, komm_kz, value, remark)


def overwritten(entry: Entry, action: str) -> Decision:
    """EspoCRM's value and marker on the same row, own text kept."""
    item, row = need(entry.item).item, need(entry.row)
    remark = encode(item.value, entry.komm_kz, row.own_text)
    step = row_step(action, entry.channel, row, entry.komm_kz, item.value, remark)
    return Decision(entry, entry.variant, Verdict.GO, "", (step,), pair=pair_of(entry, step, item), drops=known(entry))


def with_marker(entry: Entry, item: Item, steps: tuple[Step, ...]) -> Decision:
    """A decision that ends with the row as the pair of ``item``; its marker is written only where it is not right."""
    made = with_pair(entry, item, steps)
    if entry.marked and entry.variant is not Variant.VAR6:
        return made
    row = need(entry.row)
    remark = encode(item.value, entry.komm_kz, row.own_text)
    stands = remark == row.remark  # a copied row brings its marker along
    mark = () if stands else (row_step("mark", entry.channel, row, entry.komm_kz, row.value, remark),)
    pair = replace(need(made.pair), unmarked=False, remark=remark)
    return replace(made, steps=(*steps, *mark), pair=pair)


def with_pair(entry: Entry, item: Item, steps: tuple[Step, ...]) -> Decision:
    """A decision that ends with the row as the pair of ``item``, its remark as it stands."""
    row = need(entry.row)
    unmarked = entry.base is not None and entry.base.unmarked
    pair = Pair(row.komm_id, entry.channel, item.value, item.type, row.value, entry.komm_kz, unmarked, row.remark)
    return Decision(entry, entry.variant, Verdict.GO, "", steps, pair=pair, drops=known(entry))


def pair_of(entry: Entry, step: Step, item: Item) -> Pair:
    """The agreed pair after a write that brings EspoCRM's value to Advoware."""
    return Pair(
        step.komm_id,
        entry.channel,
        item.value,
        item.type,
        step.new_value or "",
        step.komm_kz or 0,
        remark=step.new_remark,
    )


def known(entry: Entry) -> tuple[int, ...]:
    """The baseline row that ends, or is replaced, with this decision."""
    return (entry.base.komm_id,) if entry.base is not None and not entry.base.pseudo else ()


def komm_id_of(entry: Entry) -> int | None:
    """The row this entry is about, gone or not."""
    if entry.row is not None:
        return entry.row.komm_id
    return entry.base.komm_id if entry.base is not None else None


def remark_kept(made: Decision) -> str:
    """Name a remark that stays with a row whose number changes, so that a person can look (rules.md §2, step 6)."""
    row = made.entry.row
    changes = made.variant in (Variant.VAR5, Variant.CLASH, Variant.RETYPE) or made.verdict is Verdict.REVERT
    if not changes or made.entry.item is None or row is None or not row.own_text:
        return ""
    return f'; the remark "{row.own_text}" is kept'
