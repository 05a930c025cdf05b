"""Which row, which item and which agreed pair are one entry (rules.md §2): bulk joins, each thing used once.

Everything is joined on integers. A *key* stands for (person, channel, canonical value), is the same number on both
sides and in the baseline, and is ``NONE`` (-1) where there is no value; ``NONE`` never takes part in a join.
A *place* is the position of a row of the input frame, ``NONE`` where there is none. What a step found is an array of
places, one for each baseline row: masks over arrays cost a hundredth of masks over frames, and most runs are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from etl.rules.entry import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    Similar = Callable[[str, str], bool]
    Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Sides:
    """What is matched; each frame has a RangeIndex, whose values are the places.

    * ``base``: person, komm_id, espo_key, advo_key, group, espo_canonical
    * ``rows``: person, komm_id, key, filled (has a value), free_channel (a channel of its own)
    * ``items``: person, key, group, canonical, pair (False for a second item with one canonical value)
    """

    base: pd.DataFrame
    rows: pd.DataFrame
    items: pd.DataFrame


def match(sides: Sides, similar: Similar) -> pd.DataFrame:
    """Return the entries: places ``base``, ``row``, ``item`` (``NONE`` where missing), each place at most once.

    Rows without a value appear only with their baseline row. ``similar`` compares two canonical values.
    """
    row = take_moved_rows(sides, rows_of_baseline(sides))
    item = np.full(len(row), NONE)
    item = items_by_agreed_value(sides, row, item, only=has_value(sides, row))
    linked_row, linked_item = unlinked_pairs(sides, row, item)
    item = items_by_agreed_value(sides, row, item, taken=linked_item)
    item = changed_items(sides, row, item, linked_item, similar)
    row_only = left_over(free_rows(sides, row), linked_row)
    item_only = free_items(sides, item, linked_item)
    return entries(
        base=[np.arange(len(row)), nothing(linked_row), nothing(item_only), nothing(row_only)],
        row=[row, linked_row, nothing(item_only), row_only],
        item=[item, linked_item, item_only, nothing(row_only)],
    )


def entries(**places: list[np.ndarray]) -> pd.DataFrame:
    """One frame of places."""
    return pd.DataFrame({name: np.concatenate(parts).astype("int64") for name, parts in places.items()})


def rows_of_baseline(sides: Sides) -> np.ndarray:
    """Step 1: baseline ⋈ rows on (person, komm_id)."""
    if sides.base.empty:
        return np.empty(0, dtype="int64")
    rows = sides.rows[["person", "komm_id"]].assign(row=np.arange(len(sides.rows)))
    joined = sides.base[["person", "komm_id"]].merge(rows, on=["person", "komm_id"], how="left", validate="m:1")
    return joined["row"].fillna(NONE).to_numpy(dtype="int64")


def take_moved_rows(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Step 1, moved: an unlinked row that holds the agreed value takes the place of a row that now holds another one.

    Only where EspoCRM still has the value: a number retyped into a new row keeps its pair, the old row is new.
    """
    base = sides.base
    moved = np.flatnonzero(has_value(sides, row) & ~holds_agreed(sides, row))
    moved = moved[np.isin(array(base["espo_key"])[moved], array(sides.items["key"]))]
    free = free_rows(sides, row)
    ours, theirs = join_once(array(base["advo_key"])[moved], array(sides.rows["key"])[free])
    return put(row, moved[ours], free[theirs])


def items_by_agreed_value(
    sides: Sides, row: np.ndarray, item: np.ndarray, *, only: np.ndarray | None = None, taken: np.ndarray | None = None
) -> np.ndarray:
    """Steps 2 and 5: baseline rows (``only`` some) ⋈ items on the agreed value; first the one whose row holds it."""
    wanted = np.flatnonzero((item == NONE) if only is None else only & (item == NONE))
    komm_id, second = array(sides.base["komm_id"])[wanted], ~holds_agreed(sides, row)[wanted]
    wanted = wanted[np.lexsort((komm_id, second))]
    free = free_items(sides, item, taken)
    ours, theirs = join_once(array(sides.base["espo_key"])[wanted], array(sides.items["key"])[free])
    return put(item, wanted[ours], free[theirs])


def unlinked_pairs(sides: Sides, row: np.ndarray, item: np.ndarray) -> Pairs:
    """Step 4: rows with a value and no baseline row ⋈ items on their value; of several the lowest komm_id."""
    rows, items = free_rows(sides, row), free_items(sides, item)
    ours, theirs = join_once(array(sides.rows["key"])[rows], array(sides.items["key"])[items])
    return rows[ours], items[theirs]


def changed_items(
    sides: Sides, row: np.ndarray, item: np.ndarray, linked: np.ndarray, similar: Similar
) -> np.ndarray:
    """Step 6: what is gone from EspoCRM while its row stands ⋈ what is new there, within person, channel and kommKz.

    First where the row already holds the new value; then one gone with one new; then by unique similarity.
    """
    for step in (same_already, only_one, by_similarity(similar)):
        gone = np.flatnonzero((item == NONE) & has_value(sides, row))
        new = free_items(sides, item, linked)
        if not len(gone) or not len(new):
            break
        base = sides.base.iloc[gone][["group", "espo_canonical"]]
        items = sides.items.iloc[new][["key", "group", "canonical"]]
        found = step(base.assign(base=gone, key=take(sides.rows["key"], row[gone])), items.assign(item=new))
        item = put(item, array(found["base"]), array(found["item"]))
    return item


def same_already(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Both sides were given the same new value."""
    return (
        gone[["key", "group", "base"]]
        .merge(new[["key", "group", "item"]], on=["key", "group"], how="inner", validate="m:1")
        .drop_duplicates("item")
    )


def only_one(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Exactly one is gone and one is new in the group."""
    return gone.drop_duplicates("group", keep=False).merge(
        new.drop_duplicates("group", keep=False)[["group", "item"]], on="group", how="inner", validate="1:1"
    )


def by_similarity(similar: Similar) -> Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]:
    """Pairs that resemble each other and nothing else, in both directions."""

    def step(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
        pairs = gone[["base", "group", "espo_canonical"]].merge(
            new[["item", "group", "canonical"]], on="group", how="inner", validate="m:m"
        )
        alike = [similar(was, now) for was, now in zip(pairs["espo_canonical"], pairs["canonical"], strict=True)]
        pairs = pairs[np.array(alike, dtype=bool)]
        return pairs[~pairs["base"].duplicated(keep=False) & ~pairs["item"].duplicated(keep=False)]

    return step


def free_rows(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Rows with a value and a channel that no baseline row claims, in the order they are preferred: lowest komm_id."""
    free = array(sides.rows["filled"]) & array(sides.rows["free_channel"])
    free[row[row != NONE]] = False
    rows = np.flatnonzero(free)
    return rows[np.argsort(array(sides.rows["komm_id"])[rows], kind="stable")]


def free_items(sides: Sides, *used: np.ndarray | None) -> np.ndarray:
    """Items that are nobody's yet; of two with one value only the first counts."""
    free = array(sides.items["pair"]) & (array(sides.items["key"]) != NONE)
    for places in used:
        if places is not None:
            free[places[places != NONE]] = False
    return np.flatnonzero(free)


def join_once(left: np.ndarray, right: np.ndarray) -> Pairs:
    """Join two arrays of keys so that each position is used at most once, in the order given; where they meet."""
    if not len(left) or not len(right):  # most steps of most runs: nothing is left to match
        return np.empty(0, dtype="int64"), np.empty(0, dtype="int64")
    ours, theirs = keyed(left, "ours"), keyed(right, "theirs")
    on = ["key"]
    if ours["key"].duplicated().any() or theirs["key"].duplicated().any():
        on = ["key", "turn"]
        ours, theirs = (one.assign(turn=one.groupby("key").cumcount()) for one in (ours, theirs))
    met = ours.merge(theirs, on=on, how="inner", validate="1:1")
    return array(met["ours"]), array(met["theirs"])


def keyed(keys: np.ndarray, place: str) -> pd.DataFrame:
    """The positions that have a key."""
    at = np.flatnonzero(keys != NONE)
    return pd.DataFrame({"key": keys[at], place: at})


def has_value(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row stands and has a value."""
    return take(sides.rows["filled"], row, missing=False).astype(bool)


def holds_agreed(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row still holds the agreed value."""
    holds: np.ndarray = (row != NONE) & (take(sides.rows["key"], row) == array(sides.base["advo_key"]))
    return holds


def array(column: pd.Series) -> np.ndarray:
    """A column of whole numbers or facts without NA as it is, a copy where the caller writes to it."""
    return column.to_numpy()


def take(column: pd.Series | np.ndarray, where: pd.Series | np.ndarray, missing: Any = NONE) -> np.ndarray:  # noqa: ANN401 - of any dtype
    """The column's values at these places, ``missing`` where there is none."""
    values, at = np.asarray(column), np.asarray(where)
    if len(values) == 0:
        return np.full(len(at), missing)
    found: np.ndarray = values[at]  # NONE is the last position, overwritten at once
    nowhere = at == NONE
    if nowhere.any():
        found = np.where(nowhere, missing, found)
    return found


def put(column: np.ndarray, at: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The column with ``value`` at these positions."""
    changed = column.copy()
    changed[at] = value
    return changed


def nothing(places: np.ndarray) -> np.ndarray:
    """As many places of nothing."""
    return np.full(len(places), NONE)


def left_over(candidates: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Places of which nothing was used, in their own order."""
    return np.sort(candidates[~np.isin(candidates, used)])
