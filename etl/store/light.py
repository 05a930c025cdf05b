"""sqlite-utils without pandas: a command that only looks answers in half the time.

sqlite-utils imports pandas and numpy where they are installed, to guess column types from frames. Our tables are
declared, and frames reach them as plain records (``plain.py``), so for its own import both are made invisible.
"""

from __future__ import annotations

from etl.imports import invisible

with invisible("pandas", "numpy"):
    from sqlite_utils import Database as Database  # noqa: PLC0414 - offered to the rest of the store
