"""One value, one pair (rules §3): where two decisions end at the same value, one row and one item remain.

The row that already holds the value is the pair; of several, the one that was its pair before, else the lowest komm_id.
Nothing is created or written a second time, and the other pair ends. To do so, the decided entries are rewritten: what
ends becomes a VAR2 (its row becomes a slot), a VAR3 (its item is removed) or a FORGET, and what remains a LINK.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.enums import LeftAloneReason
from etl.records import Side
from etl.rules.entry import Entry, LeftAlone
from etl.rules.values.canonical import canonical
from etl.rules.variants import Resolution, Variant

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from etl.records import AdvoRow, Channel


@dataclass(frozen=True, slots=True)
class ResolvedEntry:
    """An entry on its way through the per-person rules."""

    entry: Entry
    resolution: Resolution
    left_alone: LeftAlone | None = None
    replan: bool = False
    reason: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it is carried out; what is left alone or held back ends nothing."""
        return self.left_alone is None and self.resolution is not Resolution.LEAVE

    @property
    def final_key(self) -> int | None:
        """Key of the value both sides are to end at, None where the entry ends."""
        entry, variant = self.entry, self.entry.variant
        if variant in (Variant.VAR2, Variant.FORGET, Variant.LEFTOVER):
            return None
        if variant in (Variant.VAR4, Variant.VAR6):
            return entry.item_key if self.resolution is Resolution.REVERT else entry.row_key
        if variant is Variant.VAR3:
            return entry.item_key if self.resolution is Resolution.REVERT else None
        return entry.item_key


def merge_same_value(entries: Sequence[ResolvedEntry]) -> list[ResolvedEntry]:
    """Rewrite the decisions of a person so that no value is created or written twice."""
    groups: dict[int, list[ResolvedEntry]] = defaultdict(list)
    for resolved in entries:
        if resolved.is_active and resolved.final_key is not None:
            groups[resolved.final_key].append(resolved)
    merging = [group for group in groups.values() if len(group) > 1 and not all(map(is_unchanged_pair, group))]
    merging_ids = {id(resolved) for group in merging for resolved in group}
    result = [resolved for resolved in entries if id(resolved) not in merging_ids]
    for group in merging:
        result += merge_group(group)
    return [leave_if_value_elsewhere(resolved, result) for resolved in result]


def merge_group(group: Sequence[ResolvedEntry]) -> list[ResolvedEntry]:
    """What remains of the decisions that end at the same value."""
    key = group[0].final_key
    holders = [resolved for resolved in group if resolved.entry.row_key == key]
    if not holders:
        return list(group)
    winner = min(
        holders,
        key=lambda resolved: (
            not resolved.entry.row_holds_baseline,
            resolved.entry.row.komm_id if resolved.entry.row else 0,
        ),
    )
    owner = next((resolved for resolved in (winner, *group) if resolved.entry.item_key == key), None)
    result = [winner] if owner is winner or owner is None else relink_to_holder(winner, owner)
    for resolved in group:
        if resolved is not winner and resolved is not owner:
            result += [resolved] if is_unchanged_pair(resolved) else unlink_duplicate(resolved)
    return result


def is_unchanged_pair(resolved: ResolvedEntry) -> bool:
    """Whether both sides of a pair are byte for byte as agreed: it stays a pair, whatever a newer grammar says."""
    base, row, item = resolved.entry.base, resolved.entry.row, resolved.entry.item
    if base is None or row is None or item is None or resolved.entry.variant not in (Variant.SAME, Variant.REPAIR):
        return False
    return (item.item.value, row.value) == (base.espo_value, base.advo_value)


def relink_to_holder(winner: ResolvedEntry, owner: ResolvedEntry) -> list[ResolvedEntry]:
    """The winner's row becomes the pair of the owner's item; the winner's own item and the owner's row end."""
    reason = "both sides moved to one value; the row that held it already is the pair"
    assert owner.entry.item is not None  # noqa: S101 -- an owner is defined by its item
    facts = winner.entry.facts
    pair = replace(
        winner.entry,
        variant=Variant.LINK,
        item=owner.entry.item,
        facts=facts._replace(marked=False) if facts is not None else None,
    )
    return [
        ResolvedEntry(pair, Resolution.APPLY, reason=reason),
        *remove_item(winner.entry, reason, ends_baseline=False),
        *release_row(owner.entry, reason),
    ]


def remove_item(entry: Entry, reason: str, *, ends_baseline: bool) -> list[ResolvedEntry]:
    """Advoware gave up the value of this item: remove the item. ``ends_baseline``: its baseline row ends, too."""
    if entry.item is None:
        return []
    without_row = replace(entry, variant=Variant.VAR3, row=None, base=entry.base if ends_baseline else None)
    return [ResolvedEntry(without_row, Resolution.APPLY, reason=reason)]


def release_row(entry: Entry, reason: str) -> list[ResolvedEntry]:
    """EspoCRM gave up the value of this row: an untouched row becomes a slot, an edited one waits for the next plan."""
    if entry.base is None:
        return []
    if entry.row_holds_baseline:
        return [ResolvedEntry(replace(entry, variant=Variant.VAR2, item=None), Resolution.APPLY, reason=reason)]
    has_value = entry.row is not None and bool(entry.row.value)
    without_item = replace(entry, variant=Variant.FORGET, item=None, row=None if has_value else entry.row)
    return [ResolvedEntry(without_item, Resolution.APPLY, reason=reason, replan=has_value)]


def unlink_duplicate(resolved: ResolvedEntry) -> list[ResolvedEntry]:
    """A person gave a row the value of another pair: the row is left alone, its old item is removed."""
    reason = "the person has this value already in another row"
    row = resolved.entry.row
    if row is None:
        return []
    note = LeftAlone(Side.ADVO, LeftAloneReason.DUPLICATE, reason, row.value, row.komm_id)
    row_entry = replace(resolved.entry, variant=Variant.VAR4, base=None, item=None)
    return [
        ResolvedEntry(row_entry, Resolution.LEAVE, left_alone=note),
        *remove_item(resolved.entry, reason, ends_baseline=True),
    ]


def leave_if_value_elsewhere(resolved: ResolvedEntry, entries: Sequence[ResolvedEntry]) -> ResolvedEntry:
    """Hold back an entry that would bring a side a value which it already holds in an entry that is left alone."""
    if not resolved.is_active:
        return resolved
    others = [other.entry for other in entries if other is not resolved and not other.is_active]
    note = (
        duplicate_in_espo_note(resolved, others)
        if brings_value_to_espo(resolved)
        else duplicate_in_advo_note(resolved, others)
    )
    return resolved if note is None else replace(resolved, resolution=Resolution.LEAVE, left_alone=note)


def brings_value_to_espo(resolved: ResolvedEntry) -> bool:
    """Whether Advoware's value is to be written to EspoCRM."""
    return resolved.entry.variant in (Variant.VAR4, Variant.VAR6) and resolved.resolution is Resolution.APPLY


def duplicate_in_espo_note(resolved: ResolvedEntry, others: Iterable[Entry]) -> LeftAlone | None:
    """The note about a row whose value EspoCRM already holds in one of these entries."""
    row = resolved.entry.row
    if row is None or not any(other.item_key == resolved.final_key for other in others):
        return None
    reason = "EspoCRM has this value in an entry that is held back"
    return LeftAlone(Side.ADVO, LeftAloneReason.HELD_BACK, reason, row.value, row.komm_id)


def duplicate_in_advo_note(resolved: ResolvedEntry, others: Iterable[Entry]) -> LeftAlone | None:
    """The note about an item whose value Advoware already holds in the row of one of these entries."""
    item = resolved.entry.item
    brings_value = resolved.entry.variant in (Variant.VAR1, Variant.VAR5, Variant.CLASH)
    if item is None or not brings_value or not any(other.row_key == resolved.final_key for other in others):
        return None
    reason = "Advoware has this value in an entry that is held back"
    return LeftAlone(Side.ESPO, LeftAloneReason.HELD_BACK, reason, item.item.value)


def is_value_in_new_row(
    rows: Iterable[AdvoRow], known_komm_ids: Container[int], channel: Channel, value: str | None, region: str
) -> bool:
    """Whether a row that is not among ``known_komm_ids`` also holds the value we created a row for.

    Then that row is the pair, and ours is the leftover.
    """
    key = canonical(channel, value, region)
    return any(row.komm_id not in known_komm_ids and canonical(channel, row.value, region) == key for row in rows)
