"""What a run wrote, according to its journal, by entry: each row and each item from its first write to its last.

What ended as it began was repaired within the run and is left out. Also tells whether what the run wrote is still
there, or was edited since. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.enums import Action
from etl.records import Channel, EspoItem, Side
from etl.rules.espo.items import espo_key
from etl.rules.marker import encode_slot, is_same_text
from etl.rules.undo.restore import find_item
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.rules.entry import AdvoEntry
    from etl.rules.undo.restore import CurrentState

OPERATOR_VARIANTS = frozenset({Variant.UNDO, Variant.RESTORE})
"""Variants an operator asked for; undoing them needs no note, as nothing would repeat them by itself."""

AS_BEFORE, APPLIED = "as before", "as the run left it"


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a run did to one row: value and remark before its first write (None: it created it) and after its last."""

    komm_id: int
    komm_kz: int
    channel: Channel
    before: tuple[str, str] | None
    after: tuple[str, str]
    decision_ids: frozenset[int]

    @property
    def undo_target(self) -> tuple[str, str]:
        """Value and remark the row is put back to; one that the run created becomes a slot."""
        return self.before if self.before is not None else ("", encode_slot(self.komm_kz, ""))


@dataclass(frozen=True, slots=True)
class ItemChange:
    """What a run did to one item: the item before (None: it was added) and after (None: it was removed)."""

    channel: Channel
    before: EspoItem | None
    after: EspoItem | None
    decision_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """Everything that decisions about one entry wrote."""

    rows: tuple[RowChange, ...]
    items: tuple[ItemChange, ...]
    decisions: tuple[Mapping[str, Any], ...]

    @property
    def reason(self) -> str:
        """The reasons of the run for these writes."""
        return (
            "; ".join(dict.fromkeys(decision["reason"] or decision["variant"] for decision in self.decisions))
            or "mending"
        )

    @property
    def is_by_operator(self) -> bool:
        """Whether an operator asked for it."""
        return all(decision["variant"] in OPERATOR_VARIANTS for decision in self.decisions)


def group_by_entry(changes: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]) -> list[EntryChanges]:
    """The run's changes by entry: changes that share a decision, or whose decisions are about one row, belong together.

    A person that was planned again within the run has several decisions about an entry, which need not share a write.
    """
    ids_by_komm_id: dict[int | None, set[int]] = {}
    for decision in decisions:
        ids_by_komm_id.setdefault(decision["komm_id"], set()).add(decision["id"])
    ids_of_same_row = {
        decision_id: ids for komm_id, ids in ids_by_komm_id.items() if komm_id is not None for decision_id in ids
    }
    clusters: list[tuple[frozenset[int], list[RowChange | ItemChange]]] = []
    entry_changes: list[RowChange | ItemChange] = [*row_changes(changes), *item_changes(changes)]
    for change in entry_changes:
        decision_ids = change.decision_ids.union(
            *(ids_of_same_row.get(decision_id, ()) for decision_id in change.decision_ids)
        )
        overlapping = [cluster for cluster in clusters if cluster[0] & decision_ids]
        clusters = [cluster for cluster in clusters if cluster not in overlapping]
        joined_ids = decision_ids.union(*(ids for ids, _ in overlapping))
        clusters.append((joined_ids, [*(member for _, members in overlapping for member in members), change]))
    return [
        EntryChanges(
            tuple(member for member in members if isinstance(member, RowChange)),
            tuple(member for member in members if isinstance(member, ItemChange)),
            tuple(decision for decision in decisions if decision["id"] in ids),
        )
        for ids, members in clusters
    ]


def row_changes(changes: Sequence[Mapping[str, Any]]) -> list[RowChange]:
    """Each row from its first write to its last, without rows that ended as they began."""
    by_row: dict[int, list[Mapping[str, Any]]] = {}
    for change in changes:
        if change["side"] == Side.ADVO and change["komm_id"] is not None:
            by_row.setdefault(change["komm_id"], []).append(change)
    merged_changes = [row_change(komm_id, changes_of_row) for komm_id, changes_of_row in by_row.items()]
    return [change for change in merged_changes if change.undo_target != change.after]


def row_change(komm_id: int, changes: Sequence[Mapping[str, Any]]) -> RowChange:
    """What a run did to one row, from its first write to its last."""
    first, last = changes[0], changes[-1]
    before = None if first["action"] == Action.CREATE else (first["old_value"] or "", first["old_remark"] or "")
    return RowChange(
        komm_id,
        first["komm_kz"] or 1,
        Channel(first["channel"]),
        before,
        (last["new_value"] or "", last["new_remark"] or ""),
        decision_ids_of(changes),
    )


def item_changes(changes: Sequence[Mapping[str, Any]]) -> list[ItemChange]:
    """Each item from its first write to its last. Items have no ids: a write continues the one that left its value."""
    result: list[ItemChange] = []
    for change in changes:
        if change["side"] != Side.ESPO:
            continue
        old_item = item_from_image(change["before"]) if change["before"] else None
        item = item_from_image(change["after"]) if change["new_value"] is not None else None
        earlier = next(
            (
                item_change
                for item_change in result
                if old_item and item_change.after and espo_item_key(item_change.after) == espo_item_key(old_item)
            ),
            None,
        )
        if earlier is None:
            result.append(ItemChange(Channel(change["channel"]), old_item, item, decision_ids_of([change])))
        else:
            ids = earlier.decision_ids | decision_ids_of([change])
            result[result.index(earlier)] = replace(earlier, after=item, decision_ids=ids)
    return [item_change for item_change in result if item_change.before != item_change.after]


def decision_ids_of(changes: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """The ids of the decisions behind these writes; a repairing write has none of its own."""
    return frozenset(change["decision_id"] for change in changes if change["decision_id"] is not None)


def item_from_image(image: Mapping[str, Any]) -> EspoItem:
    """An item as the journal keeps it."""
    return EspoItem(**{**image, "channel": Channel(image["channel"])})


def espo_item_key(item: EspoItem) -> tuple[Channel, str]:
    """EspoCRM's own key of an item."""
    return item.channel, espo_key(item.channel, item.value)


def row_edit_messages(group: EntryChanges, current: CurrentState) -> list[str]:
    """A message about each row that is neither as the run left it nor as it was before."""
    return [
        f"row {change.komm_id} in Advoware ({change.after[0] or change.undo_target[0] or 'empty'}) was changed since"
        for change in group.rows
        if compare_row(change, current.rows.get(change.komm_id)) is None
    ]


def compare_row(change: RowChange, row: AdvoEntry | None) -> str | None:
    """``AS_BEFORE`` or ``APPLIED``; None if somebody has edited the row since."""
    if row is None:
        return AS_BEFORE if change.before is None else None
    if is_row_as_written(row, change.undo_target) or (change.before is None and not row.value):
        return AS_BEFORE
    return APPLIED if is_row_as_written(row, change.after) else None


def is_row_as_written(row: AdvoEntry, value_and_remark: tuple[str, str]) -> bool:
    """Whether a row shows this value and remark, as Advoware would return them."""
    value, remark = value_and_remark
    return is_same_text(row.value, value) and is_same_text(row.remark, remark)


def item_edit_messages(group: EntryChanges, current: CurrentState) -> list[str]:
    """A message about each item that is neither as the run left it nor as before, or for which there is no room."""
    messages = []
    for change in group.items:
        item = change.after or change.before
        value = item.value if item is not None else ""
        state = compare_item(change, current)
        if state is None:
            messages.append(f"{value} in EspoCRM was changed since")
        elif state == APPLIED and change.after is None and is_channel_full(change.channel, current):
            messages.append(f"{value} finds no place in EspoCRM, which holds {current.max_items} of a kind")
    return messages


def compare_item(change: ItemChange, current: CurrentState) -> str | None:
    """``AS_BEFORE`` or ``APPLIED``; None if somebody has edited the item since."""
    before = None if change.before is None else find_item(change.before, current)
    after = None if change.after is None else find_item(change.after, current)
    if change.after is None:
        return AS_BEFORE if before is not None else APPLIED
    if after is None:
        return AS_BEFORE if change.before is None or before is not None else None
    is_other_item = change.before is not None and before is not None and before is not after
    return APPLIED if has_same_attributes(after, change.after) and not is_other_item else None


def has_same_attributes(first: EspoItem, second: EspoItem) -> bool:
    """Whether two items have the same attributes; not primary, which EspoCRM changes as other items come and go."""
    return (first.type, first.opt_out, first.invalid) == (second.type, second.opt_out, second.invalid)


def is_channel_full(channel: Channel, current: CurrentState) -> bool:
    """Whether EspoCRM can hold no further item of this channel."""
    return sum(item.channel is channel for item in current.items) >= current.max_items
