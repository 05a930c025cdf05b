"""The latest snapshot of both systems: saved person by person, loaded as frames for many.

What EspoCRM said of a value when it was last seen: its rows outlive their holders (EspoCRM fact B6).

No list finds such a row, and the next PUT overwrites it. So the state store remembers an opt-out, and that a value is
invalid, beyond the last record that had it.
"""

from __future__ import annotations

from itertools import count, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etl import frames
from etl.rules.snapshot_records import entries_digest
from etl.store.insert import insert_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from etl.store.database import Store

ITEM_COLUMNS: Final = ("value", "canonical", "doubt", "readings", "type", "is_primary", "opt_out", "invalid", "raw")

ROW_COLUMNS: Final = (
    "komm_id",
    "row_id",
    "value",
    "canonical",
    "doubt",
    "readings",
    "remark",
    "own_text",
    "marker_kind",
    "marker_value",
    "marker_canonical",
    "marker_komm_kz",
    "is_slot",
    "komm_kz",
    "field_komm_kz",
    "channel",
    "online",
    "mobile",
)

ALL_PERSONS: Final = "select entity_id, betnr from persons"

CHOSEN_PERSONS: Final = f"{ALL_PERSONS} where entity_id in (select value from json_each(:entity_ids))"


BASELINE_ENDED: Final = """
    (
        persons.synced_betnr is not persons.betnr
        and exists (
            select 1
            from endings
            where endings.entity_id = persons.entity_id
                and endings.betnr = persons.betnr
                and endings.ended_at is not null
        )
    )
"""
"""Whether what was agreed with the person's present betnr ended, and nothing was agreed with it since."""


class FrameSource(NamedTuple):
    """Where a frame comes from: its schema, its table, how that joins the chosen persons, and its order."""

    schema: frames.Schema
    table: str
    joined_on: str
    order: str

    def query(self, chosen: str) -> str:
        """Cells in the order of the schema; what the table lacks is the person's, or asked of another table."""
        substitutes = {
            "persons": {"ended": BASELINE_ENDED},
            "espo_entries": {"betnr": "chosen.betnr"},
            "advo_entries": {"entity_id": "chosen.entity_id"},
        }.get(self.table, {})
        columns = ", ".join(substitutes.get(name, f"{self.table}.{name}") for name in self.schema)
        return f"""
            with chosen as ({chosen})
            select {columns}
            from chosen
            join {self.table} using ({self.joined_on})
            order by {self.order}
        """


FRAME_SOURCES: Final = {
    "persons": FrameSource(frames.PERSONS, "persons", "entity_id", "entity_id"),
    "items": FrameSource(frames.ITEMS, "espo_entries", "entity_id", "entity_id, channel, position"),
    "rows": FrameSource(frames.ROWS, "advo_entries", "betnr", "entity_id, komm_id"),
    "baseline": FrameSource(frames.BASELINE, "baseline", "entity_id", "entity_id, baseline.betnr, komm_id"),
    "left_alone": FrameSource(frames.LEFT_ALONE, "left_alone", "entity_id", "id"),
}


def save_items(
    store: Store, entity_id: str, items: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Replace the person's items by these, in EspoCRM's order: ``channel`` and ``ITEM_COLUMNS`` of each.

    ``position`` is counted here, for each channel from 0. ``stored``: what ``load_items`` returned, where it was asked.
    """
    positions = {"phone": count(), "mail": count()}
    with store.ensure_transaction():
        if stored is None or any(item["opt_out"] or item["invalid"] for item in stored):
            remember_flags(store, entity_id)
        if stored is None or stored:
            store.execute("delete from espo_entries where entity_id = :entity_id", {"entity_id": entity_id})
        insert_records(
            store,
            "espo_entries",
            ("entity_id", "channel", "position", *ITEM_COLUMNS),
            (
                {column: item[column] for column in ITEM_COLUMNS}
                | {
                    "entity_id": entity_id,
                    "channel": item["channel"],
                    "position": next(positions[item["channel"]]),
                }
                for item in items
            ),
        )
        delete_flags_of_present(store, entity_id)


def save_rows(
    store: Store, betnr: int, rows: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Replace the Beteiligter's rows by these: ``ROW_COLUMNS`` of each.

    ``stored``: what ``load_rows`` returned, where it was asked.
    """
    with store.ensure_transaction():
        if stored is None or stored:
            store.execute("delete from advo_entries where betnr = :betnr", {"betnr": betnr})
        insert_records(store, "advo_entries", ("betnr", *ROW_COLUMNS), ({"betnr": betnr, **row} for row in rows))


def load_frames(store: Store, entity_ids: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """Return the frames persons, items, rows, baseline and left_alone of these persons; None means of everybody.

    Schemas and keys: ``etl/frames.py``. Rows are found by the person's present betnr; the baseline comes whole, also
    what was agreed with an earlier betnr. All five are read in one moment.
    """
    chosen = ALL_PERSONS if entity_ids is None else CHOSEN_PERSONS
    params = {} if entity_ids is None else {"entity_ids": list(entity_ids)}
    with store.read_transaction():
        return {
            name: build_frame(store.tuples(source.query(chosen), params), source.schema)
            for name, source in FRAME_SOURCES.items()
        }


def build_frame(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows, cells in the schema's order, as a frame of this schema.

    Each column is built in its own dtype: no whole number passes through a float, and an empty frame is typed too.
    """
    import pandas as pd  # noqa: PLC0415  commands that just look stay quick
    import pyarrow as pa  # noqa: PLC0415

    arrow_types = {frames.TEXT: pa.large_string(), frames.INTEGER: pa.int64(), frames.BOOLEAN: pa.int8()}
    pandas_types = {
        pa.large_string(): pd.StringDtype("pyarrow"),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    columns = zip(*rows, strict=True) if rows else repeat((), len(schema))
    arrays = [pa.array(cells, arrow_types[dtype]) for cells, dtype in zip(columns, schema.values(), strict=True)]
    typed_arrays = [array.cast(pa.bool_()) if array.type == pa.int8() else array for array in arrays]
    result: pd.DataFrame = pa.Table.from_arrays(typed_arrays, list(schema)).to_pandas(types_mapper=pandas_types.get)
    return result


def digest_of_entries(store: Store, entity_id: str, betnr: int | None) -> str:
    """Return one text for the values both sides showed of a person at the last look."""
    return entries_digest(load_items(store, entity_id), load_rows(store, betnr) if betnr is not None else [])


def load_items(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return the person's items as the last look stored them, columns as ``save_items`` takes them."""
    return store.rows(
        f"""
        select channel, {", ".join(ITEM_COLUMNS)}
        from espo_entries
        where entity_id = :entity_id
        order by channel desc, position
        """,
        {"entity_id": entity_id},
    )


def load_rows(store: Store, betnr: int) -> list[dict[str, Any]]:
    """Return the Beteiligter's rows as the last look stored them, columns as ``save_rows`` takes them, by komm_id."""
    return store.rows(
        f"""
        select {", ".join(ROW_COLUMNS)}
        from advo_entries
        where betnr = :betnr
        order by komm_id
        """,
        {"betnr": betnr},
    )


def remember_flags(store: Store, entity_id: str) -> None:
    """Keep what the last look showed opted out or invalid, before another look takes its place."""
    store.execute(
        """
        insert into former_entries (entity_id, channel, canonical, value, opt_out, invalid, seen_at)
        select
            espo_entries.entity_id,
            espo_entries.channel,
            espo_entries.canonical,
            espo_entries.value,
            espo_entries.opt_out,
            espo_entries.invalid,
            persons.espo_seen_at
        from espo_entries
        left join persons using (entity_id)
        where espo_entries.entity_id = :entity_id
            and (espo_entries.opt_out or espo_entries.invalid)
        on conflict (entity_id, channel, canonical) do update
        set
            value = excluded.value,
            opt_out = excluded.opt_out,
            invalid = excluded.invalid,
            seen_at = excluded.seen_at
        """,
        {"entity_id": entity_id},
    )


def load_former_flags(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return the flags kept for values a record no longer has, the latest last."""
    return store.rows(
        """
        select *
        from former_entries
        where entity_id = :entity_id
        order by seen_at, opt_out, invalid
        """,
        {"entity_id": entity_id},
    )


def replace_former_flags(store: Store, entity_id: str, flags: Sequence[Mapping[str, Any]]) -> None:
    """Keep these of a record instead; of two that are one value now, the last."""
    columns = ("entity_id", "channel", "canonical", "value", "opt_out", "invalid", "seen_at")
    latest = {(entry["channel"], entry["canonical"]): entry for entry in flags}
    store.execute("delete from former_entries where entity_id = :entity_id", {"entity_id": entity_id})
    insert_records(store, "former_entries", columns, latest.values())
    delete_flags_of_present(store, entity_id)


def delete_flags_of_present(store: Store, entity_id: str) -> None:
    """Delete the flags of values the record has (again): its entries show them."""
    store.execute(
        """
        delete from former_entries
        where entity_id = :entity_id
            and exists (
                select 1
                from espo_entries
                where espo_entries.entity_id = former_entries.entity_id
                    and espo_entries.channel = former_entries.channel
                    and espo_entries.canonical = former_entries.canonical
            )
        """,
        {"entity_id": entity_id},
    )


def load_last_seen(store: Store, canonicals: Iterable[str]) -> list[dict[str, Any]]:
    """Return what was last seen of these values: ``channel``, ``canonical``, ``type``, ``opt_out``, ``invalid``.

    On whatever record, also one that is gone. In EspoCRM a value has one type and one opt-out for everybody; where
    our looks differ, the latest counts. ``type`` is null of what no look shows any more.
    """
    rows = store.rows(
        """
        select
            espo_entries.channel,
            espo_entries.canonical,
            espo_entries.type,
            espo_entries.opt_out,
            espo_entries.invalid,
            persons.espo_seen_at as seen_at
        from json_each(:canonicals) as wanted
        join espo_entries on espo_entries.canonical = wanted.value
        join persons using (entity_id)
        union all
        select
            former_entries.channel,
            former_entries.canonical,
            null,
            former_entries.opt_out,
            former_entries.invalid,
            former_entries.seen_at
        from json_each(:canonicals) as wanted
        join former_entries on former_entries.canonical = wanted.value
        order by seen_at, opt_out, invalid
        """,
        {"canonicals": list(canonicals)},
    )
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["channel"], row["canonical"])
        kind = row["type"] or latest.get(key, row)["type"]
        latest[key] = {name: value for name, value in row.items() if name != "seen_at"} | {"type": kind}
    return list(latest.values())
