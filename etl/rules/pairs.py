"""One value, one pair (rules.md §3): where two decisions end at one value, one row and one item remain of them.

The row that already holds the value is the pair; of several the one that was its pair before, else the lowest komm_id.
Nothing is created or written a second time, and the other pair ends. The rules are written as a rewriting of the
decided entries: what ends is a VAR2 (its row becomes a slot), a VAR3 (its item is removed) or a FORGET, and what
remains is a LINK.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.records import Side
from etl.rules.canonical import canonical
from etl.rules.conflicts import Verdict
from etl.rules.entry import NONE, Entry, Left
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from etl.records import Channel, Row


@dataclass(frozen=True, slots=True)
class Decided:
    """An entry on its way through the per-person rules."""

    entry: Entry
    verdict: Verdict
    left: Left | None = None
    again: bool = False
    because: str | None = None

    @property
    def active(self) -> bool:
        """Whether it is carried out; what is left alone or held back ends nothing."""
        return self.left is None and self.verdict is not Verdict.HOLD

    @property
    def final_key(self) -> int:
        """Key of the value both sides are to end at, ``NONE`` where the entry ends."""
        entry, variant = self.entry, self.entry.variant
        if variant in (Variant.VAR2, Variant.FORGET, Variant.LEFTOVER):
            return NONE
        if variant in (Variant.VAR4, Variant.VAR6):
            return entry.item_key if self.verdict is Verdict.REVERT else entry.row_key
        if variant is Variant.VAR3:
            return entry.item_key if self.verdict is Verdict.REVERT else NONE
        return entry.item_key


def one_pair_a_value(decided: Sequence[Decided]) -> list[Decided]:
    """Rewrite the decisions of a person so that no value is made or written twice."""
    groups: dict[int, list[Decided]] = defaultdict(list)
    for one in decided:
        if one.active and one.final_key != NONE:
            groups[one.final_key].append(one)
    meeting = [group for group in groups.values() if len(group) > 1 and not all(map(stands_as_agreed, group))]
    met = {id(one) for group in meeting for one in group}
    result = [one for one in decided if id(one) not in met]
    for group in meeting:
        result += merged(group)
    return [held_if_twice(one, result) for one in result]


def merged(group: Sequence[Decided]) -> list[Decided]:
    """What remains of the decisions that end at one value."""
    key = group[0].final_key
    holders = [one for one in group if one.entry.row_key == key]
    if not holders:
        return list(group)
    winner = min(holders, key=lambda one: (not one.entry.was_pair, one.entry.row.komm_id if one.entry.row else 0))
    owner = next((one for one in (winner, *group) if one.entry.item_key == key), None)
    result = [winner] if owner is winner or owner is None else taken_over(winner, owner)
    for one in group:
        if one is not winner and one is not owner:
            result += [one] if stands_as_agreed(one) else ended(one)
    return result


def stands_as_agreed(one: Decided) -> bool:
    """Whether both sides of a pair are byte for byte as agreed: it stays one, whatever a newer grammar says of it."""
    base, row, item = one.entry.base, one.entry.row, one.entry.item
    if base is None or row is None or item is None or one.entry.variant not in (Variant.SAME, Variant.REPAIR):
        return False
    return (item.item.value, row.value) == (base.espo_value, base.advo_value)


def taken_over(winner: Decided, owner: Decided) -> list[Decided]:
    """The winner's row becomes the pair of the owner's item; the winner's own item and the owner's row end."""
    because = "both sides moved to one value; the row that held it already is the pair"
    assert owner.entry.item is not None  # noqa: S101 -- an owner is defined by its item
    facts = winner.entry.facts
    pair = replace(
        winner.entry,
        variant=Variant.LINK,
        item=owner.entry.item,
        facts=facts._replace(marked=False) if facts is not None else None,
    )
    return [
        Decided(pair, Verdict.GO, because=because),
        *item_removed(winner.entry, because, drops=False),
        *row_ended(owner.entry, because),
    ]


def item_removed(entry: Entry, because: str, *, drops: bool) -> list[Decided]:
    """Advoware left this item's value: the item goes. ``drops``: its baseline row ends with it."""
    if entry.item is None:
        return []
    gone = replace(entry, variant=Variant.VAR3, row=None, base=entry.base if drops else None)
    return [Decided(gone, Verdict.GO, because=because)]


def row_ended(entry: Entry, because: str) -> list[Decided]:
    """EspoCRM left this row's value: an untouched row becomes a slot, one a person typed into waits for a plan."""
    if entry.base is None:
        return []
    if entry.was_pair:
        return [Decided(replace(entry, variant=Variant.VAR2, item=None), Verdict.GO, because=because)]
    typed = entry.row is not None and bool(entry.row.value)
    forgotten = replace(entry, variant=Variant.FORGET, item=None, row=None if typed else entry.row)
    return [Decided(forgotten, Verdict.GO, because=because, again=typed)]


def ended(one: Decided) -> list[Decided]:
    """A row a person gave a value that is another pair's: the row stays, its old item goes."""
    because = "the person has this value already in another row"
    row = one.entry.row
    if row is None:
        return []
    note = Left(Side.ADVO, "duplicate", because, row.value, row.komm_id)
    alone = replace(one.entry, variant=Variant.VAR4, base=None, item=None)
    return [Decided(alone, Verdict.HOLD, left=note), *item_removed(one.entry, because, drops=True)]


def held_if_twice(one: Decided, everything: Sequence[Decided]) -> Decided:
    """What a side holds in an entry that is left alone is not brought to it again; what would bring it waits."""
    if not one.active:
        return one
    others = [other.entry for other in everything if other is not one and not other.active]
    note = twice_in_espo(one, others) if brings_to_espo(one) else twice_in_advoware(one, others)
    return one if note is None else replace(one, verdict=Verdict.HOLD, left=note)


def brings_to_espo(one: Decided) -> bool:
    """Whether EspoCRM is to be given Advoware's value."""
    return one.entry.variant in (Variant.VAR4, Variant.VAR6) and one.verdict is Verdict.GO


def twice_in_espo(one: Decided, others: Iterable[Entry]) -> Left | None:
    """The note about a row whose value EspoCRM has in one of these entries."""
    row = one.entry.row
    if row is None or not any(other.item_key == one.final_key for other in others):
        return None
    why = "EspoCRM has this value in an entry that is held back"
    return Left(Side.ADVO, "held_back", why, row.value, row.komm_id)


def twice_in_advoware(one: Decided, others: Iterable[Entry]) -> Left | None:
    """The note about an item that Advoware is to be given and has in the row of one of these entries."""
    item = one.entry.item
    brings = one.entry.variant in (Variant.VAR1, Variant.VAR5, Variant.CLASH)
    if item is None or not brings or not any(other.row_key == one.final_key for other in others):
        return None
    why = "Advoware has this value in an entry that is held back"
    return Left(Side.ESPO, "held_back", why, item.item.value)


def typed_meanwhile(
    rows: Iterable[Row], known: Container[int], channel: Channel, value: str | None, region: str
) -> bool:
    """Whether a row not ``known`` when we made one for this value holds it too: it is the pair, ours the leftover."""
    key = canonical(channel, value, region)
    return any(row.komm_id not in known and canonical(channel, row.value, region) == key for row in rows)
