"""What crosses into SQLite: plain Python values, whatever a frame or a decision held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})


def plain_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with each value plain."""
    return {name: plain(value) for name, value in record.items()}


def plain(value: Any) -> Any:
    """Return the value as SQLite takes it: missing as None, a list or dict as JSON text, a numpy scalar as Python's.

    Unconverted, a numpy integer would become a BLOB, and pandas' NA is refused by the driver.
    """
    if type(value) in PLAIN:
        return None if value != value else value  # noqa: PLR0124  NaN, the one value unequal to itself
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=plain_scalar)
    if isinstance(value, str):
        return str(value)
    return plain_scalar(value)


def plain_scalar(value: Any) -> Any:
    """Return a pandas or numpy scalar as Python's own, None for NA and NaT."""
    import pandas as pd  # noqa: PLC0415  only where a frame was made: commands that just look stay quick

    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
