"""What the two systems showed at the last look: saved person by person, loaded as frames for many."""

from __future__ import annotations

from itertools import count, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etl import frames
from etl.store.last_seen import forget_marks_of_held, remember_marks
from etl.store.writing import insert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

EVERYBODY: Final = "select entity_id, betnr from persons"

CHOSEN: Final = f"{EVERYBODY} where entity_id in (select value from json_each(:entity_ids))"


ENDED: Final = """
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


class Loaded(NamedTuple):
    """Where a frame comes from: its schema, its table, how that joins the chosen persons, and its order."""

    schema: frames.Schema
    table: str
    joined_on: str
    order: str

    def query(self, chosen: str) -> str:
        """Cells in the order of the schema; what the table lacks is the person's, or asked of another table."""
        lacking = {
            "persons": {"ended": ENDED},
            "espo_entries": {"betnr": "chosen.betnr"},
            "advo_entries": {"entity_id": "chosen.entity_id"},
        }.get(self.table, {})
        columns = ", ".join(lacking.get(name, f"{self.table}.{name}") for name in self.schema)
        return f"""
            with chosen as ({chosen})
            select {columns}
            from chosen
            join {self.table} using ({self.joined_on})
            order by {self.order}
        """


LOADED: Final = {
    "persons": Loaded(frames.PERSONS, "persons", "entity_id", "entity_id"),
    "items": Loaded(frames.ITEMS, "espo_entries", "entity_id", "entity_id, channel, position"),
    "rows": Loaded(frames.ROWS, "advo_entries", "betnr", "entity_id, komm_id"),
    "baseline": Loaded(frames.BASELINE, "baseline", "entity_id", "entity_id, baseline.betnr, komm_id"),
    "left_alone": Loaded(frames.LEFT_ALONE, "left_alone", "entity_id", "id"),
}


def save_items(store: Store, entity_id: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Replace the person's items by these, in EspoCRM's order: ``channel`` and ``ITEM_COLUMNS`` of each.

    ``position`` is counted here, for each channel from 0.
    """
    positions = {"phone": count(), "mail": count()}
    with store.transaction():
        remember_marks(store, entity_id)
        store.execute("delete from espo_entries where entity_id = :entity_id", {"entity_id": entity_id})
        store.execute_many(
            insert("espo_entries", ("entity_id", "channel", "position", *ITEM_COLUMNS)),
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
        forget_marks_of_held(store, entity_id)


def save_rows(store: Store, betnr: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the Beteiligter's rows by these: ``ROW_COLUMNS`` of each."""
    with store.transaction():
        store.execute("delete from advo_entries where betnr = :betnr", {"betnr": betnr})
        store.execute_many(
            insert("advo_entries", ("betnr", *ROW_COLUMNS)),
            ({column: row[column] for column in ROW_COLUMNS} | {"betnr": betnr} for row in rows),
        )


def load_frames(store: Store, entity_ids: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """Return the frames persons, items, rows, baseline and left_alone of these persons; None means of everybody.

    Schemas and keys: ``etl/frames.py``. Rows are found by the person's present betnr; the baseline comes whole, also
    what was agreed with an earlier betnr. All five are read in one moment.
    """
    chosen = EVERYBODY if entity_ids is None else CHOSEN
    params = {} if entity_ids is None else {"entity_ids": list(entity_ids)}
    with store.one_moment():
        return {
            name: frame(store.tuples(one.query(chosen), params), one.schema) for name, one in LOADED.items()
        }


def frame(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows, cells in the schema's order, as a frame of this schema.

    Each column is built in its own dtype: no whole number passes through a float, and an empty frame is typed too.
    """
    import pandas as pd  # noqa: PLC0415  commands that just look stay quick
    import pyarrow as pa  # noqa: PLC0415

    held = {frames.TEXT: pa.large_string(), frames.WHOLE: pa.int64(), frames.FACT: pa.int8()}
    shown = {pa.large_string(): pd.StringDtype("pyarrow"), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    columns = zip(*rows, strict=True) if rows else repeat((), len(schema))
    arrays = [pa.array(cells, held[dtype]) for cells, dtype in zip(columns, schema.values(), strict=True)]
    facts = [one.cast(pa.bool_()) if one.type == pa.int8() else one for one in arrays]
    loaded: pd.DataFrame = pa.Table.from_arrays(facts, list(schema)).to_pandas(types_mapper=shown.get)
    return loaded


def snapshot_items(store: Store, entity_id: str) -> list[dict[str, Any]]:
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


def snapshot_rows(store: Store, betnr: int) -> list[dict[str, Any]]:
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
