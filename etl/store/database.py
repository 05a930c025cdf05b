"""The state store: one SQLite file (WAL, mode 0600), opened by ``Store.open``.

Transactions are ours alone: the connection has no ``isolation_level``, so the driver opens and commits nothing, and
statements go to it directly. sqlite-utils would wrap each question in a savepoint, and give each savepoint a name of
its own, which pushes every prepared statement out of the driver's memory.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from etl.errors import StoreError
from etl.store.light import as_database
from etl.store.migrate import copy, migrate, refuse_foreign, refuse_outdated
from etl.store.plain import plain_record
from etl.store.schema import MIGRATIONS
from etl.store.trouble import Translating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlite_utils import Database

# Intent is journalled before its effect (rules.md §5), so that commit must survive a power loss. In WAL mode `normal`
# may lose the latest commits, in their order and each as a whole; `full` keeps them and all before them. Measured:
# 0.7 ms (4 ms on a busy disk) a commit against 0.04 ms, beside 20 ms for each write to a system.
LASTING, FOLLOWING, FLEETING = "full", "normal", "off"

OUTERMOST = ("begin immediate", "commit", ("rollback",))
NESTED = ("savepoint nested", "release nested", ("rollback to nested", "release nested"))
"""How a transaction begins, ends, and is undone; of savepoints with one name SQLite means the innermost."""


class Store:
    """An open state store. One thread's; a second thread opens its own."""

    def __init__(self, path: Path, conn: sqlite3.Connection, *, durable: bool = False) -> None:
        self.path = path
        self.conn = conn
        self.durable = durable
        self.still_ours: Callable[[], None] = lambda: None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        now: str,
        read_only: bool = False,
        durable: bool = True,
        patience: float = 10.0,
        migrations: tuple[str, ...] = MIGRATIONS,
    ) -> Self:
        """Open the store at ``path``, creating or migrating it unless ``read_only``; StoreError when that fails.

        ``now`` names the copy made before a migration. ``patience`` is how many seconds a locked file is waited for.
        Without ``durable`` (sandbox, tests) a commit may not survive a power loss.
        """
        path = Path(path)
        prepare_reading(path) if read_only else prepare_writing(path)
        with Translating(path):
            conn = connect(path, read_only=read_only, patience=patience)
            try:
                refuse_foreign(conn, path, len(migrations))
                if read_only:
                    refuse_outdated(conn, path, len(migrations))
                else:
                    conn.execute("pragma journal_mode = wal")
                    conn.execute(f"pragma synchronous = {LASTING if durable else FLEETING}")
                    migrate(conn, path, now, migrations)
            except BaseException:
                conn.close()
                raise
        return cls(path, conn, durable=durable)

    @property
    def db(self) -> Database:
        """The file as sqlite-utils sees it, for questions about its tables and views."""
        return as_database(self.conn)

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        self.conn.close()

    def __enter__(self) -> Self:
        """Give the open store to a ``with`` block, which closes it."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close the store, whatever happened in the block."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block as a whole, or nothing of it. Inside another transaction it joins that one.

        A nested block that fails undoes only itself, so an outer one that survives the failure commits no halves.
        Within ``only_while`` each asks first.
        """
        with Translating(self.path):
            is_nested = self.conn.in_transaction
            begin, end, undo = NESTED if is_nested else OUTERMOST
            self.conn.execute(begin)
            try:
                if not is_nested:
                    self.still_ours()
                yield
                self.conn.execute(end)
            except BaseException:
                for statement in undo if self.conn.in_transaction else ():  # SQLite itself may have ended it
                    self.conn.execute(statement)
                raise

    @contextmanager
    def what_happened(self) -> Iterator[None]:
        """A transaction that needs no disk of its own: it lasts from the next ``transaction`` on, or from the close.

        Only for what lies behind us: answers, looks, agreement. A power loss may take the latest of it, in order, and
        never an intent: what then stands is what a crash before this commit would have left, which the next run reads,
        settles and plans.
        """
        if not self.durable or self.conn.in_transaction:
            with self.transaction():
                yield
            return
        self.conn.execute(f"pragma synchronous = {FOLLOWING}")
        try:
            with self.transaction():
                yield
        finally:
            self.conn.execute(f"pragma synchronous = {LASTING}")

    @contextmanager
    def only_while(self, still_ours: Callable[[], None]) -> Iterator[None]:
        """Let every transaction of the block ask first, inside itself, whether the store is still ours to change.

        What ``still_ours`` raises undoes it: a run whose lease was taken stores nothing over what its successor saw.
        """
        self.still_ours = still_ours
        try:
            yield
        finally:
            self.still_ours = lambda: None

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Let all queries of the block see the same moment, whatever others commit meanwhile; writes nothing."""
        with Translating(self.path):
            if self.conn.in_transaction:
                yield
                return
            self.conn.execute("begin")
            try:
                yield
            finally:
                self.conn.rollback()

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        """Run one statement and return how many rows it changed; outside a transaction it is one of its own.

        What SQLite carries out only outside of one (``pragma``, ``vacuum``) goes through ``tuples``.
        """
        with self.transaction() if not self.conn.in_transaction else Translating(self.path):
            return self.conn.execute(sql, plain_record(params or {})).rowcount

    def execute_many(self, sql: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each record, all of them or none."""
        with self.transaction():
            self.conn.executemany(sql, [plain_record(record) for record in records])

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return what a query answers, one dict a row."""
        with Translating(self.path):
            answer = self.conn.execute(sql, plain_record(params or {}))
            names = [column[0] for column in answer.description]
            return [dict(zip(names, row, strict=True)) for row in answer]

    def tuples(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return what a query answers, one tuple a row: a third of the cost of ``rows`` where there are very many."""
        with Translating(self.path):
            return self.conn.execute(sql, plain_record(params or {})).fetchall()

    def value(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  the query knows
        """Return the first column of the first row, None when there is none."""
        return next((row[0] for row in self.tuples(sql, params)), None)

    def setting(self, key: str) -> str | None:
        """Return what was remembered under ``key``, None when nothing was."""
        value: str | None = self.value("select value from settings where key = :key", {"key": key})
        return value

    def set_setting(self, key: str, value: str | None) -> None:
        """Remember ``value`` under ``key``; None forgets it."""
        if value is None:
            self.execute("delete from settings where key = :key", {"key": key})
        else:
            self.execute(
                """
                insert into settings (key, value)
                values (:key, :value)
                on conflict (key) do update set value = excluded.value
                """,
                {"key": key, "value": value},
            )

    def backup(self, path: str | Path, *, copied_at: str | None = None) -> None:
        """Write a consistent copy to ``path`` (mode 0600), also while others write; copying it back restores it.

        ``copied_at`` marks one that is kept, so that the store knows of itself when it was put back.
        """
        path = Path(path)
        try:
            with Translating(path):
                copy(self.conn, path, copied_at=copied_at)
        except OSError as error:
            raise StoreError(f"The backup {path} cannot be written ({error.strerror}); check the folder.") from error


def copy_store(path: Path, target: Path) -> None:
    """Copy a store of whatever version, for a look that must not migrate it; StoreError when it cannot be read."""
    prepare_reading(path)
    with Translating(path), closing(connect(path, read_only=True, patience=10.0)) as conn:
        refuse_foreign(conn, path, len(MIGRATIONS))
        copy(conn, target)


def prepare_reading(path: Path) -> None:
    """Raise StoreError when there is nothing to read yet."""
    if not path.is_file():
        raise StoreError(f"There is no state store {path} yet; check state.path, or run `advosync sync` first.")


def prepare_writing(path: Path) -> None:
    """Create folder and empty file where missing; the file is its owner's alone, as it holds personal data."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            make_private(path.with_name(name))
    except OSError as error:
        raise StoreError(
            f"The state store {path} cannot be opened for writing ({error.strerror}); "
            "check path, owner and mode of the file and of its folder."
        ) from error


def make_private(path: Path) -> None:
    """Set mode 0600 where the file exists, is ours and is more open: a restored copy may have come with any mode."""
    if path.exists() and path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(0o600)


def connect(path: Path, *, read_only: bool, patience: float) -> sqlite3.Connection:
    """Open the file without touching its contents; the driver changes nothing unasked."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        timeout=patience,
        isolation_level=None,
    )
    connection.execute("pragma foreign_keys = on")
    return connection
