"""A person as it stands, and whether what a run wrote still stands in it, or somebody edited it since. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.rules.canonical import canonical
from etl.rules.items import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.records import Channel, Item
    from etl.rules.entry import Agreed, Left, RowSeen
    from etl.rules.trails import Group, ItemTrail, RowTrail

AS_BEFORE, AS_LEFT = "as before", "as the run left it"


@dataclass(frozen=True, slots=True)
class Standing:
    """A person as it stands: both sides as just read, the agreed pairs by komm_id, and what is noted."""

    items: tuple[Item, ...]
    rows: Mapping[int, RowSeen]
    baseline: Mapping[int, Agreed]
    left: tuple[Left, ...]
    region: str


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
    shown = (row.value, row.remark or "")
    if shown == trail.target or (trail.was is None and not row.value):
        return AS_BEFORE
    return AS_LEFT if shown == trail.left else None


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


def found(item: Item, standing: Standing) -> Item | None:
    """The item EspoCRM holds for this value now."""
    wanted = canonical(item.channel, item.value, standing.region)
    for one in standing.items:
        if one.channel is item.channel and canonical(one.channel, one.value, standing.region) == wanted:
            return one
    return None


def alike(one: Item, other: Item) -> bool:
    """Whether two items say the same of a value; who is primary is settled by EspoCRM when others come and go."""
    return (one.type, one.opt_out, one.invalid) == (other.type, other.opt_out, other.invalid)


def full(channel: Channel, standing: Standing) -> bool:
    """Whether EspoCRM takes no further item of this channel."""
    return sum(one.channel is channel for one in standing.items) >= MAX_ITEMS
