"""sqlite-utils, where it is needed, and without pandas: a command that only looks answers in half the time.

sqlite-utils takes a tenth of a second to import, and would import pandas and numpy where they are installed, to guess
column types from frames. Our tables are declared, and frames reach them as plain records (``plain.py``).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from etl.imports import invisible

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database


def as_database(connection: sqlite3.Connection) -> Database:
    """Return the connection as sqlite-utils' database; no plugin changes anything unasked."""
    loaded = "sqlite_utils" in sys.modules  # then nothing is to be hidden from whoever imports pandas meanwhile
    with invisible(*(() if loaded else ("pandas", "numpy"))):
        from sqlite_utils import Database  # noqa: PLC0415 - see above
    return Database(connection, execute_plugins=False)
