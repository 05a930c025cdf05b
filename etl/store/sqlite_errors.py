"""SQLite's errors, translated into what the person who runs advosync can do about them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from etl.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

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
