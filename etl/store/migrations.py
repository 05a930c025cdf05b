"""Bring a state store to the version this program knows, or refuse it in one clear sentence.

``pragma user_version`` counts the migrations a file has seen, and all that lack are one transaction. sqlite-utils'
``Migrations`` would keep a second count, in a table of its own, which no store has that exists.

sqlite-utils makes and lists the views. It is imported where it is needed, when a file is new or migrated and by
``export``: 4.2 imports pandas wherever that is installed, which makes 0.4 s of 0.1.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from etl.errors import StoreError
from etl.store.schema import MIGRATIONS
from etl.store.views import VIEWS

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

APPLICATION_ID: Final = 0x4144564F
"""``ADVO`` in the file's header: tells our file from any other SQLite file."""


COPIED_AT: Final = "copied_at"
"""Setting of a copy: when it was made. A store that says so was put back from it."""


def schema_version(conn: sqlite3.Connection) -> int:
    """Return the schema version of the file, 0 for a new one."""
    return int(conn.execute("pragma user_version").fetchone()[0])


def require_our_file(conn: sqlite3.Connection, path: Path, known_version: int) -> None:
    """Raise StoreError for a file that is another program's, or newer than this program.

    The mark is read last: another process of ours may just give the new file tables and mark, in one transaction.
    """
    version = schema_version(conn)
    is_used = bool(version) or conn.execute("select 1 from sqlite_master").fetchone() is not None
    application_id = int(conn.execute("pragma application_id").fetchone()[0])
    if is_used and application_id != APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file of another program; set state.path to a file of its own.")
    if version > known_version:
        raise StoreError(
            f"The state store {path} has version {version}, newer than this program, which knows {known_version}: "
            "install the newer advosync, or restore a backup from before it."
        )


def require_current(conn: sqlite3.Connection, path: Path, known_version: int) -> None:
    """Raise StoreError when reading alone cannot do, because the file would have to be migrated first."""
    version = schema_version(conn)
    if version < known_version:
        raise StoreError(
            f"The state store {path} has version {version}, this program needs {known_version}: "
            "run `advosync sync` once, which migrates it."
        )


def migrate(conn: sqlite3.Connection, path: Path, now: str, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Carry out the migrations the file still lacks, all or none; a store that is in use is copied next to it first."""
    if schema_version(conn) >= len(migrations):
        return
    conn.execute("begin immediate")
    try:
        version = schema_version(conn)  # asked again behind the lock: another process may just have done it
        if 0 < version < len(migrations):
            backup_before_migration(path, path.with_name(f"{path.name}.v{version}.{re.sub(r'[^0-9]', '', now)}"))
        apply_migrations(conn, version, migrations)
        conn.execute("commit")
    except BaseException:
        conn.rollback()
        raise


def apply_migrations(conn: sqlite3.Connection, version: int, migrations: tuple[str, ...]) -> None:
    """Run the migrations after ``version``, up to the latest. Call inside a transaction."""
    if version == len(migrations):
        return
    drop_views(conn)
    for migration in migrations[version:]:
        for statement in split_statements(migration):
            conn.execute(statement)
    create_views(conn)
    conn.execute(f"pragma application_id = {APPLICATION_ID}")
    conn.execute(f"pragma user_version = {len(migrations)}")


def split_statements(script: str) -> list[str]:
    """The statements of a migration; each ends with its line, and none of ours holds such an end inside."""
    return [statement for statement in script.split(";\n") if statement.strip()]


def drop_views(conn: sqlite3.Connection) -> None:
    """Drop all views, so that no migration fails because a view reads a table it changes."""
    for name in sqlite_utils_database(conn).view_names():
        conn.execute(f"drop view [{name}]")


def create_views(conn: sqlite3.Connection) -> None:
    """Create this program's views."""
    for name, select in VIEWS.items():
        sqlite_utils_database(conn).create_view(name, select.strip())


def backup_before_migration(path: Path, target: Path) -> None:
    """Copy the store by a connection of its own: one that holds the lock to write would wait for itself."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as reader:
        backup_to(reader, target)


def backup_to(conn: sqlite3.Connection, target: Path, *, copied_at: str | None = None) -> None:
    """Write a consistent copy of the whole store to ``target``, mode 0600, never leaving half a copy there.

    ``copied_at``: what the copy is to say of itself, for the day it is put back.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    destination = sqlite3.connect(partial)
    try:
        conn.backup(destination)
        # A copy is one file: it must not need the -wal beside it.
        destination.execute("pragma journal_mode = delete")
        if copied_at is not None:
            destination.execute("insert or replace into settings values (?, ?)", (COPIED_AT, copied_at))
            destination.commit()
    finally:
        destination.close()
    partial.replace(target)


def sqlite_utils_database(connection: sqlite3.Connection) -> Database:
    """Return the connection as sqlite-utils' database; no plugin changes anything unasked."""
    from sqlite_utils import Database  # noqa: PLC0415 - see above

    return Database(connection, execute_plugins=False)
