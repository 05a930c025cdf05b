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

from etl.rules.entry import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ColumnArrays:
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

    def str_array(self, name: str) -> np.ndarray:
        """A text column as an array of str, empty for null."""
        if name not in self._words:
            self._words[name] = str_array(self.frame[name])
        return self._words[name]

    def int_array(self, name: str, missing: int = MISSING) -> np.ndarray:
        """A column of whole numbers as int64, ``missing`` for null."""
        return int_array(self.frame[name], missing)

    def bool_array(self, name: str) -> np.ndarray:
        """A column of facts as bool, False for null."""
        return bool_array(self.frame[name])

    def records(self, positions: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
        """The rows at these places as dictionaries of these columns and all computed ones, NA as None."""
        rows_frame = self.frame if len(positions) == len(self.frame) else self.frame.iloc[positions]
        plain = {"dtype": "object", "na_value": None}
        columns = [rows_frame[name].to_numpy(**plain).tolist() for name in names]  # type: ignore[call-overload]  # the stubs know no None
        columns += [array[positions].tolist() for array in self._computed.values()]
        keys = [*names, *self._computed]
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def str_array(column: pd.Series) -> np.ndarray:
    """A text column as an array of str, empty for null."""
    return column.to_numpy(dtype="object", na_value="")


def int_array(column: pd.Series, missing: int = MISSING) -> np.ndarray:
    """A column of whole numbers as int64, ``missing`` for null."""
    return column.to_numpy(dtype="int64", na_value=missing)


def bool_array(column: pd.Series) -> np.ndarray:
    """A column of facts as bool, False for null."""
    return column.to_numpy(dtype="bool", na_value=False)


def arrow_text(column: pd.Series) -> pa.Array:
    """A text column as Arrow holds it, in one piece."""
    array = pa.array(column, type=pa.large_string(), from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def is_not_number(canonicals: pd.Series) -> np.ndarray:
    """Where a value is neither nothing nor a number; a mail counts as text too."""
    return bools_from_arrow(pc.invert(pc.starts_with(arrow_text(canonicals), "+")))


def bools_from_arrow(array: pa.BooleanArray) -> np.ndarray:
    """Arrow's facts as an array of bool, False for null."""
    bools: np.ndarray = array.fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003  Arrow takes it by place
    return bools


# Joins over arrays ----------------------------------------------------------------------------------------------------


def index_of(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Join m:1: the place of each wanted key among ``keys``, ``MISSING`` where it is not; raises where keys repeat.

    ``MISSING`` as a key is the caller's to leave out.
    """
    if not len(wanted) or not len(keys):
        return np.full(len(wanted), MISSING)
    positions: np.ndarray = pd.Index(keys).get_indexer(pd.Index(wanted))
    return positions


def factorize_pairs(*pairs: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """One integer for each distinct pair of whole numbers, the same over all the given columns of pairs."""
    second, codes = np.unique(np.concatenate([second_of_pair for _, second_of_pair in pairs]), return_inverse=True)
    combined = np.concatenate([first_of_pair for first_of_pair, _ in pairs]) * max(len(second), 1) + codes
    return np.split(combined, np.cumsum([len(first_of_pair) for first_of_pair, _ in pairs])[:-1])


def isin_pairs(wanted_pairs: tuple[np.ndarray, np.ndarray], pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether each pair of whole numbers on the left stands on the right."""
    left_codes, right_codes = factorize_pairs(wanted_pairs, pairs)
    return np.isin(left_codes, right_codes)


def occurrence_number(keys: np.ndarray) -> np.ndarray:
    """How often each key stood before its place."""
    return pd.Series(keys).groupby(keys).cumcount().to_numpy()


def take_or(values: np.ndarray, positions: np.ndarray, missing: Any = MISSING) -> np.ndarray:  # noqa: ANN401 - of any dtype
    """The values at these places, ``missing`` where there is none."""
    if len(values) == 0:
        return np.full(len(positions), missing)
    taken_values: np.ndarray = values[positions]  # NONE is the last position, overwritten at once
    is_missing = positions == MISSING
    return np.where(is_missing, missing, taken_values) if is_missing.any() else taken_values
