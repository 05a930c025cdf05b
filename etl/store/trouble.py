"""What SQLite's complaints mean for the person who runs advosync: the one border where they are translated."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from etl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADVICE: Final[dict[int, str]] = {
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite says about the file into a StoreError naming it; our own mistakes in SQL pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        advice = ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if advice is None:
            raise
        raise StoreError(f"The state store {path} {advice} ({error}).") from error
