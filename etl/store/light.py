"""sqlite-utils without pandas: a command that only looks answers in half the time.

sqlite-utils imports pandas and numpy where they are installed, to guess column types from frames. Our tables are
declared, and frames reach them as plain records (``plain.py``), so for its own import both are made invisible.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def invisible(*libraries: str) -> Iterator[None]:
    """Let imports of the block not find these libraries, unless somebody imported them already."""
    hidden = [name for name in libraries if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python takes as "is not there"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with invisible("pandas", "numpy"):
    from sqlite_utils import Database as Database  # noqa: PLC0414 - offered to the rest of the store
