"""The disk under the state store, and what can happen to it: a process killed at a commit, a power loss, a locked file,
a full disk.

``etl.store.database.connect`` is the one place where the store opens its file. A simulation puts its own connection
there for the time of a world: no mock, the real SQLite with a class of ours that tells of each commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from etl.store import database


class SimulatedKill(BaseException):
    """The process is dead: nothing of it runs any more, no ``except``, no ``finally`` has an effect."""


class Disk:
    """What every connection of one world tells: ``before`` a commit, when a transaction ``begins``. ``dead`` processes
    do nothing more.

    Where a death ``is_power_loss``, what was committed since the last synced commit goes with it: ``synced`` is the
    file as that one left it, None while nothing was committed since.
    """

    def __init__(self) -> None:
        self.before_commit: Callable[[], None] = lambda: None
        self.on_begin: Callable[[], None] = lambda: None
        self.dead = False
        self.is_power_loss = False
        self.synced_file: bytes | None = None
        self.open_connections = 0

    def note_unsynced_commit(self, path: Path) -> None:
        """A commit that is not synced is about to be made."""
        if self.is_power_loss and self.synced_file is None:
            with closing(sqlite3.connect(path)) as db:
                self.synced_file = db.serialize()

    def note_sync(self) -> None:
        """All that was committed is on the disk."""
        self.synced_file = None


class Connection(sqlite3.Connection):
    """A connection that tells its disk of each commit, autocommitted statements included, and whether it was synced."""

    disk: Disk
    path: Path
    is_durable = True

    def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
        keyword = sql.split(None, 1)[0].lower()
        if self.disk.dead and keyword != "rollback":
            raise SimulatedKill
        if keyword == "begin":
            self.disk.on_begin()
        if keyword == "pragma" and "synchronous = " in sql:
            self.is_durable = sql.endswith(database.SYNC_FULL)
        if not (keyword == "commit" or (keyword in {"insert", "update", "delete"} and not self.in_transaction)):
            return super().execute(sql, *params)
        self.disk.before_commit()
        if not self.is_durable:
            self.disk.note_unsynced_commit(self.path)
        answer = super().execute(sql, *params)
        if self.is_durable:
            self.disk.note_sync()
        return answer

    def close(self) -> None:
        """The last one to close syncs the file."""
        super().close()
        self.disk.open_connections -= 1
        if not self.disk.open_connections and not self.disk.dead:
            self.disk.note_sync()


@contextmanager
def use_disk(disk: Disk) -> Iterator[None]:
    """Let the store write to this disk for the time of a block."""

    class WatchedConnection(Connection):
        pass

    WatchedConnection.disk = disk

    def connect(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=busy_timeout,
            isolation_level=None,
            factory=WatchedConnection,
        )
        connection.path = path
        disk.open_connections += 1
        connection.execute("pragma foreign_keys = on")
        return connection

    real_connect = database.connect
    database.connect = connect
    try:
        yield
    finally:
        database.connect = real_connect


def sqlite_error(code: int, message: str) -> sqlite3.OperationalError:
    """SQLite's complaint with its code."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


LOCKED = (sqlite3.SQLITE_BUSY, "database is locked")
FULL = (sqlite3.SQLITE_FULL, "database or disk is full")
