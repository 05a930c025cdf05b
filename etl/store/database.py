"""The state store: one SQLite file (WAL, mode 0600), opened by ``Store.open``.

Transactions are ours alone: the connection has no ``isolation_level``, so the driver opens and commits nothing, and
statements go to it directly. sqlite-utils would wrap each question in a savepoint, and give each savepoint a name of
its own, which pushes every prepared statement out of the driver's memory.

What crosses into SQLite: plain Python values, whatever a frame or a decision held.

What SQLite's complaints mean for the person who runs advosync: the one border where they are translated.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from etl.errors import StoreError
from etl.store.migrations import backup_to, migrate, require_current, require_our_file, sqlite_utils_database
from etl.store.schema import MIGRATIONS

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

    @property
    def db(self) -> Database:
        """The file as sqlite-utils sees it, for questions about its tables and views."""
        return sqlite_utils_database(self.conn)

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
        """A transaction that needs no disk of its own: see ``without_fsync``."""
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
        """Run one statement and return how many rows it changed; outside a transaction it is one of its own.

        What SQLite carries out only outside of one (``pragma``, ``vacuum``) goes through ``tuples``.
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
        """Return what a query answers, one dict a row."""
        with SqliteErrorTranslator(self.path):
            cursor = self.conn.execute(sql, to_sqlite_record(params or {}))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def tuples(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return what a query answers, one tuple a row: a third of the cost of ``rows`` where there are very many."""
        with SqliteErrorTranslator(self.path):
            return self.conn.execute(sql, to_sqlite_record(params or {})).fetchall()

    def scalar(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  the query knows
        """Return the first column of the first row, None when there is none."""
        return next((row[0] for row in self.tuples(sql, params)), None)

    def setting(self, key: str) -> str | None:
        """Return what was remembered under ``key``, None when nothing was."""
        value: str | None = self.scalar("select value from settings where key = :key", {"key": key})
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


def require_file(path: Path) -> None:
    """Raise StoreError when there is nothing to read yet."""
    if not path.is_file():
        raise StoreError(f"There is no state store {path} yet; check state.path, or run `advosync sync` first.")


def create_private_file(path: Path) -> None:
    """Create folder and empty file where missing; the file is its owner's alone, as it holds personal data.

    A file that is there is not opened beside SQLite: closing it would drop the locks of every connection this process
    has to it. After a run's first heartbeat another process that came and went took the log away from under the run.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
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


NATIVE_TYPES: Final = frozenset({str, int, bool, bytes, type(None)})


def to_sqlite_record(record: Mapping[str, Any]) -> dict[str, object]:
    """Return the record with each value plain."""
    return {name: value if type(value) in NATIVE_TYPES else to_sqlite(value) for name, value in record.items()}


def to_sqlite(value: object) -> object:
    """Return the value as SQLite takes it: missing as None, a list or dict as JSON text, a numpy scalar as Python's.

    Unconverted, a numpy integer would become a BLOB, and pandas' NA is refused by the driver.
    """
    if type(value) in NATIVE_TYPES or type(value) is float:
        return None if value != value else value  # noqa: PLR0124  NaN, the one value unequal to itself
    if isinstance(value, dict | list | tuple):
        return JSON_ENCODER.encode(value)
    if isinstance(value, str):
        return str(value)
    return to_python_scalar(value)


def to_python_scalar(value: object) -> object:
    """Return a pandas or numpy scalar as Python's own, None for NA and NaT."""
    # Imported only where a frame was made: commands that just look stay quick.
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    if value is pd.NA or value is pd.NaT:
        return None
    return to_sqlite(value.item()) if isinstance(value, np.generic) else value


JSON_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=to_python_scalar)


SQLITE_ADVICE: Final[dict[int, str]] = {
    sqlite3.SQLITE_BUSY: "is locked by another program; close it (a database browser, a backup) and try again",
    sqlite3.SQLITE_LOCKED: "is locked by another program; close it and try again",
    sqlite3.SQLITE_READONLY: "cannot be written; check owner and mode of the file and of its folder",
    sqlite3.SQLITE_PERM: "cannot be read; check owner and mode of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check path, owner and mode of the file and of its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written (input/output error); check the disk",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; make room and start again, nothing is lost",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore the latest backup by copying it here",
    sqlite3.SQLITE_NOTADB: "is not an SQLite file; check state.path, or restore the latest backup by copying it here",
}


class SqliteErrorTranslator:
    """Turns what SQLite says about the file into a StoreError naming it; our own mistakes in SQL pass unchanged.

    A ``with`` block around each statement, so it has no generator behind it.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Raise what is to be told instead of SQLite's own words."""
        if isinstance(error, sqlite3.Error):
            advice = SQLITE_ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if advice is not None:
                raise StoreError(f"The state store {self.path} {advice} ({error}).") from error
