"""What a run wrote, out of its journal: each row and each item from the first write to the last, by entry.

What ends as it began was mended within the run and leaves no trail. And whether what was left still stands, or somebody
edited it since. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.as_it_stands import found
from etl.rules.items import MAX_ITEMS, espo_key
from etl.rules.marker import encode_slot, same_text
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.rules.as_it_stands import Standing
    from etl.rules.entry import RowSeen

BY_OPERATOR = frozenset({Variant.UNDO, Variant.RESTORE})
"""What an operator asked for; putting that back needs no note, as nothing would do it again by itself."""

AS_BEFORE, AS_LEFT = "as before", "as the run left it"


@dataclass(frozen=True, slots=True)
class RowTrail:
    """What a run did to one row: value and remark before its first write (None: it made the row) and after its last."""

    komm_id: int
    komm_kz: int
    channel: Channel
    was: tuple[str, str] | None
    left: tuple[str, str]
    decisions: frozenset[int]

    @property
    def target(self) -> tuple[str, str]:
        """What the row is put back to; one the run made becomes a slot."""
        return self.was if self.was is not None else ("", encode_slot(self.komm_kz, ""))


@dataclass(frozen=True, slots=True)
class ItemTrail:
    """What a run did to one item: as it was (None: added) and as it was left (None: removed)."""

    channel: Channel
    was: Item | None
    left: Item | None
    decisions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Group:
    """Everything that was written by decisions that hang together: one entry."""

    rows: tuple[RowTrail, ...]
    items: tuple[ItemTrail, ...]
    decisions: tuple[Mapping[str, Any], ...]

    @property
    def reason(self) -> str:
        """Why the run wrote it."""
        return "; ".join(dict.fromkeys(one["reason"] or one["variant"] for one in self.decisions)) or "mending"

    @property
    def by_operator(self) -> bool:
        """Whether an operator asked for it."""
        return all(one["variant"] in BY_OPERATOR for one in self.decisions)


def groups(changes: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]]) -> list[Group]:
    """The run's writes by entry: trails whose decisions meet, or speak of one row, belong together.

    A person that was planned again within the run has several decisions about an entry, which need not share a write.
    """
    of_row: dict[int | None, set[int]] = {}
    for one in decisions:
        of_row.setdefault(one["komm_id"], set()).add(one["id"])
    same_row = {number: ids for komm_id, ids in of_row.items() if komm_id is not None for number in ids}
    clusters: list[tuple[frozenset[int], list[RowTrail | ItemTrail]]] = []
    trails: list[RowTrail | ItemTrail] = [*row_trails(changes), *item_trails(changes)]
    for trail in trails:
        own = trail.decisions.union(*(same_row.get(number, ()) for number in trail.decisions))
        meeting = [one for one in clusters if one[0] & own]
        clusters = [one for one in clusters if one not in meeting]
        joined = own.union(*(ids for ids, _ in meeting))
        clusters.append((joined, [*(one for _, members in meeting for one in members), trail]))
    return [
        Group(
            tuple(one for one in members if isinstance(one, RowTrail)),
            tuple(one for one in members if isinstance(one, ItemTrail)),
            tuple(one for one in decisions if one["id"] in ids),
        )
        for ids, members in clusters
    ]


def row_trails(changes: Sequence[Mapping[str, Any]]) -> list[RowTrail]:
    """Each row from the first write to the last; what ends as it began was mended within the run."""
    by_row: dict[int, list[Mapping[str, Any]]] = {}
    for change in changes:
        if change["side"] == Side.ADVO and change["komm_id"] is not None:
            by_row.setdefault(change["komm_id"], []).append(change)
    trails = [row_trail(komm_id, own) for komm_id, own in by_row.items()]
    return [trail for trail in trails if trail.target != trail.left]


def row_trail(komm_id: int, own: Sequence[Mapping[str, Any]]) -> RowTrail:
    """One row's way through a run."""
    first, last = own[0], own[-1]
    was = None if first["action"] == "create" else (first["old_value"] or "", first["old_remark"] or "")
    return RowTrail(
        komm_id,
        first["komm_kz"] or 1,
        Channel(first["channel"]),
        was,
        (last["new_value"] or "", last["new_remark"] or ""),
        decisions_of(own),
    )


def item_trails(changes: Sequence[Mapping[str, Any]]) -> list[ItemTrail]:
    """Each item from the first write to the last. Items have no ids: a write goes on where an earlier one ended."""
    trails: list[ItemTrail] = []
    for change in changes:
        if change["side"] != Side.ESPO:
            continue
        was = item_of(change["before"]) if change["before"] else None
        item = item_of(change["after"]) if change["new_value"] is not None else None
        earlier = next((one for one in trails if was and one.left and key_of(one.left) == key_of(was)), None)
        if earlier is None:
            trails.append(ItemTrail(Channel(change["channel"]), was, item, decisions_of([change])))
        else:
            ids = earlier.decisions | decisions_of([change])
            trails[trails.index(earlier)] = replace(earlier, left=item, decisions=ids)
    return [one for one in trails if one.was != one.left]


def decisions_of(changes: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """The decisions that asked for these writes; a mending write has none of its own."""
    return frozenset(one["decision_id"] for one in changes if one["decision_id"] is not None)


def item_of(image: Mapping[str, Any]) -> Item:
    """An item out of the journal."""
    return Item(**{**image, "channel": Channel(image["channel"])})


def key_of(item: Item) -> tuple[Channel, str]:
    """EspoCRM's own key."""
    return item.channel, espo_key(item.channel, item.value)


def edited_rows(group: Group, standing: Standing) -> list[str]:
    """Name the rows that are neither as the run left them nor as they were before."""
    return [
        f"row {trail.komm_id} in Advoware ({trail.left[0] or trail.target[0] or 'empty'}) was changed since"
        for trail in group.rows
        if state_of_row(trail, standing.rows.get(trail.komm_id)) is None
    ]


def state_of_row(trail: RowTrail, row: RowSeen | None) -> str | None:
    """How a row stands; None: somebody edited it since."""
    if row is None:
        return AS_BEFORE if trail.was is None else None
    if shows(row, trail.target) or (trail.was is None and not row.value):
        return AS_BEFORE
    return AS_LEFT if shows(row, trail.left) else None


def shows(row: RowSeen, written: tuple[str, str]) -> bool:
    """Whether a row shows this value and remark, as Advoware gives them back."""
    value, remark = written
    return same_text(row.value, value) and same_text(row.remark, remark)


def edited_items(group: Group, standing: Standing) -> list[str]:
    """Name the items that are neither as the run left them nor as they were before, or find no place any more."""
    told = []
    for trail in group.items:
        shown = trail.left or trail.was
        value = shown.value if shown is not None else ""
        state = state_of_item(trail, standing)
        if state is None:
            told.append(f"{value} in EspoCRM was changed since")
        elif state == AS_LEFT and trail.left is None and full(trail.channel, standing):
            told.append(f"{value} finds no place in EspoCRM, which holds {MAX_ITEMS} of a kind")
    return told


def state_of_item(trail: ItemTrail, standing: Standing) -> str | None:
    """How an item stands; None: somebody edited it since."""
    before = None if trail.was is None else found(trail.was, standing)
    after = None if trail.left is None else found(trail.left, standing)
    if trail.left is None:
        return AS_BEFORE if before is not None else AS_LEFT
    if after is None:
        return AS_BEFORE if trail.was is None or before is not None else None
    apart = trail.was is not None and before is not None and before is not after
    return AS_LEFT if alike(after, trail.left) and not apart else None


def alike(one: Item, other: Item) -> bool:
    """Whether two items say the same of a value; who is primary is settled by EspoCRM when others come and go."""
    return (one.type, one.opt_out, one.invalid) == (other.type, other.opt_out, other.invalid)


def full(channel: Channel, standing: Standing) -> bool:
    """Whether EspoCRM takes no further item of this channel."""
    return sum(one.channel is channel for one in standing.items) >= MAX_ITEMS
