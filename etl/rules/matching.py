"""Which row, which item and which agreed pair are one entry (rules.md §2): bulk joins, each thing used once.

Everything is joined on integers. A *key* stands for (person, channel, canonical value), is the same number on both
sides and in the baseline, and is ``NONE`` (-1) where there is no value; ``NONE`` never takes part in a join.
A *place* is the position of a row of the input frame, ``NONE`` where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

NONE: Final = -1
"""No key, or no place. A sentinel rather than NA: joins stay on plain int64 and null can never equal null."""

ENTRY_PLACES: Final = ["base", "row", "item"]


@dataclass(frozen=True)
class Sides:
    """What is matched; each frame has a RangeIndex, whose values are the places.

    * ``base``: person, komm_id, espo_key, advo_key, group, espo_canonical
    * ``rows``: person, komm_id, key, marker_key, filled (has a value), free_channel (a channel of its own)
    * ``items``: person, key, group, canonical, pair (False for a second item with one canonical value)
    """

    base: pd.DataFrame
    rows: pd.DataFrame
    items: pd.DataFrame


def match(sides: Sides, similar: Callable[[str, str], bool]) -> pd.DataFrame:
    """Return the entries: places ``base``, ``row``, ``item`` (``NONE`` where missing), each place at most once.

    Rows without a value appear only with their baseline row. ``similar`` compares two canonical values.
    """
    sides = joined_columns(sides)
    base = rows_of_baseline(sides)
    base = take_moved_rows(base, sides)
    base = items_by_agreed_value(base, sides, only=has_value(base, sides))
    links = unlinked_pairs(base, sides)
    base = items_by_agreed_value(base, sides, only=base["item"].eq(NONE), taken=links["item"])
    base = changed_items(base, sides, links["item"], similar)
    known = base[ENTRY_PLACES]
    paired = pd.concat([known, links.assign(base=NONE)[ENTRY_PLACES]], ignore_index=True)
    item_only = left_over(sides.items.index[sides.items["pair"] & sides.items["key"].ne(NONE)], paired["item"])
    row_only = left_over(free_rows(sides, base).index, paired["row"])
    return pd.concat(
        [paired, places(item=item_only), places(row=row_only)],
        ignore_index=True,
    ).astype("int64")


def joined_columns(sides: Sides) -> Sides:
    """Return the frames with only the columns the joins look at: each join copies what it is given."""
    return Sides(
        base=sides.base[["person", "komm_id", "espo_key", "advo_key", "group", "espo_canonical"]],
        rows=sides.rows[["person", "komm_id", "key", "filled", "free_channel"]],
        items=sides.items[["person", "key", "group", "canonical", "pair"]],
    )


def rows_of_baseline(sides: Sides) -> pd.DataFrame:
    """Step 1: baseline ⋈ rows on (person, komm_id)."""
    rows = sides.rows.reset_index(names="row")[["person", "komm_id", "row"]]
    joined = sides.base.reset_index(names="base").merge(rows, on=["person", "komm_id"], how="left", validate="m:1")
    return joined.assign(row=joined["row"].fillna(NONE).astype("int64"), item=np.int64(NONE))


def take_moved_rows(base: pd.DataFrame, sides: Sides) -> pd.DataFrame:
    """Step 1, moved: an unlinked row that holds the agreed value takes the place of a row that now holds another one.

    Only where EspoCRM still has the value: a number retyped into a new row keeps its pair, the old row is new.
    """
    moved = base[has_value(base, sides) & ~holds_agreed(base, sides) & base["espo_key"].isin(sides.items["key"])]
    if moved.empty:
        return base
    found = join_once(moved.rename(columns={"advo_key": "key"}), "base", ranked(free_rows(sides, base)), "row_new")
    return base.assign(row=overlay(base["row"], base["base"], found["base"], found["row_new"]))


def items_by_agreed_value(
    base: pd.DataFrame, sides: Sides, *, only: pd.Series, taken: pd.Series | None = None
) -> pd.DataFrame:
    """Steps 2 and 5: baseline rows (``only`` some) ⋈ items on the agreed value; first the one whose row holds it."""
    used = pd.concat([base["item"], taken]) if taken is not None else base["item"]
    items = free_items(sides, used)
    wanted = base[only & base["item"].eq(NONE)]
    if wanted.empty or items.empty:
        return base
    wanted = wanted.assign(second=~holds_agreed(wanted, sides)).sort_values(["second", "komm_id"], kind="stable")
    found = join_once(
        wanted.rename(columns={"espo_key": "key"}), "base", items.reset_index(names="item_new"), "item_new"
    )
    return base.assign(item=overlay(base["item"], base["base"], found["base"], found["item_new"]))


def unlinked_pairs(base: pd.DataFrame, sides: Sides) -> pd.DataFrame:
    """Step 4: rows with a value and no baseline row ⋈ items on their value; of several the lowest komm_id."""
    rows = ranked(free_rows(sides, base)).rename(columns={"row_new": "row"})
    items = free_items(sides, base["item"]).reset_index(names="item")
    return join_once(rows, "row", items, "item")


def changed_items(
    base: pd.DataFrame, sides: Sides, linked: pd.Series, similar: Callable[[str, str], bool]
) -> pd.DataFrame:
    """Step 6: what is gone from EspoCRM while its row stands ⋈ what is new there, within person, channel and kommKz.

    First where the row already holds the new value; then one gone with one new; then by unique similarity.
    """
    if not (base["item"].eq(NONE) & has_value(base, sides)).any():
        return base
    base = base.assign(row_key=take(sides.rows["key"], base["row"]))
    for step in (same_already, only_one, by_similarity(similar)):
        gone = base[base["item"].eq(NONE) & has_value(base, sides)]
        new = free_items(sides, pd.concat([base["item"], linked])).reset_index(names="item_new")
        if gone.empty or new.empty:
            break
        found = step(gone, new)
        base = base.assign(item=overlay(base["item"], base["base"], found["base"], found["item_new"]))
    return base


def same_already(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Both sides were given the same new value."""
    held = gone.rename(columns={"row_key": "key"})[["key", "group", "base"]]
    return held.merge(
        new[["key", "group", "item_new"]], on=["key", "group"], how="inner", validate="m:1"
    ).drop_duplicates("item_new")


def only_one(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Exactly one is gone and one is new in the group."""
    return gone.drop_duplicates("group", keep=False).merge(
        new.drop_duplicates("group", keep=False)[["group", "item_new"]], on="group", how="inner", validate="1:1"
    )


def by_similarity(similar: Callable[[str, str], bool]) -> Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]:
    """Pairs that resemble each other and nothing else, in both directions."""

    def step(gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
        pairs = gone[["base", "group", "espo_canonical"]].merge(
            new[["item_new", "group", "canonical"]], on="group", how="inner", validate="m:m"
        )
        alike = [similar(was, now) for was, now in zip(pairs["espo_canonical"], pairs["canonical"], strict=True)]
        pairs = pairs[np.array(alike, dtype=bool)]
        return pairs[~pairs["base"].duplicated(keep=False) & ~pairs["item_new"].duplicated(keep=False)]

    return step


def free_rows(sides: Sides, base: pd.DataFrame) -> pd.DataFrame:
    """Rows with a value and a channel that no baseline row claims."""
    rows = sides.rows
    return rows[rows["filled"] & rows["free_channel"] & ~rows.index.isin(base["row"])]


def free_items(sides: Sides, used: pd.Series) -> pd.DataFrame:
    """Items that are nobody's yet; of two with one value only the first counts."""
    items = sides.items
    return items[items["pair"] & items["key"].ne(NONE) & ~items.index.isin(used)]


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Free rows in the order they are preferred: lowest komm_id first; their place is ``row_new``."""
    return rows.sort_values("komm_id", kind="stable").reset_index(names="row_new")


def join_once(left: pd.DataFrame, left_place: str, right: pd.DataFrame, right_place: str) -> pd.DataFrame:
    """Join on ``key`` so that each row of both frames is used at most once, in the order given."""
    if left.empty or right.empty:  # most steps of most runs: nothing is left to match
        return pd.DataFrame({column: np.empty(0, dtype="int64") for column in ("key", left_place, "turn", right_place)})
    ours = left.loc[left["key"].ne(NONE), ["key", left_place]]
    theirs = right.loc[right["key"].ne(NONE), ["key", right_place]]
    return ours.assign(turn=ours.groupby("key").cumcount()).merge(
        theirs.assign(turn=theirs.groupby("key").cumcount()), on=["key", "turn"], how="inner", validate="1:1"
    )


def has_value(base: pd.DataFrame, sides: Sides) -> pd.Series:
    """Whether the row of each baseline row stands and has a value."""
    return pd.Series(take(sides.rows["filled"], base["row"], missing=False).astype(bool), index=base.index)


def holds_agreed(base: pd.DataFrame, sides: Sides) -> pd.Series:
    """Whether the row of each baseline row still holds the agreed value."""
    return pd.Series(take(sides.rows["key"], base["row"]) == base["advo_key"].to_numpy(), index=base.index) & base[
        "row"
    ].ne(NONE)


def take(column: pd.Series | np.ndarray, where: pd.Series, missing: Any = NONE) -> np.ndarray:  # noqa: ANN401 - of any dtype
    """The column's values at these places, ``missing`` where there is none."""
    values = np.asarray(column)
    at = where.to_numpy(dtype="int64")
    if len(values) == 0:
        return np.full(len(at), missing)
    found: np.ndarray = np.where(at == NONE, missing, values[np.where(at == NONE, 0, at)])
    return found


def overlay(column: pd.Series, key: pd.Series, at: pd.Series, value: pd.Series) -> pd.Series:
    """The column with ``value`` put where ``key`` is one of ``at``."""
    if at.empty:
        return column
    found = pd.Series(value.to_numpy(), index=at.to_numpy())
    return column.where(~key.isin(at), key.map(found)).astype("int64")


def left_over(candidates: pd.Index, used: pd.Series) -> pd.Index:
    """Places of which nothing was used."""
    return candidates[~candidates.isin(used)]


def places(*, row: pd.Index | None = None, item: pd.Index | None = None) -> pd.DataFrame:
    """Entries that stand alone on one side."""
    alone = row if row is not None else item
    frame = pd.DataFrame({"base": NONE, "row": NONE, "item": NONE}, index=range(len(alone) if alone is not None else 0))
    return frame.assign(**{"row" if row is not None else "item": np.asarray(alone, dtype="int64")})
