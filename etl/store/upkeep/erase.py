"""Erasing a person: no value of it stays in any table, and none in the bytes of the file (GDPR).

SQLite keeps what was deleted in free pages and in the -wal file. So the store is rebuilt (``vacuum``) and the -wal cut
to nothing; with ``secure_delete`` no step on the way leaves it behind.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from etl.errors import StoreError
from etl.store.database import Store, connect
from etl.store.sqlite_errors import SqliteErrorTranslator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PERSON_TABLES: Final = (
    # in the order of their references: who points at others goes first
    "arrivals",
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

TABLES_WITH_BETNR: Final = frozenset(PERSON_TABLES) - {"espo_entries", "former_entries"}
"""Where a person's betnr stands, also an earlier one."""

ERASED_TEXT: Final = "(a person who was forgotten)"


def erase_from_copy(path: Path, entity_id: str) -> bool:
    """Erase a person from a copy of the store, whatever its version; the copy is not migrated."""
    with SqliteErrorTranslator(path), Store(path, connect(path, read_only=False, busy_timeout=10.0)) as store:
        return erase(store, entity_id)


def all_betnrs(store: Store, entity_id: str, tables: Iterable[str]) -> list[int]:
    """Return every betnr this record ever had here, but those another record carries now."""
    selects = " union ".join(f"select betnr from {table} where entity_id = :entity_id" for table in tables)
    rows = store.rows(
        f"""
        {selects}
        except
        select betnr from persons where entity_id <> :entity_id
        """,
        {"entity_id": entity_id},
    )
    return [row["betnr"] for row in rows if row["betnr"] is not None]


def erase(store: Store, entity_id: str) -> bool:
    """Erase a person from every table and from the file's bytes; False when the store did not know it."""
    store.tuples("pragma secure_delete = on")
    with store.transaction():
        table_names = {row["name"] for row in store.rows("select name from sqlite_schema where type = 'table'")}
        tables = [table for table in PERSON_TABLES if table in table_names]  # an old copy lacks the latest
        betnrs = all_betnrs(store, entity_id, [table for table in tables if table in TABLES_WITH_BETNR])
        had_rows = [delete_person_rows(store, table, entity_id) for table in tables]
        store.execute(
            "delete from advo_entries where betnr in (select value from json_each(:betnrs))", {"betnrs": betnrs}
        )
        erase_from_reports(store, entity_id, betnrs)
        erase_from_settings(store, entity_id)
    vacuum(store)
    return any(had_rows)


def delete_person_rows(store: Store, table: str, entity_id: str) -> bool:
    """Delete a person's rows from one table; True when there were any."""
    return store.execute(f"delete from {table} where entity_id = :entity_id", {"entity_id": entity_id}) > 0


def erase_from_reports(store: Store, entity_id: str, betnrs: list[int]) -> None:
    """Erase a person from the reports and errors of runs, whose sentences may quote a number."""
    keys = [entity_id, *map(str, betnrs)]
    for run in store.rows("select id, report, error from runs where report is not null or error is not null"):
        report = json.loads(run["report"]) if run["report"] else None
        redacted = redact(report, entity_id, keys)
        error = ERASED_TEXT if any(key in (run["error"] or "") for key in keys) else run["error"]
        if (redacted, error) != (report, run["error"]):
            store.execute(
                "update runs set report = :report, error = :error where id = :id",
                {"report": redacted, "error": error, "id": run["id"]},
            )


def redact(report: Any, entity_id: str, keys: list[str]) -> Any:  # noqa: ANN401  JSON
    """Return the report without a person: its failures are removed, sentences that name it are blanked."""
    if isinstance(report, list):
        remaining = [entry for entry in report if not (isinstance(entry, dict) and entry.get("entity_id") == entity_id)]
        return [redact(entry, entity_id, keys) for entry in remaining]
    if isinstance(report, dict):
        return {name: redact(entry, entity_id, keys) for name, entry in report.items()}
    if isinstance(report, str) and any(key in report for key in keys):
        return ERASED_TEXT
    return report


def erase_from_settings(store: Store, entity_id: str) -> None:
    """Erase the ID from the lists kept in ``settings``."""
    saved = store.setting("backfill")
    if saved is not None and entity_id in saved:
        backfill = json.loads(saved)
        if entity_id in backfill["entities"]:
            # the position counts persons, so its place stays, empty
            backfill["entities"] = ["" if other_id == entity_id else other_id for other_id in backfill["entities"]]
            store.set_setting("backfill", json.dumps(backfill))
    notified_ids = json.loads(store.setting("told_failed") or "[]")
    if entity_id in notified_ids:
        store.set_setting("told_failed", json.dumps([other_id for other_id in notified_ids if other_id != entity_id]))


def vacuum(store: Store) -> None:
    """Rebuild the file without free pages and empty the -wal; StoreError while another connection reads."""
    store.tuples("pragma temp_store = memory")
    store.tuples("vacuum")  # not inside a transaction
    (checkpoint,) = store.rows("pragma wal_checkpoint(truncate)")
    if checkpoint["busy"]:
        raise StoreError(
            f"{store.path.name} is open in another program (a database browser, `advosync inspect`): close it and "
            "run the command again, for only then the bytes are gone."
        )
