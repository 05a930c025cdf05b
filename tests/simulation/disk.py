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


class Killed(BaseException):
    """The process is dead: nothing of it runs any more, no ``except``, no ``finally`` has an effect."""


class Disk:
    """What every connection of one world tells: ``before`` a commit, when a transaction ``begins``. ``dead`` processes
    do nothing more.

    Where a death ``is_power_loss``, what was committed since the last synced commit goes with it: ``synced`` is the
    file as that one left it, None while nothing was committed since.
    """

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None
        self.begins: Callable[[], None] = lambda: None
        self.dead = False
        self.is_power_loss = False
        self.synced: bytes | None = None
        self.connections = 0

    def follows(self, path: Path) -> None:
        """A commit that is not synced is about to be made."""
        if self.is_power_loss and self.synced is None:
            with closing(sqlite3.connect(path)) as db:
                self.synced = db.serialize()

    def syncs(self) -> None:
        """All that was committed is on the disk."""
        self.synced = None


class Connection(sqlite3.Connection):
    """A connection that tells its disk of each commit, autocommitted statements included, and whether it was synced."""

    disk: Disk
    path: Path
    full = True

    def execute(self, sql: str, *params: Any) -> sqlite3.Cursor:
        word = sql.split(None, 1)[0].lower()
        if self.disk.dead and word != "rollback":
            raise Killed
        if word == "begin":
            self.disk.begins()
        if word == "pragma" and "synchronous = " in sql:
            self.full = sql.endswith(database.LASTING)
        if not (word == "commit" or (word in {"insert", "update", "delete"} and not self.in_transaction)):
            return super().execute(sql, *params)
        self.disk.before()
        if not self.full:
            self.disk.follows(self.path)
        answer = super().execute(sql, *params)
        if self.full:
            self.disk.syncs()
        return answer

    def close(self) -> None:
        """The last one to close syncs the file."""
        super().close()
        self.disk.connections -= 1
        if not self.disk.connections and not self.disk.dead:
            self.disk.syncs()


@contextmanager
def under(disk: Disk) -> Iterator[None]:
    """Let the store write to this disk for the time of a block."""

    class Watched(Connection):
        pass

    Watched.disk = disk

    def connect(path: Path, *, read_only: bool, patience: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            factory=Watched,
        )
        connection.path = path
        disk.connections += 1
        connection.execute("pragma foreign_keys = on")
        return connection

    real = database.connect
    database.connect = connect
    try:
        yield
    finally:
        database.connect = real


def trouble(code: int, message: str) -> sqlite3.OperationalError:
    """SQLite's complaint with its code."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


LOCKED = (sqlite3.SQLITE_BUSY, "database is locked")
FULL = (sqlite3.SQLITE_FULL, "database or disk is full")
