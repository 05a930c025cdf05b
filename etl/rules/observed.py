"""What the store keeps of an item and of a row: raw as seen, and what the joins need, computed once (rules.md §0)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from etl.records import AdvoPerson, Channel, Item, Row
from etl.rules.canonical import canonical
from etl.rules.fingerprint import fingerprint
from etl.rules.kommkz import KommKzTable, field_komm_kz, row_channel
from etl.rules.marker import MarkerKind, decode
from etl.rules.values import classify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.rules.values import Value


def item_record(item: Item, region: str) -> dict[str, Any]:
    """One item as the table ``espo_entries`` keeps it."""
    read = classify(item.channel, item.value, region)
    return {
        "channel": item.channel,
        "value": item.value,
        "canonical": item.value if read is None else read.canonical,
        **unclear_columns(read),
        "type": item.type,
        "is_primary": item.primary,
        "opt_out": item.opt_out,
        "invalid": item.invalid,
        "raw": item.raw,
    }


def row_record(row: Row, fields: Mapping[str, str], region: str, table: KommKzTable) -> dict[str, Any]:
    """One row as the table ``advo_entries`` keeps it; what is not sync-relevant has no channel."""
    remark = decode(row.remark)
    channel = row_channel(row.value, remark.kind, remark.komm_kz, row.komm_kz, region, table)
    compared_as = channel or Channel.PHONE  # text that is not relevant is only ever compared with itself
    read = classify(compared_as, row.value, region)
    return {
        "komm_id": row.komm_id,
        "row_id": row.row_id,
        "value": row.value,
        "canonical": None if read is None else read.canonical,
        **unclear_columns(read),
        "remark": row.remark,
        "own_text": remark.own_text,
        "marker_kind": remark.kind,
        "marker_value": remark.value if remark.kind is MarkerKind.MARKER else None,
        "marker_canonical": canonical(compared_as, remark.value, region) if remark.kind is MarkerKind.MARKER else None,
        "marker_komm_kz": remark.komm_kz,
        "is_slot": remark.kind is MarkerKind.SLOT,
        "komm_kz": row.komm_kz,
        "field_komm_kz": field_komm_kz(row.value, channel, fields, region, table) if channel and row.value else None,
        "channel": channel,
        "online": row.online,
        "mobile": channel is Channel.PHONE and read is not None and read.mobile,
    }


def unclear_columns(read: Value | None) -> dict[str, str | None]:
    """Why nobody can tell what a value says, and what it may say; both null where it is certain or text."""
    return {"doubt": read.doubt if read else None, "readings": read.readings if read else None}


def row_records(person: AdvoPerson, region: str, table: KommKzTable) -> list[dict[str, Any]]:
    """All rows of a person as kept."""
    return [row_record(row, person.fields, region, table) for row in person.rows]


def fingerprint_of(records: Iterable[Mapping[str, Any]]) -> str:
    """The fingerprint of a person's rows: the sync-relevant ones that hold a value (rules.md §0)."""
    return fingerprint(row["row_id"] for row in records if row["channel"] and row["canonical"] is not None)


def steps_digest(steps: Iterable[Mapping[str, Any]]) -> str:
    """One text for what a plan would write; equal only for the same writes in the same order."""
    return hashlib.sha256(
        json.dumps(list(steps), sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()[:32]
