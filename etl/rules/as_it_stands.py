"""A person as it stands, for what an operator puts back and what is mended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.rules.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.records import Item
    from etl.rules.entry import Agreed, Left, RowSeen


@dataclass(frozen=True, slots=True)
class Standing:
    """A person as it stands: both sides as just read, the agreed pairs by komm_id, and what is noted."""

    items: tuple[Item, ...]
    rows: Mapping[int, RowSeen]
    baseline: Mapping[int, Agreed]
    left: tuple[Left, ...]
    region: str


def found(item: Item, standing: Standing) -> Item | None:
    """The item EspoCRM holds for this value now."""
    wanted = canonical(item.channel, item.value, standing.region)
    for one in standing.items:
        if one.channel is item.channel and canonical(one.channel, one.value, standing.region) == wanted:
            return one
    return None
