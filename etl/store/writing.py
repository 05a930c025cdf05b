"""How records get into a table: one statement a table, columns named once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.store.database import Store


def insert(table: str, columns: Iterable[str]) -> str:
    """Return the statement that inserts one record with these columns."""
    columns = list(columns)
    places = ", ".join(f":{column}" for column in columns)
    return f"insert into {table} ({', '.join(columns)}) values ({places})"


def save(
    store: Store,
    table: str,
    columns: Iterable[str],
    defaults: Mapping[str, Any],
    records: Iterable[Mapping[str, Any]],
) -> list[int]:
    """Insert the records, all or none, columns they leave out by default, and return their ids in order."""
    columns = list(columns)
    statement = f"{insert(table, columns)} returning id"
    with store.transaction():
        return [
            int(store.value(statement, {**dict.fromkeys(columns), **defaults, **record}))
            for record in records
        ]
