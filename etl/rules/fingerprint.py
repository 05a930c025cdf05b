"""The fingerprint of a person's rows (rules.md §0): EspoCRM's ``kommunikationHash``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEX_DIGITS = 16


def fingerprint(row_ids: Iterable[str]) -> str:
    """Return the first 16 hex digits of MD5 over the sorted rowIds, joined without separator.

    In go the rowIds of the person's sync-relevant rows, slots and empty rows left out, in any order. A rowId changes
    with every write to its row (advoware-api.md §2), so an equal fingerprint means untouched rows.
    """
    joined = "".join(sorted(row_ids))
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()[:_HEX_DIGITS]
