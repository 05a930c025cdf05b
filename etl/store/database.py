"""The state store: one SQLite file (WAL, mode 0600), opened by ``Store.open``.

Only this class begins and ends transactions: the connection has no ``isolation_level``, so the driver opens and commits
nothing. Statements go to the driver directly: sqlite-utils would wrap each query in a savepoint with a name of its own,
which would push every prepared statement out of the driver's cache.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from etl.errors import StoreError
from etl.store.files import create_private_file, require_file
from etl.store.migrations import backup_to, migrate, require_current, require_our_file, sqlite_utils_database
from etl.store.schema import MIGRATIONS
from etl.store.sqlite_errors import SqliteErrorTranslator
from etl.store.sqlite_values import NATIVE_TYPES, to_sqlite, to_sqlite_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlite_utils import Database

# Intent is journalled before its effect (rules §5), so that commit must survive a power loss. In WAL mode `normal`
# may lose the latest commits, in their order and each as a whole; `full` keeps them and all before them. Measured:
# 0.7 ms (4 ms on a busy disk) a commit against 0.04 ms, beside 20 ms for each write to a system.
SYNC_FULL, SYNC_NORMAL, SYNC_OFF = "full", "normal", "off"

OUTERMOST = ("begin immediate", "commit", ("rollback",))
NESTED = ("savepoint nested", "release nested", ("rollback to nested", "release nested"))
"""How a transaction begins, ends, and is undone; of savepoints with one name SQLite means the innermost."""

LEASE_IS_OURS: Final = "(:lease_token is null or :lease_token = (select token from lease))"
"""The condition of an update that ``Store.execute_alone`` runs: without it, the lease could be taken before it."""


class HeldLease(Protocol):
    """The right to change the store, taken in the table ``lease``; ``lost`` once it may be somebody else's."""

    token: str
    lost: bool

    def check(self) -> None:
        """Raise when it is not ours any more."""


class Store:
    """An open state store. One thread's; a second thread opens its own."""

    def __init__(self, path: Path, conn: sqlite3.Connection, *, durable: bool = False) -> None:
        self.path = path
        self.conn = conn
        self.durable = durable
        self.lease: HeldLease | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        now: str,
        read_only: bool = False,
        durable: bool = True,
        busy_timeout: float = 10.0,
        migrations: tuple[str, ...] = MIGRATIONS,
    ) -> Self:
        """Open the store at ``path``, creating or migrating it unless ``read_only``; StoreError when that fails.

        ``now`` names the copy made before a migration. ``busy_timeout`` is how many seconds a locked file is waited
        for. Without ``durable`` (sandbox, tests) a commit may not survive a power loss.
        """
        path = Path(path)
        require_file(path) if read_only else create_private_file(path)
        with SqliteErrorTranslator(path):
            conn = connect(path, read_only=read_only, busy_timeout=busy_timeout)
            try:
                require_our_file(conn, path, len(migrations))
                if read_only:
                    require_current(conn, path, len(migrations))
                else:
                    conn.execute("pragma journal_mode = wal")
                    conn.execute(f"pragma synchronous = {SYNC_FULL if durable else SYNC_OFF}")
                    migrate(conn, path, now, migrations)
            except BaseException:
                conn.close()
                raise
        return cls(path, conn, durable=durable)

    @classmethod
    def open_existing(cls, path: str | Path, *, now: str, durable: bool = True) -> Self:
        """Open a store that has to be there, to change what it says of earlier runs; StoreError when it is not.

        A new one says nothing of them, and the empty file would hide that the path is wrong.
        """
        require_file(Path(path))
        return cls.open(path, now=now, durable=durable)

    @property
    def db(self) -> Database:
        """The file as sqlite-utils sees it, for questions about its tables and views."""
        return sqlite_utils_database(self.conn)

    def close(self) -> None:
        """Close the file; uncommitted changes are lost."""
        self.conn.close()

    def __enter__(self) -> Self:
        """Give the open store to a ``with`` block, which closes it."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close the store, whatever happened in the block."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block as a whole or not at all. Inside another transaction it becomes part of that one.

        A nested block that fails is rolled back alone: an outer one that catches the error commits no half of it.
        Within ``with_lease`` each asks first whether the store is still ours to change.
        """
        with SqliteErrorTranslator(self.path):
            is_nested = self.conn.in_transaction
            begin, end, undo = NESTED if is_nested else OUTERMOST
            self.conn.execute(begin)
            try:
                if not is_nested:
                    self.check_lease()
                yield
                self.conn.execute(end)
            except BaseException:
                for statement in undo if self.conn.in_transaction else ():  # SQLite itself may have ended it
                    self.conn.execute(statement)
                raise

    def ensure_transaction(self) -> AbstractContextManager[None]:
        """Return a transaction for statements that belong together: the open one, or where none is, one of their own.

        Inside another one nothing of the block is undone by itself: who survives its failure must undo the outer one.
        """
        return nullcontext() if self.conn.in_transaction else self.transaction()

    @contextmanager
    def transaction_without_fsync(self) -> Iterator[None]:
        """A transaction whose commit does not wait for the disk: see ``without_fsync``."""
        with self.without_fsync(), self.ensure_transaction():
            yield

    @contextmanager
    def without_fsync(self) -> Iterator[None]:
        """Let what is committed in the block last from the next commit outside of it on, or from the close.

        Only for what lies behind us: answers, looks, agreement. A power loss may take the latest of it, in order, and
        never an intent: what then stands is what a crash before this commit would have left, which the next run reads,
        settles and plans.
        """
        if not self.durable or self.conn.in_transaction:
            yield
            return
        self.conn.execute(f"pragma synchronous = {SYNC_NORMAL}")
        try:
            yield
        finally:
            self.conn.execute(f"pragma synchronous = {SYNC_FULL}")

    @contextmanager
    def with_lease(self, lease: HeldLease) -> Iterator[None]:
        """Let every transaction of the block ask first, inside itself, whether the store is still ours to change.

        What the lease's ``check`` raises undoes it: a run whose lease was taken stores nothing over what its successor
        saw.
        """
        self.lease = lease
        try:
            yield
        finally:
            self.lease = None

    def check_lease(self) -> None:
        """Raise what the lease raises when somebody else took it; without one, everything is ours to change."""
        if self.lease is not None:
            self.lease.check()

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Let all queries of the block see the same moment, whatever others commit meanwhile; writes nothing."""
        with SqliteErrorTranslator(self.path):
            if self.conn.in_transaction:
                yield
                return
            self.conn.execute("begin")
            try:
                yield
            finally:
                self.conn.rollback()

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        """Run one statement and return how many rows it changed; outside a transaction it commits by itself.

        What SQLite runs only outside a transaction (``pragma``, ``vacuum``) goes through ``tuples``.
        """
        with self.transaction() if not self.conn.in_transaction else SqliteErrorTranslator(self.path):
            return self.conn.execute(sql, to_sqlite_record(params or {})).rowcount

    def execute_alone(self, sql: str, params: Mapping[str, Any]) -> int:
        """Run one update, which has the condition ``LEASE_IS_OURS``, and return how many rows it changed.

        Outside a transaction SQLite makes it one: without ``begin``, question and ``commit`` it costs a quarter, and
        one is run before each write to Advoware. It begins with ``update``: the driver counts no rows after ``with``.
        """
        if self.lease is not None and self.lease.lost:
            self.check_lease()
        with SqliteErrorTranslator(self.path):
            lease_token = self.lease.token if self.lease is not None else None
            changed = self.conn.execute(sql, to_sqlite_record({**params, "lease_token": lease_token})).rowcount
        if not changed:
            self.check_lease()
        return changed

    def execute_many(self, sql: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each record, all of them or none."""
        with self.ensure_transaction():
            self.conn.executemany(sql, [to_sqlite_record(record) for record in records])

    def insert(self, sql: str, values: Iterable[object]) -> int:
        """Insert by position, inside a transaction, and return the last ``rowid``."""
        plain = [value if type(value) in NATIVE_TYPES else to_sqlite(value) for value in values]
        return self.conn.execute(sql, plain).lastrowid or 0

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query as dicts."""
        with SqliteErrorTranslator(self.path):
            cursor = self.conn.execute(sql, to_sqlite_record(params or {}))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def tuples(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query as tuples: a third of the cost of ``rows`` for very many rows."""
        with SqliteErrorTranslator(self.path):
            return self.conn.execute(sql, to_sqlite_record(params or {})).fetchall()

    def scalar(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  the query knows
        """Return the first column of the first row, None when there is none."""
        return next((row[0] for row in self.tuples(sql, params)), None)

    def setting(self, key: str) -> str | None:
        """Return the value stored under ``key``, None when there is none."""
        value: str | None = self.scalar("select value from settings where key = :key", {"key": key})
        return value

    def set_setting(self, key: str, value: str | None) -> None:
        """Store ``value`` under ``key``; None deletes it."""
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
            with SqliteErrorTranslator(path):
                backup_to(self.conn, path, copied_at=copied_at)
        except OSError as error:
            raise StoreError(f"The backup {path} cannot be written ({error.strerror}); check the folder.") from error


def copy_store(path: Path, target: Path) -> None:
    """Copy a store of whatever version, for a look that must not migrate it; StoreError when it cannot be read."""
    require_file(path)
    with SqliteErrorTranslator(path), closing(connect(path, read_only=True, busy_timeout=10.0)) as conn:
        require_our_file(conn, path, len(MIGRATIONS))
        backup_to(conn, target)


def connect(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
    """Open the file without touching its contents; the driver changes nothing unasked."""
    conn = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
    )
    conn.execute("pragma foreign_keys = on")
    return conn
