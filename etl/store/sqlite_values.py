"""Values as SQLite takes them: plain Python, whatever a frame or a decision held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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
