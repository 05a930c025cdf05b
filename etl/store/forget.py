"""Erasing a person: no value of it stays in any table, and none in the bytes of the file (GDPR).

SQLite keeps what was deleted in free pages and in the -wal file. So the store is rebuilt (``vacuum``) and the -wal cut
to nothing; with ``secure_delete`` no step on the way leaves it behind.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from etl.errors import StoreError
from etl.store.database import Store, connect
from etl.store.trouble import Translating

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OF_PERSON: Final = (
    # in the order of their references: who points at others goes first
    "conflicts",
    "changes",
    "array_puts",
    "decisions",
    "holds",
    "endings",
    "left_alone",
    "baseline",
    "espo_entries",
    "former_entries",
    "persons",
)

WITH_BETNR: Final = frozenset(OF_PERSON) - {"espo_entries", "former_entries"}
"""Where a person's betnr stands, also an earlier one."""

ERASED: Final = "(a person who was forgotten)"


def erase_from_copy(path: Path, entity_id: str) -> bool:
    """Take a person out of a copy of the store, whatever version it has; the copy is not migrated."""
    with Translating(path), Store(path, connect(path, read_only=False, patience=10.0)) as copy:
        return erase(copy, entity_id)


def betnrs_of(store: Store, entity_id: str, tables: Iterable[str]) -> list[int]:
    """Return every betnr this record ever had here, but those another record carries now."""
    ever = " union ".join(f"select betnr from {table} where entity_id = :entity_id" for table in tables)
    found = store.rows(
        f"""
        {ever}
        except
        select betnr from persons where entity_id <> :entity_id
        """,
        {"entity_id": entity_id},
    )
    return [row["betnr"] for row in found if row["betnr"] is not None]


def erase(store: Store, entity_id: str) -> bool:
    """Take a person out of every table and out of the file's bytes; False when it was not there."""
    store.tuples("pragma secure_delete = on")
    with store.transaction():
        there = {row["name"] for row in store.rows("select name from sqlite_schema where type = 'table'")}
        tables = [table for table in OF_PERSON if table in there]  # an old copy lacks the latest
        betnrs = betnrs_of(store, entity_id, [table for table in tables if table in WITH_BETNR])
        erased = [erased_rows(store, table, entity_id) for table in tables]
        store.execute(
            "delete from advo_entries where betnr in (select value from json_each(:betnrs))", {"betnrs": betnrs}
        )
        erase_from_reports(store, entity_id, betnrs)
        erase_from_settings(store, entity_id)
    rebuild(store)
    return any(erased)


def erased_rows(store: Store, table: str, entity_id: str) -> bool:
    """Delete a person's rows of one table; whether there were any."""
    return store.execute(f"delete from {table} where entity_id = :entity_id", {"entity_id": entity_id}) > 0


def erase_from_reports(store: Store, entity_id: str, betnrs: list[int]) -> None:
    """Take a person out of what runs reported and were ended by: their sentences may quote a number."""
    keys = [entity_id, *map(str, betnrs)]
    for run in store.rows("select id, report, error from runs where report is not null or error is not null"):
        report = json.loads(run["report"]) if run["report"] else None
        kept = without(report, entity_id, keys)
        error = ERASED if any(key in (run["error"] or "") for key in keys) else run["error"]
        if (kept, error) != (report, run["error"]):
            store.execute(
                "update runs set report = :report, error = :error where id = :id",
                {"report": kept, "error": error, "id": run["id"]},
            )


def without(report: Any, entity_id: str, keys: list[str]) -> Any:  # noqa: ANN401  JSON
    """A report without what it says of a person: its failures go, sentences that name it are blotted out."""
    if isinstance(report, list):
        kept = [one for one in report if not (isinstance(one, dict) and one.get("entity_id") == entity_id)]
        return [without(one, entity_id, keys) for one in kept]
    if isinstance(report, dict):
        return {name: without(one, entity_id, keys) for name, one in report.items()}
    if isinstance(report, str) and any(key in report for key in keys):
        return ERASED
    return report


def erase_from_settings(store: Store, entity_id: str) -> None:
    """Take the ID out of lists the program keeps for itself, where it is no position."""
    told = store.setting("backfill")
    if told is not None and entity_id in told:
        begun = json.loads(told)
        if entity_id in begun["entities"]:
            # the position counts persons, so its place stays, empty
            begun["entities"] = ["" if one == entity_id else one for one in begun["entities"]]
            store.set_setting("backfill", json.dumps(begun))
    failed = json.loads(store.setting("told_failed") or "[]")
    if entity_id in failed:
        store.set_setting("told_failed", json.dumps([one for one in failed if one != entity_id]))


def rebuild(store: Store) -> None:
    """Write the file anew without its free pages, and empty the -wal; StoreError while somebody reads."""
    store.tuples("pragma temp_store = memory")
    store.tuples("vacuum")  # not inside a transaction
    (answer,) = store.rows("pragma wal_checkpoint(truncate)")
    if answer["busy"]:
        raise StoreError(
            f"{store.path.name} is open in another program (a database browser, `advosync inspect`): close it and "
            "run the command again, for only then the bytes are gone."
        )
