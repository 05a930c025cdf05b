"""What a run wrote, out of its journal: each row and each item from the first write to the last, by entry.

What ends as it began was mended within the run and leaves no trail. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.items import espo_key
from etl.rules.marker import encode_slot
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BY_OPERATOR = frozenset({Variant.UNDO, Variant.RESTORE})
"""What an operator asked for; putting that back needs no note, as nothing would do it again by itself."""


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
    """The run's writes by entry: trails whose decisions meet belong together."""
    clusters: list[tuple[frozenset[int], list[RowTrail | ItemTrail]]] = []
    trails: list[RowTrail | ItemTrail] = [*row_trails(changes), *item_trails(changes)]
    for trail in trails:
        meeting = [one for one in clusters if one[0] & trail.decisions]
        clusters = [one for one in clusters if one not in meeting]
        joined = trail.decisions.union(*(ids for ids, _ in meeting))
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
