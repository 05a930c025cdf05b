"""How records get into a table: one statement a table, columns named once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store


def insert_sql(table: str, columns: Iterable[str]) -> str:
    """Return the statement that inserts one record with these columns."""
    columns = list(columns)
    placeholders = ", ".join(f":{column}" for column in columns)
    return f"insert into {table} ({', '.join(columns)}) values ({placeholders})"


def fill_defaults(
    columns: Iterable[str], defaults: Mapping[str, Any], records: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the records with every column, by default where they leave it out, else null."""
    default_values = {**dict.fromkeys(columns), **defaults}
    return [{**default_values, **record} for record in records]


def insert_returning_ids(
    store: Store,
    table: str,
    columns: Sequence[str],
    defaults: Mapping[str, Any],
    records: Iterable[Mapping[str, Any]],
) -> list[int]:
    """Insert the records, all or none, columns they leave out by default, and return their ids in order."""
    statement = f"{insert_sql(table, columns)} returning id"
    with store.transaction():
        return [int(store.scalar(statement, record)) for record in fill_defaults(columns, defaults, records)]


def insert_with_next_ids(
    store: Store,
    table: str,
    columns: Sequence[str],
    defaults: Mapping[str, Any],
    records: Iterable[Mapping[str, Any]],
) -> list[int]:
    """Like ``save`` where numbers may be used again: one statement for all records costs a third of one for each."""
    with store.transaction():
        last = store.scalar(f"select max(id) from {table}") or 0
        full_records = fill_defaults(columns, defaults, records)
        numbered_records = [{**record, "id": number} for number, record in enumerate(full_records, start=last + 1)]
        store.execute_many(insert_sql(table, ("id", *columns)), numbered_records)
    return [record["id"] for record in numbered_records]
