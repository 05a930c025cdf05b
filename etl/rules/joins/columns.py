"""What the joins ask of columns: comparing where one may be null, and the way out of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def plain_values(column: pd.Series) -> list[Any]:
    """A column as plain Python values, NA as None."""
    values: list[Any] = column.to_numpy(dtype="object", na_value=None).tolist()  # type: ignore[call-overload]  # the stubs know no None
    return values


def frame_records(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a frame as dictionaries of plain Python values, NA as None."""
    names = list(frame.columns) if columns is None else list(columns)
    values = [plain_values(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def is_equal(left: pd.Series, right: pd.Series) -> np.ndarray:
    """Where two columns hold the same, as an array of bool; null is the same as null and as nothing else."""
    return is_true(left.eq(right)) | (left.isna() & right.isna()).to_numpy(dtype=bool)


def is_true(facts: pd.Series) -> np.ndarray:
    """Facts as an array of bool, False for null."""
    return facts.to_numpy(dtype=bool, na_value=False)


def is_equal_text(left: pd.Series, right: pd.Series) -> np.ndarray:
    """Where two text columns hold the same, as an array of bool; null counts as empty text."""
    same: np.ndarray = text_or_empty(left) == text_or_empty(right)
    return same.astype(bool)


def text_or_empty(texts: pd.Series) -> np.ndarray:
    """A text column as an array of str, empty for null."""
    return texts.to_numpy(dtype="object", na_value="")


def is_text(canonicals: pd.Series) -> np.ndarray:
    """Where a canonical value is neither null nor a number; a mail counts as text too."""
    return ~canonicals.str.startswith("+").to_numpy(dtype=bool, na_value=True)


def is_any_of(texts: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Where a text is one of those wanted, null among nulls; ``isin`` of Arrow's texts takes ten times as long."""
    wanted_texts = set(plain_values(wanted))
    return np.array([text in wanted_texts for text in plain_values(texts)], dtype=bool)
