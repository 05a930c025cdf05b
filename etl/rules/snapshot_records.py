"""Records of the state store, from frames or SQL, as values: an item, a row, an agreed pair, a note; and back.

The store keeps an item or a row raw, as it was read, and with it what the joins need, computed once (rules §0). The
fingerprint of a person's rows (rules §0) is EspoCRM's ``kommunikationHash``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from etl.enums import LeftAloneReason
from etl.records import AdvoRecord, AdvoRow, Channel, Direction, EspoItem, Side
from etl.rules.entry import AdvoEntry, BaselinePair, EspoEntry, LeftAlone
from etl.rules.marker import MarkerKind, decode
from etl.rules.values.canonical import canonical
from etl.rules.values.classify import classify
from etl.rules.values.doubts import Doubt
from etl.rules.values.kommkz import KommKzTable, field_komm_kz, row_channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.rules.values.classify import Value

def espo_entry_from_record(record: Mapping[str, Any]) -> EspoEntry:
    """An item, with its key."""
    item = EspoItem(
        Channel(record["channel"]),
        record["value"],
        record["type"],
        bool(record["is_primary"]),
        bool(record["opt_out"]),
        bool(record["invalid"]),
        record["raw"],
    )
    return EspoEntry(
        item, record["canonical"] or "", record["key"], int(record["komm_kz"]), *doubt_and_readings(record)
    )


def advo_entry_from_record(record: Mapping[str, Any]) -> AdvoEntry:
    """A row, with its keys; blanks that a person typed over a value count as no value (rules §0)."""
    return AdvoEntry(
        int(record["komm_id"]),
        record["row_id"],
        record["value"] if record["canonical"] is not None else "",
        record["canonical"],
        record["key"],
        record["remark"],
        record["own_text"] or "",
        MarkerKind(record["marker_kind"] or "none"),
        record["marker_key"],
        None if record["marker_komm_kz"] is None else int(record["marker_komm_kz"]),
        Channel(record["channel"]) if record["channel"] else None,
        bool(record["online"]),
        int(record["komm_kz"] or 0),
        *doubt_and_readings(record),
    )


def doubt_and_readings(record: Mapping[str, Any]) -> tuple[Doubt | None, str | None]:
    """Doubt and readings of an unclear value."""
    return (Doubt(record["doubt"]) if record["doubt"] else None, record["readings"])


def baseline_pair_from_record(record: Mapping[str, Any]) -> BaselinePair:
    """A baseline row, with its keys."""
    return BaselinePair(
        int(record["komm_id"]),
        record["espo_value"],
        record["espo_canonical"],
        record["espo_type"],
        record["advo_value"],
        record["advo_canonical"],
        int(record["komm_kz"]),
        record["espo_key"],
        record["advo_key"],
        bool(record["unmarked"]),
        record.get("remark"),
        bool(record["pseudo"]),
    )


def note_from_record(record: Mapping[str, Any]) -> LeftAlone:
    """A note of an earlier run."""
    return LeftAlone(
        Side(record["side"]),
        LeftAloneReason(record["reason"]),
        record["detail"] or "",
        record["value"] or "",
        None if record["komm_id"] is None else int(record["komm_id"]),
        Direction(record["direction"]) if record["direction"] else None,
        Channel(record["channel"]) if record["channel"] else None,
    )


def item_record(item: EspoItem, region: str) -> dict[str, Any]:
    """One item as the table ``espo_entries`` keeps it."""
    parsed = classify(item.channel, item.value, region)
    return {
        "channel": item.channel,
        "value": item.value,
        "canonical": item.value if parsed is None else parsed.canonical,
        **unclear_columns(parsed),
        "type": item.type,
        "is_primary": item.primary,
        "opt_out": item.opt_out,
        "invalid": item.invalid,
        "raw": item.raw,
    }


def row_record(row: AdvoRow, fields: Mapping[str, str], region: str, table: KommKzTable) -> dict[str, Any]:
    """One row as the table ``advo_entries`` keeps it; what is not sync-relevant has no channel."""
    remark = decode(row.remark)
    channel = row_channel(row.value, remark.kind, remark.komm_kz, row.komm_kz, region, table)
    compared_as = channel or Channel.PHONE  # text that is not sync-relevant is only ever compared with itself
    parsed = classify(compared_as, row.value, region)
    return {
        "komm_id": row.komm_id,
        "row_id": row.row_id,
        "value": row.value,
        "canonical": None if parsed is None else parsed.canonical,
        **unclear_columns(parsed),
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
        "mobile": channel is Channel.PHONE and parsed is not None and parsed.mobile,
    }


def unclear_columns(parsed: Value | None) -> dict[str, str | None]:
    """Why a value is unclear, and its possible readings; both null for a certain value and for text."""
    return {"doubt": parsed.doubt if parsed else None, "readings": parsed.readings if parsed else None}


def row_records(person: AdvoRecord, region: str, table: KommKzTable) -> list[dict[str, Any]]:
    """All rows of a person as the table ``advo_entries`` keeps them."""
    return [row_record(row, person.fields, region, table) for row in person.rows]


def fingerprint_of_rows(records: Iterable[Mapping[str, Any]]) -> str:
    """The fingerprint of a person's rows: the sync-relevant ones that hold a value (rules §0)."""
    return fingerprint(row["row_id"] for row in records if row["channel"] and row["canonical"] is not None)


def steps_digest(steps: Iterable[Mapping[str, Any]]) -> str:
    """A digest of what a plan would write; equal only for the same writes in the same order."""
    return hashlib.sha256(
        json.dumps(list(steps), sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()[:32]


def entries_digest(items: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]) -> str:
    """One text for the values both sides show of a person, whatever their order, remarks and marks."""
    shown = [
        *sorted([item["channel"], item["value"], item["type"] or ""] for item in items),
        *sorted([str(row["komm_id"]), row["value"] or ""] for row in rows),
    ]
    return steps_digest([{"shown": shown}])


_HEX_DIGITS = 16


def fingerprint(row_ids: Iterable[str]) -> str:
    """Return the first 16 hex digits of MD5 over the sorted rowIds, joined without separator.

    ``row_ids``: of the person's sync-relevant rows without slots and empty rows, in any order. A rowId changes with
    every write to its row (Advoware §2), so an equal fingerprint means untouched rows.
    """
    joined = "".join(sorted(row_ids))
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()[:_HEX_DIGITS]
