"""Records of the state store as values: an item, a row, an agreed pair, a note; out of frames or straight from SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.records import Channel, Direction, Item, Side
from etl.rules.doubts import Doubt
from etl.rules.entry import Agreed, ItemSeen, Left, RowSeen
from etl.rules.marker import MarkerKind

if TYPE_CHECKING:
    from collections.abc import Mapping


def item_seen(one: Mapping[str, Any]) -> ItemSeen:
    """An item, with its key."""
    item = Item(
        Channel(one["channel"]),
        one["value"],
        one["type"],
        bool(one["is_primary"]),
        bool(one["opt_out"]),
        bool(one["invalid"]),
        one["raw"],
    )
    return ItemSeen(item, one["canonical"] or "", int(one["key"]), int(one["komm_kz"]), *unclear(one))


def row_seen(one: Mapping[str, Any]) -> RowSeen:
    """A row, with its keys; blanks that a person typed over a value are no value (rules.md §0)."""
    return RowSeen(
        int(one["komm_id"]),
        one["row_id"],
        one["value"] if one["canonical"] is not None else "",
        one["canonical"],
        int(one["key"]),
        one["remark"],
        one["own_text"] or "",
        MarkerKind(one["marker_kind"] or "none"),
        int(one["marker_key"]),
        None if one["marker_komm_kz"] is None else int(one["marker_komm_kz"]),
        Channel(one["channel"]) if one["channel"] else None,
        bool(one["online"]),
        int(one["komm_kz"] or 0),
        *unclear(one),
    )


def unclear(one: Mapping[str, Any]) -> tuple[Doubt | None, str | None]:
    """Doubt and readings of an unclear value."""
    return (Doubt(one["doubt"]) if one["doubt"] else None, one["readings"])


def agreed(one: Mapping[str, Any]) -> Agreed:
    """A baseline row, with its keys."""
    return Agreed(
        int(one["komm_id"]),
        one["espo_value"],
        one["espo_canonical"],
        one["espo_type"],
        one["advo_value"],
        one["advo_canonical"],
        int(one["komm_kz"]),
        int(one["espo_key"]),
        int(one["advo_key"]),
        bool(one["unmarked"]),
        one.get("remark"),
        bool(one["pseudo"]),
    )


def left_note(one: Mapping[str, Any]) -> Left:
    """A note of an earlier run."""
    return Left(
        Side(one["side"]),
        one["reason"],
        one["detail"] or "",
        one["value"] or "",
        None if one["komm_id"] is None else int(one["komm_id"]),
        Direction(one["direction"]) if one["direction"] else None,
        Channel(one["channel"]) if one["channel"] else None,
    )
