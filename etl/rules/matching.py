"""Which row, which item and which agreed pair are one entry (rules.md §2): bulk joins, each thing used once.

Everything is joined on integers. A *key* stands for (person, channel, canonical value), is the same number on both
sides and in the baseline, and is ``NONE`` (-1) where there is no value; ``NONE`` never takes part in a join.
A *place* is the position of a row of the input, ``NONE`` where there is none. What a step found is an array of places,
one for each baseline row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.rules.columns import Columns, pair_codes, place_among, take, turn_of
from etl.rules.entry import NONE
from etl.rules.readings import is_reading
from etl.rules.values import LITERAL

if TYPE_CHECKING:
    from collections.abc import Callable

    Similar = Callable[[str, str], bool]
    Pairs = tuple[np.ndarray, np.ndarray]
    Step = Callable[["Sides", np.ndarray, np.ndarray, np.ndarray], Pairs]

KOMM_KZ_IN_GROUP = 32
"""A group is a person and channel, times this, plus a kommKz."""


@dataclass(frozen=True)
class Sides:
    """What is matched, with these arrays computed and these texts.

    * ``base``: person, komm_id, kept (the string as written), espo_key, advo_key, group; espo_canonical
    * ``rows``: person, komm_id, key, filled (has a value), free_channel (a channel of its own), spare and emptied
      (``etl.rules.leftovers``)
    * ``items``: person, kept, key, group, pair (False for a second item with one canonical value), refused (Advoware
      did not take it), put_off_in (the row whose value it is to replace, which Advoware refused or nobody can read);
      canonical, readings
    """

    base: Columns
    rows: Columns
    items: Columns


@dataclass(frozen=True)
class Places:
    """The entries: which baseline row, row and item each is, ``NONE`` where it has none."""

    base: np.ndarray
    row: np.ndarray
    item: np.ndarray


def match(sides: Sides, similar: Similar) -> Places:
    """Return the entries, each place at most once.

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
    return Places(
        base=np.concatenate([np.arange(len(row)), nothing(linked_row), nothing(item_only), nothing(row_only)]),
        row=np.concatenate([row, linked_row, nothing(item_only), row_only]),
        item=np.concatenate([item, linked_item, item_only, nothing(row_only)]),
    )


def rows_of_baseline(sides: Sides) -> np.ndarray:
    """Step 1: baseline ⋈ rows on (person, komm_id), m:1."""
    ours, theirs = pair_codes(*((one["person"], one["komm_id"]) for one in (sides.base, sides.rows)))
    return place_among(ours, theirs)


def take_moved_rows(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Step 1, moved: an unlinked row that holds the agreed value takes the place of a row that now holds another one.

    Only where EspoCRM still has the value: a number retyped into a new row keeps its pair, the old row is new. A row
    that lost its place so is unlinked itself, and may hold what another pair agreed on: two rows exchanged their
    values while a third took one of them. A row that holds the agreed value never moves again, so this ends.
    """
    base = sides.base
    while True:
        moved = np.flatnonzero(has_value(sides, row) & ~holds_agreed(sides, row))
        moved = moved[np.isin(base["espo_key"][moved], sides.items["key"])]
        free = free_rows(sides, row)
        ours, theirs = join_once(base["advo_key"][moved], sides.rows["key"][free])
        if not len(ours):
            return row
        row = put(row, moved[ours], free[theirs])


def items_by_agreed_value(
    sides: Sides, row: np.ndarray, item: np.ndarray, *, only: np.ndarray | None = None, taken: np.ndarray | None = None
) -> np.ndarray:
    """Steps 2 and 5: baseline rows (``only`` some) ⋈ items on the kept string, then on the agreed canonical value.

    Of two with one value first the one whose row holds it.
    """
    for agreed, shown in (("kept", "kept"), ("espo_key", "key")):
        wanted = np.flatnonzero((item == NONE) if only is None else only & (item == NONE))
        wanted = wanted[np.lexsort((sides.base["komm_id"][wanted], ~holds_agreed(sides, row)[wanted]))]
        free = free_items(sides, item, taken)
        ours, theirs = join_once(sides.base[agreed][wanted], sides.items[shown][free])
        item = put(item, wanted[ours], free[theirs])
    return item


def unlinked_pairs(sides: Sides, row: np.ndarray, item: np.ndarray) -> Pairs:
    """Step 4: rows with a value and no baseline row ⋈ items on their value; of several the lowest komm_id."""
    rows, items = free_rows(sides, row), free_items(sides, item)
    ours, theirs = join_once(sides.rows["key"][rows], sides.items["key"][items])
    return rows[ours], items[theirs]


def changed_items(
    sides: Sides, row: np.ndarray, item: np.ndarray, linked: np.ndarray, similar: Similar
) -> np.ndarray:
    """Step 6: what is gone from EspoCRM while its row stands ⋈ what is new there, within person, channel and kommKz.

    First where the row already holds the new value; then what is known as the change of this very row, because Advoware
    refused it (then it is otherwise no new one) or it waits to be written clearly; then one gone with one new; then
    what may say the agreed value; then by unique similarity.
    """
    for step in (
        same_already,
        put_off_here,
        new_only(only_one),
        new_only(by_reading),
        new_only(by_similarity(similar)),
    ):
        gone, new = np.flatnonzero((item == NONE) & has_value(sides, row)), free_items(sides, item, linked)
        if not len(gone) or not len(new):
            break
        ours, theirs = step(sides, row, gone, new)
        item = put(item, gone[ours], new[theirs])
    return item


def same_already(sides: Sides, row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
    """Both sides were given the same new value."""
    held = sides.base["group"][gone], sides.rows["key"][row[gone]]
    shown = sides.items["group"][new], sides.items["key"][new]
    return join_once(*pair_codes(held, shown))


def put_off_here(sides: Sides, _row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
    """The row keeps its old value, because the new one was refused or is unclear: still a change, no deletion."""
    known = np.flatnonzero(sides.items["put_off_in"][new] != NONE)
    held = of_channel(sides.base["group"][gone]), sides.base["komm_id"][gone]
    shown = of_channel(sides.items["group"][new[known]]), sides.items["put_off_in"][new[known]]
    ours, theirs = join_once(*pair_codes(held, shown))
    return ours, known[theirs]


def of_channel(group: np.ndarray) -> np.ndarray:
    """Person and channel of a group, whatever its kommKz."""
    return group // KOMM_KZ_IN_GROUP


def new_only(step: Step) -> Step:
    """The step for items that are new; one Advoware did not take was there before."""

    def of_new(sides: Sides, row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
        unseen = np.flatnonzero(~sides.items["refused"][new])
        ours, theirs = step(sides, row, gone, new[unseen])
        return ours, unseen[theirs]

    return of_new


def only_one(sides: Sides, _row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
    """Exactly one is gone and one is new in the group."""
    (groups, ours), (others, theirs) = (
        singles(one["group"][places]) for one, places in ((sides.base, gone), (sides.items, new))
    )
    _, at, place = np.intersect1d(groups, others, assume_unique=True, return_indices=True)
    return ours[at], theirs[place]


def singles(groups: np.ndarray) -> Pairs:
    """The groups that stand once, and where."""
    found, first, count = np.unique(groups, return_index=True, return_counts=True)
    return found[count == 1], first[count == 1]


def by_reading(sides: Sides, _row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
    """Unclear items that may say what one pair agreed on, and no other: that pair waits, and its row is not emptied."""
    return alike(
        (of_channel(sides.base["group"][gone]), of_channel(sides.items["group"][new])),
        (sides.base.words("espo_canonical")[gone], sides.items.words("readings")[new]),
        may_say,
    )


def may_say(agreed: str, readings: str) -> bool:
    """Whether an agreed canonical value is a number or address that an unclear one may mean."""
    return not agreed.startswith(LITERAL) and is_reading(agreed, readings)


def by_similarity(similar: Similar) -> Step:
    """Pairs that resemble each other and nothing else, in both directions."""

    def step(sides: Sides, _row: np.ndarray, gone: np.ndarray, new: np.ndarray) -> Pairs:
        return alike(
            (sides.base["group"][gone], sides.items["group"][new]),
            (sides.base.words("espo_canonical")[gone], sides.items.words("canonical")[new]),
            similar,
        )

    return step


def alike(groups: Pairs, texts: Pairs, similar: Similar) -> Pairs:
    """What is similar within a group, and to nothing else there, in both directions; where it stands."""
    if not np.isin(*groups).any():
        return nothing(groups[0][:0]), nothing(groups[1][:0])
    was = pd.DataFrame({"group": groups[0], "ours": np.arange(len(groups[0]))})
    now = pd.DataFrame({"group": groups[1], "theirs": np.arange(len(groups[1]))})
    pairs = was.merge(now, on="group", how="inner", validate="m:m")
    ours, theirs = pairs["ours"].to_numpy(), pairs["theirs"].to_numpy()
    resemble = np.array([similar(*two) for two in zip(texts[0][ours], texts[1][theirs], strict=True)], dtype=bool)
    ours, theirs = ours[resemble], theirs[resemble]
    unique = np.isin(ours, singles(ours)[0]) & np.isin(theirs, singles(theirs)[0])
    return ours[unique], theirs[unique]


def free_rows(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Rows with a value and a channel that no baseline row claims, in the order they are preferred: lowest komm_id."""
    free = sides.rows["filled"] & sides.rows["free_channel"]
    free[row[row != NONE]] = False
    rows = np.flatnonzero(free)
    return rows[np.argsort(sides.rows["komm_id"][rows], kind="stable")]


def free_items(sides: Sides, *used: np.ndarray | None) -> np.ndarray:
    """Items that are nobody's yet; of two with one value only the first counts."""
    free = sides.items["pair"] & (sides.items["key"] != NONE)
    for places in used:
        if places is not None:
            free[places[places != NONE]] = False
    return np.flatnonzero(free)


def join_once(left: np.ndarray, right: np.ndarray) -> Pairs:
    """Join two arrays of keys 1:1, each position used at most once, in the order given; where they meet."""
    ours, theirs = np.flatnonzero(left != NONE), np.flatnonzero(right != NONE)
    one, other = left[ours], right[theirs]
    if not (pd.Index(one).is_unique and pd.Index(other).is_unique):  # the first meets the first, the second the second
        one, other = pair_codes((turn_of(one), one), (turn_of(other), other))
    met = place_among(one, other)
    return ours[met != NONE], theirs[met[met != NONE]]


def has_value(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row stands and has a value."""
    return take(sides.rows["filled"], row, missing=False).astype(bool)


def holds_agreed(sides: Sides, row: np.ndarray) -> np.ndarray:
    """Whether the row of each baseline row still holds the agreed value."""
    holds: np.ndarray = (row != NONE) & (take(sides.rows["key"], row) == sides.base["advo_key"])
    return holds


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
