"""Columns of a table as arrays: what is joined and compared, at a hundredth of the fixed cost of a frame.

A frame's own columns are converted when first asked for, and once; what is computed stands beside them. Most plans are
of a few persons, and there the cost of an operation is that of its frame, not of its rows (measured in tests/bench).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.entry import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence


class Columns:
    """A frame and, by name, arrays of its length. A *place* is a position, whatever the frame's index says."""

    def __init__(self, frame: pd.DataFrame, **computed: np.ndarray) -> None:
        self.frame = frame
        self._computed = computed
        self._words: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        """How many rows."""
        return len(self.frame)

    def __getitem__(self, name: str) -> np.ndarray:
        """What was computed under this name."""
        return self._computed[name]

    def words(self, name: str) -> np.ndarray:
        """A text column as an array of str, empty for null."""
        if name not in self._words:
            self._words[name] = words(self.frame[name])
        return self._words[name]

    def whole(self, name: str, missing: int = NONE) -> np.ndarray:
        """A column of whole numbers as int64, ``missing`` for null."""
        return whole(self.frame[name], missing)

    def facts(self, name: str) -> np.ndarray:
        """A column of facts as bool, False for null."""
        return facts(self.frame[name])

    def records(self, at: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
        """The rows at these places as dictionaries of these columns and all computed ones, NA as None."""
        chosen = self.frame if len(at) == len(self.frame) else self.frame.iloc[at]
        plain = {"dtype": "object", "na_value": None}
        columns = [chosen[name].to_numpy(**plain).tolist() for name in names]  # type: ignore[call-overload]  # the stubs know no None
        columns += [array[at].tolist() for array in self._computed.values()]
        keys = [*names, *self._computed]
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def words(column: pd.Series) -> np.ndarray:
    """A text column as an array of str, empty for null."""
    return column.to_numpy(dtype="object", na_value="")


def whole(column: pd.Series, missing: int = NONE) -> np.ndarray:
    """A column of whole numbers as int64, ``missing`` for null."""
    return column.to_numpy(dtype="int64", na_value=missing)


def facts(column: pd.Series) -> np.ndarray:
    """A column of facts as bool, False for null."""
    return column.to_numpy(dtype="bool", na_value=False)


def text(column: pd.Series) -> pa.Array:
    """A text column as Arrow holds it, in one piece."""
    held = pa.array(column, type=pa.large_string(), from_pandas=True)
    return held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held


def is_text(canonical: pd.Series) -> np.ndarray:
    """Where a value is neither nothing nor a number; a mail counts as text too."""
    return is_true(pc.invert(pc.starts_with(text(canonical), "+")))


def is_true(held: pa.BooleanArray) -> np.ndarray:
    """Arrow's facts as an array of bool, False for null."""
    told: np.ndarray = held.fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003  Arrow takes it by place
    return told


# Joins over arrays ----------------------------------------------------------------------------------------------------


def place_among(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Join m:1: the place of each wanted key among ``keys``, ``NONE`` where it is not; raises where keys repeat.

    ``NONE`` as a key is the caller's to leave out.
    """
    if not len(wanted) or not len(keys):
        return np.full(len(wanted), NONE)
    places: np.ndarray = pd.Index(keys).get_indexer(pd.Index(wanted))
    return places


def pair_codes(*pairs: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """One integer for each distinct pair of whole numbers, the same over all the given columns of pairs."""
    second, codes = np.unique(np.concatenate([two for _, two in pairs]), return_inverse=True)
    together = np.concatenate([one for one, _ in pairs]) * max(len(second), 1) + codes
    return np.split(together, np.cumsum([len(one) for one, _ in pairs])[:-1])


def is_among(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether each pair of whole numbers on the left stands on the right."""
    ours, theirs = pair_codes(left, right)
    return np.isin(ours, theirs)


def turn_of(keys: np.ndarray) -> np.ndarray:
    """How often each key stood before its place."""
    return pd.Series(keys).groupby(keys).cumcount().to_numpy()


def take(values: np.ndarray, where: np.ndarray, missing: Any = NONE) -> np.ndarray:  # noqa: ANN401 - of any dtype
    """The values at these places, ``missing`` where there is none."""
    if len(values) == 0:
        return np.full(len(where), missing)
    found: np.ndarray = values[where]  # NONE is the last position, overwritten at once
    nowhere = where == NONE
    return np.where(nowhere, missing, found) if nowhere.any() else found
