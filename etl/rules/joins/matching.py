"""Which row, which item and which agreed pair are one entry (rules §2): bulk joins, each thing used once.

Everything is joined on integers. A *key* stands for (person, channel, canonical value), is the same number on both
sides and in the baseline, and is ``MISSING`` (-1) where there is no value; ``MISSING`` never takes part in a join. A
*place* is the position of a row of the input, ``MISSING`` where there is none. What a step found is an array of places,
one for each baseline row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.rules.entry import MISSING
from etl.rules.joins.columns import ColumnArrays, factorize_pairs, index_of, occurrence_number, take_or
from etl.rules.values.classify import LITERAL
from etl.rules.values.readings import is_reading

if TYPE_CHECKING:
    from collections.abc import Callable

    SimilarityTest = Callable[[str, str], bool]
    PositionPairs = tuple[np.ndarray, np.ndarray]
    MatchStep = Callable[["MatchSides", np.ndarray, np.ndarray, np.ndarray], PositionPairs]

KOMM_KZ_IN_GROUP = 32
"""A group is a person and channel, times this, plus a kommKz."""


@dataclass(frozen=True)
class MatchSides:
    """What is matched, with these arrays computed and these texts.

    * ``base``: person, komm_id, kept (the string as written), espo_key, advo_key, group; espo_canonical
    * ``rows``: person, komm_id, key, filled (has a value), free_channel (a channel of its own), spare and emptied
      (``etl.rules.leftovers``)
    * ``items``: person, kept, key, group, pair (False for a second item with one canonical value), refused (Advoware
      did not take it), put_off_in (the row whose value it is to replace, which Advoware refused or nobody can read);
      canonical, readings
    """

    base: ColumnArrays
    rows: ColumnArrays
    items: ColumnArrays


@dataclass(frozen=True)
class EntryIndex:
    """The entries: which baseline row, row and item each is, ``MISSING`` where it has none."""

    base: np.ndarray
    row: np.ndarray
    item: np.ndarray


def match(sides: MatchSides, is_similar: SimilarityTest) -> EntryIndex:
    """Return the entries, each place at most once.

    Rows without a value appear only with their baseline row. ``is_similar`` compares two canonical values.
    """
    row = follow_moved_values(sides, join_rows_by_id(sides))
    item = np.full(len(row), MISSING)
    item = join_items_by_value(sides, row, item, only=has_value(sides, row))
    linked_row, linked_item = join_unlinked_pairs(sides, row, item)
    item = join_items_by_value(sides, row, item, linked_item=linked_item)
    item = join_changed_items(sides, row, item, linked_item, is_similar)
    row_only = positions_without(rows_without_pair(sides, row), linked_row)
    item_only = items_without_pair(sides, item, linked_item)
    return EntryIndex(
        base=np.concatenate(
            [np.arange(len(row)), all_missing(linked_row), all_missing(item_only), all_missing(row_only)]
        ),
        row=np.concatenate([row, linked_row, all_missing(item_only), row_only]),
        item=np.concatenate([item, linked_item, item_only, all_missing(row_only)]),
    )


def join_rows_by_id(sides: MatchSides) -> np.ndarray:
    """Step 1: baseline ⋈ rows on (person, komm_id), m:1."""
    base_keys, row_keys = factorize_pairs(*((side["person"], side["komm_id"]) for side in (sides.base, sides.rows)))
    return index_of(base_keys, row_keys)


def follow_moved_values(sides: MatchSides, row: np.ndarray) -> np.ndarray:
    """Step 1, moved: an unlinked row that holds the agreed value takes the place of a row that now holds another one.

    Only where EspoCRM still has the value: a number retyped into a new row keeps its pair, the old row is new. A row
    that lost its place so is unlinked itself, and may hold what another pair agreed on: two rows exchanged their
    values while a third took one of them. A row that holds the agreed value never moves again, so this ends.
    """
    base = sides.base
    while True:
        moved_pairs = np.flatnonzero(has_value(sides, row) & ~holds_baseline_value(sides, row))
        moved_pairs = moved_pairs[np.isin(base["espo_key"][moved_pairs], sides.items["key"])]
        free_rows = rows_without_pair(sides, row)
        pair_positions, row_positions = merge_one_to_one(base["advo_key"][moved_pairs], sides.rows["key"][free_rows])
        if not len(pair_positions):
            return row
        row = replace_at(row, moved_pairs[pair_positions], free_rows[row_positions])


def join_items_by_value(
    sides: MatchSides,
    row: np.ndarray,
    item: np.ndarray,
    *,
    only: np.ndarray | None = None,
    linked_item: np.ndarray | None = None,
) -> np.ndarray:
    """Steps 2 and 5: baseline rows (``only`` some) ⋈ items on the kept string, then on the agreed canonical value.

    Of two with one value first the one whose row holds it.
    """
    for base_column, item_column in (("kept", "kept"), ("espo_key", "key")):
        open_pairs = np.flatnonzero((item == MISSING) if only is None else only & (item == MISSING))
        open_pairs = open_pairs[
            np.lexsort((sides.base["komm_id"][open_pairs], ~holds_baseline_value(sides, row)[open_pairs]))
        ]
        free_items = items_without_pair(sides, item, linked_item)
        pair_positions, item_positions = merge_one_to_one(
            sides.base[base_column][open_pairs], sides.items[item_column][free_items]
        )
        item = replace_at(item, open_pairs[pair_positions], free_items[item_positions])
    return item


def join_unlinked_pairs(sides: MatchSides, row: np.ndarray, item: np.ndarray) -> PositionPairs:
    """Step 4: rows with a value and no baseline row ⋈ items on their value; of several the lowest komm_id."""
    rows, items = rows_without_pair(sides, row), items_without_pair(sides, item)
    row_positions, item_positions = merge_one_to_one(sides.rows["key"][rows], sides.items["key"][items])
    return rows[row_positions], items[item_positions]


def join_changed_items(
    sides: MatchSides, row: np.ndarray, item: np.ndarray, linked_item: np.ndarray, is_similar: SimilarityTest
) -> np.ndarray:
    """Step 6: what is gone from EspoCRM while its row stands ⋈ what is new there, within person, channel and kommKz.

    First where the row already holds the new value; then what is known as the change of this very row, because Advoware
    refused it (then it is otherwise no new one) or it waits to be written clearly; then one gone with one new; then
    what may say the agreed value; then by unique similarity.
    """
    for step in (
        by_row_value,
        by_postponement,
        new_items_only(single_in_group),
        new_items_only(by_possible_reading),
        new_items_only(by_similarity(is_similar)),
    ):
        open_pairs, free_items = (
            np.flatnonzero((item == MISSING) & has_value(sides, row)),
            items_without_pair(sides, item, linked_item),
        )
        if not len(open_pairs) or not len(free_items):
            break
        pair_positions, item_positions = step(sides, row, open_pairs, free_items)
        item = replace_at(item, open_pairs[pair_positions], free_items[item_positions])
    return item


def by_row_value(sides: MatchSides, row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray) -> PositionPairs:
    """Both sides were given the same new value."""
    row_values = sides.base["group"][open_pairs], sides.rows["key"][row[open_pairs]]
    item_values = sides.items["group"][free_items], sides.items["key"][free_items]
    return merge_one_to_one(*factorize_pairs(row_values, item_values))


def by_postponement(
    sides: MatchSides, _row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray
) -> PositionPairs:
    """The row keeps its old value, because the new one was refused or is unclear: still a change, no deletion."""
    postponed = np.flatnonzero(sides.items["put_off_in"][free_items] != MISSING)
    row_keys = channel_of_group(sides.base["group"][open_pairs]), sides.base["komm_id"][open_pairs]
    item_keys = (
        channel_of_group(sides.items["group"][free_items[postponed]]),
        sides.items["put_off_in"][free_items[postponed]],
    )
    pair_positions, item_positions = merge_one_to_one(*factorize_pairs(row_keys, item_keys))
    return pair_positions, postponed[item_positions]


def channel_of_group(group: np.ndarray) -> np.ndarray:
    """Person and channel of a group, whatever its kommKz."""
    return group // KOMM_KZ_IN_GROUP


def new_items_only(step: MatchStep) -> MatchStep:
    """The step for items that are new; one Advoware did not take was there before."""

    def match_new_items(
        sides: MatchSides, row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray
    ) -> PositionPairs:
        new_items = np.flatnonzero(~sides.items["refused"][free_items])
        pair_positions, item_positions = step(sides, row, open_pairs, free_items[new_items])
        return pair_positions, new_items[item_positions]

    return match_new_items


def single_in_group(
    sides: MatchSides, _row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray
) -> PositionPairs:
    """Exactly one is gone and one is new in the group."""
    (pair_groups, pair_positions), (item_groups, item_positions) = (
        unique_keys(side["group"][positions])
        for side, positions in ((sides.base, open_pairs), (sides.items, free_items))
    )
    _, in_pairs, in_items = np.intersect1d(pair_groups, item_groups, assume_unique=True, return_indices=True)
    return pair_positions[in_pairs], item_positions[in_items]


def unique_keys(groups: np.ndarray) -> PositionPairs:
    """The groups that stand once, and where."""
    keys, first, count = np.unique(groups, return_index=True, return_counts=True)
    return keys[count == 1], first[count == 1]


def by_possible_reading(
    sides: MatchSides, _row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray
) -> PositionPairs:
    """Unclear items that may say what one pair agreed on, and no other: that pair waits, and its row is not emptied."""
    return join_similar(
        (channel_of_group(sides.base["group"][open_pairs]), channel_of_group(sides.items["group"][free_items])),
        (sides.base.str_array("espo_canonical")[open_pairs], sides.items.str_array("readings")[free_items]),
        may_mean,
    )


def may_mean(canonical: str, readings: str) -> bool:
    """Whether an agreed canonical value is a number or address that an unclear one may mean."""
    return not canonical.startswith(LITERAL) and is_reading(canonical, readings)


def by_similarity(is_similar: SimilarityTest) -> MatchStep:
    """Pairs that resemble each other and nothing else, in both directions."""

    def match_similar(
        sides: MatchSides, _row: np.ndarray, open_pairs: np.ndarray, free_items: np.ndarray
    ) -> PositionPairs:
        return join_similar(
            (sides.base["group"][open_pairs], sides.items["group"][free_items]),
            (sides.base.str_array("espo_canonical")[open_pairs], sides.items.str_array("canonical")[free_items]),
            is_similar,
        )

    return match_similar


def join_similar(groups: PositionPairs, texts: PositionPairs, is_similar: SimilarityTest) -> PositionPairs:
    """What is similar within a group, and to nothing else there, in both directions; where it stands."""
    if not np.isin(*groups).any():
        return all_missing(groups[0][:0]), all_missing(groups[1][:0])
    old_values = pd.DataFrame({"group": groups[0], "ours": np.arange(len(groups[0]))})
    new_values = pd.DataFrame({"group": groups[1], "theirs": np.arange(len(groups[1]))})
    pairs = old_values.merge(new_values, on="group", how="inner", validate="m:m")
    old_positions, new_positions = pairs["ours"].to_numpy(), pairs["theirs"].to_numpy()
    is_alike = np.array(
        [is_similar(*values) for values in zip(texts[0][old_positions], texts[1][new_positions], strict=True)],
        dtype=bool,
    )
    old_positions, new_positions = old_positions[is_alike], new_positions[is_alike]
    is_unique = np.isin(old_positions, unique_keys(old_positions)[0]) & np.isin(
        new_positions, unique_keys(new_positions)[0]
    )
    return old_positions[is_unique], new_positions[is_unique]


def rows_without_pair(sides: MatchSides, row: np.ndarray) -> np.ndarray:
    """Rows with a value and a channel that no baseline row claims, in the order they are preferred: lowest komm_id."""
    is_free = sides.rows["filled"] & sides.rows["free_channel"]
    is_free[row[row != MISSING]] = False
    rows = np.flatnonzero(is_free)
    return rows[np.argsort(sides.rows["komm_id"][rows], kind="stable")]


def items_without_pair(sides: MatchSides, *used: np.ndarray | None) -> np.ndarray:
    """Items that are nobody's yet; of two with one value only the first counts."""
    is_free = sides.items["pair"] & (sides.items["key"] != MISSING)
    for positions in used:
        if positions is not None:
            is_free[positions[positions != MISSING]] = False
    return np.flatnonzero(is_free)


def merge_one_to_one(left_side: np.ndarray, right_side: np.ndarray) -> PositionPairs:
    """Join two arrays of keys 1:1, each position used at most once, in the order given; where they meet."""
    left_positions, right_positions = np.flatnonzero(left_side != MISSING), np.flatnonzero(right_side != MISSING)
    left_keys, right_keys = left_side[left_positions], right_side[right_positions]
    if not (
        pd.Index(left_keys).is_unique and pd.Index(right_keys).is_unique
    ):  # the first meets the first, the second the second
        left_keys, right_keys = factorize_pairs(
            (occurrence_number(left_keys), left_keys), (occurrence_number(right_keys), right_keys)
        )
    matches = index_of(left_keys, right_keys)
    return left_positions[matches != MISSING], right_positions[matches[matches != MISSING]]


def has_value(sides: MatchSides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row stands and has a value."""
    return take_or(sides.rows["filled"], row, missing=False).astype(bool)


def holds_baseline_value(sides: MatchSides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row still holds the agreed value."""
    is_held: np.ndarray = (row != MISSING) & (take_or(sides.rows["key"], row) == sides.base["advo_key"])
    return is_held


def replace_at(column: np.ndarray, positions: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The column with ``value`` at these positions."""
    result = column.copy()
    result[positions] = value
    return result


def all_missing(positions: np.ndarray) -> np.ndarray:
    """As many places of nothing."""
    return np.full(len(positions), MISSING)


def positions_without(candidates: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Places of which nothing was used, in their own order."""
    return np.sort(candidates[~np.isin(candidates, used)])
