"""Which agreed pair, row and item are one entry: the joins of rules §2, in its order. Each of them is used once.

A *key* stands for (person, channel, canonical value): equal keys are the same value of the same person, on both sides
and in the baseline; it is null where there is no value. A null key never joins. Pairs, rows and items are referred to
by number, in the columns ``pair``, ``row`` and ``item``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import pandas as pd

from etl.rules.joins.columns import is_true, text_or_empty
from etl.rules.values.classify import LITERAL
from etl.rules.values.readings import is_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    SimilarityTest = Callable[[str, str], bool]

ROW_ID: Final = ["entity_id", "komm_id"]
PERSON_CHANNEL: Final = ["entity_id", "channel"]
GROUP: Final = ["entity_id", "channel", "group_komm_kz"]
"""Person, channel and the kommKz of EspoCRM's type: within these a new item may be the change of an old one."""

NUMBER: Final = "Int64"
"""Of ``pair``, ``row``, ``item`` and keys: nullable, since an outer join makes floats of plain integers."""

PAIR_COLUMNS: Final = ["pair", *GROUP, "komm_id", "text", "espo_canonical", "espo_key", "advo_key"]
ROW_COLUMNS: Final = ["row", "komm_id", "key"]
ITEM_COLUMNS: Final = ["item", *GROUP, "text", "canonical", "readings", "key", "refused", "put_off_in"]

ENTRY_PARTS: Final = ["pair", "row", "item"]


@dataclass(frozen=True)
class MatchSides:
    """What is matched: the stored frames, each with what the joins need of it.

    * ``base``, one row an agreed pair: ``pair``, ``espo_key``, ``advo_key``, ``group_komm_kz``, ``text``, ``pseudo``
    * ``rows``: ``row``, ``key``, ``marker_key``, ``free`` (has a value and a channel of its own), ``retype_leftover``
      and ``emptied`` (``etl.rules.leftovers``)
    * ``items``: ``item``, ``key``, ``komm_kz`` (of its type), ``group_komm_kz``, ``is_first`` (False for a second item
      with one canonical value), ``refused`` (Advoware did not take it), ``put_off_in`` (the komm_id of the row whose
      value it is to replace, which Advoware refused or nobody can read), ``text`` (``add_texts``)
    """

    base: pd.DataFrame
    rows: pd.DataFrame
    items: pd.DataFrame


def match(sides: MatchSides, is_similar: SimilarityTest) -> pd.DataFrame:
    """Return one row an entry: its ``pair``, ``row`` and ``item``, null where it has none; each number at most once.

    Rows without a value appear only with their baseline row. ``is_similar`` compares two canonical values.
    """
    rows = sides.rows.loc[sides.rows["free"], ROW_COLUMNS].sort_values("komm_id", kind="stable")
    items = sides.items.loc[sides.items["is_first"] & sides.items["key"].notna(), ITEM_COLUMNS]
    pairs = join_rows_by_id(sides.base, sides.rows)  # step 1
    pairs = follow_moved_values(pairs, rows, sides.items)
    rows = without(rows, pairs, "row")
    links = join_items_by_value(pairs[pairs["row_key"].notna()], items)  # step 2; step 3 made baseline rows of markers
    items = without(items, links, "item")
    new_links = merge_one_to_one(rows, items, ["row", "item"], on=["key"])  # step 4; of several rows the lowest komm_id
    rows, items = without(rows, new_links, "row"), without(items, new_links, "item")
    links = add_links(links, join_items_by_value(without(pairs, links, "pair"), items))  # step 5
    links = join_changed_items(pairs, links, items, is_similar)  # step 6
    entries = (
        pairs[["pair", "row"]].merge(links, on="pair", how="left", validate="1:1"),
        new_links,
        without(items, links, "item")[["item"]],
        rows[["row"]].sort_index(),
    )
    return pd.concat(entries, ignore_index=True)[ENTRY_PARTS].astype(NUMBER)


def join_rows_by_id(base: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Step 1: each baseline row with its row, which keeps its id.

    Returns one row a pair: ``pair``, ``row`` (null where it is gone), ``row_key`` (the value it holds now), and what
    both sides agreed on: in EspoCRM ``text``, ``canonical`` and ``key``, in Advoware ``advo_key``.
    """
    pairs = base[PAIR_COLUMNS].rename(columns={"espo_canonical": "canonical", "espo_key": "key"})
    rows = rows[["row", *ROW_ID, "key"]].rename(columns={"key": "row_key"})
    return pairs.merge(rows, on=ROW_ID, how="left", validate="1:1")


def follow_moved_values(pairs: pd.DataFrame, free_rows: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Step 1, moved: an unlinked row that holds the agreed value takes the place of a row that now holds another one.

    Only where EspoCRM still has the value: a number retyped into a new row keeps its pair, the old row is new. A row
    that lost its place so is unlinked itself, and may hold what another pair agreed on: two rows exchanged their
    values while a third took one of them. A row that holds the agreed value never moves again, so this ends.
    """
    while True:
        moved = pairs[pairs["row_key"].notna() & ~holds_baseline_value(pairs) & pairs["key"].isin(items["key"])]
        found = merge_one_to_one(
            moved.assign(key=moved["advo_key"]), without(free_rows, pairs, "row"), ["pair", "row"], on=["key"]
        )
        if found.empty:
            return pairs
        new_row = pairs[["pair"]].merge(found, on="pair", how="left", validate="1:1")["row"]
        pairs = pairs.assign(
            row=new_row.fillna(pairs["row"]), row_key=pairs["row_key"].where(new_row.isna(), pairs["advo_key"])
        )


def holds_baseline_value(pairs: pd.DataFrame) -> np.ndarray:
    """Whether the row of each pair still holds the agreed value."""
    return is_true(pairs["row_key"].eq(pairs["advo_key"]))


def join_items_by_value(pairs: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Steps 2 and 5: pairs with the item of the very text they agreed on, then with that of the same value.

    Of two pairs with one value first the one whose row holds it. Returns links: ``pair``, ``item``.
    """
    if pairs.empty or items.empty:
        return no_links("pair", "item")
    pairs = pairs.assign(moved=~holds_baseline_value(pairs)).sort_values(["moved", "komm_id"], kind="stable")
    by_text = merge_one_to_one(pairs, items, ["pair", "item"], on=["text"])
    by_value = merge_one_to_one(
        without(pairs, by_text, "pair"), without(items, by_text, "item"), ["pair", "item"], on=["key"]
    )
    return add_links(by_text, by_value)


def join_changed_items(
    pairs: pd.DataFrame, links: pd.DataFrame, items: pd.DataFrame, is_similar: SimilarityTest
) -> pd.DataFrame:
    """Step 6: what is gone from EspoCRM while its row stands with what is new there, within person, channel and kommKz.

    First where the row already holds the new value; then what is known as the change of this very row, because Advoware
    refused it (then it is otherwise no new one) or it waits to be written clearly; then one gone with one new; then
    what may say the agreed value; then by unique similarity. Returns all links, the new ones last.
    """
    for join in (
        join_by_row_value,
        join_by_postponement,
        join_single_in_group,
        join_possible_readings,
        partial(join_similar_values, is_similar=is_similar),
    ):
        gone = without(pairs[pairs["row_key"].notna()], links, "pair")
        new_items = without(items, links, "item")
        if gone.empty or new_items.empty:
            break
        if join not in (join_by_row_value, join_by_postponement):  # what Advoware did not take was there before
            new_items = new_items[~new_items["refused"]]
        links = add_links(links, join(gone, new_items))
    return links


def join_by_row_value(gone: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Both sides were given the same new value."""
    return merge_one_to_one(gone.assign(key=gone["row_key"]), items, ["pair", "item"], on=["key", "group_komm_kz"])


def join_by_postponement(gone: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The row keeps its old value, because the new one was refused or is unclear: still a change, no deletion."""
    return merge_one_to_one(
        gone, items.rename(columns={"put_off_in": "komm_id"}), ["pair", "item"], on=["komm_id", *PERSON_CHANNEL]
    )


def join_single_in_group(gone: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Exactly one is gone and one is new in the group."""
    single_pairs, single_items = (frame.drop_duplicates(GROUP, keep=False) for frame in (gone, items))
    return merge_one_to_one(single_pairs, single_items, ["pair", "item"], on=GROUP)


def join_possible_readings(gone: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Unclear items that may say what one pair agreed on, and no other: that pair waits, and its row is not emptied."""
    unclear_items = items[items["readings"].notna()]
    return join_similar(gone, unclear_items, on=PERSON_CHANNEL, texts=("canonical_espo", "readings"), is_alike=may_mean)


def may_mean(canonical: str, readings: str) -> bool:
    """Whether an agreed canonical value is a number or address that an unclear one may mean."""
    return not canonical.startswith(LITERAL) and is_reading(canonical, readings)


def join_similar_values(gone: pd.DataFrame, items: pd.DataFrame, is_similar: SimilarityTest) -> pd.DataFrame:
    """Pairs and items that resemble each other and nothing else."""
    return join_similar(gone, items, on=GROUP, texts=("canonical_espo", "canonical"), is_alike=is_similar)


def join_similar(
    gone: pd.DataFrame, items: pd.DataFrame, on: list[str], texts: tuple[str, str], is_alike: SimilarityTest
) -> pd.DataFrame:
    """What is alike within a group, and like nothing else there, in both directions."""
    candidates = gone[["pair", *on, "canonical"]].rename(columns={"canonical": "canonical_espo"})
    candidates = candidates.merge(items[["item", *on, texts[1]]], on=on, how="inner", validate="m:m")
    both_texts = zip(*(text_or_empty(candidates[text]) for text in texts), strict=True)
    links = candidates.loc[[is_alike(*both) for both in both_texts], ["pair", "item"]]
    return links[~links["pair"].duplicated(keep=False) & ~links["item"].duplicated(keep=False)]


def without(frame: pd.DataFrame, used: pd.DataFrame, number: str) -> pd.DataFrame:
    """The rows of ``frame`` whose ``number`` is not among those of ``used``, in their order."""
    if used.empty or frame.empty:
        return frame
    return frame[~frame[number].isin(used[number])]


def merge_one_to_one(left: pd.DataFrame, right: pd.DataFrame, numbers: Sequence[str], on: list[str]) -> pd.DataFrame:
    """Join 1:1 and return ``numbers``: that of ``left`` and that of ``right``, in the order of ``left``.

    Null in the first column of ``on`` joins nothing; the other columns are never null. Of equal keys the first on the
    left goes with the first on the right, the second with the second; what is left over joins nothing.
    """
    if left.empty or right.empty:  # a merge costs the same for nothing, and most plans are of a few persons
        return no_links(*numbers)
    left, right = (frame[frame[on[0]].notna()] for frame in (left, right))
    if left.empty or right.empty:
        return no_links(*numbers)
    left, right = left[[numbers[0], *on]], right[[numbers[1], *on]]
    if left.duplicated(on).any() or right.duplicated(on).any():  # else all are the first of their key
        left, right = (frame.assign(nth=frame.groupby(on, sort=False).cumcount()) for frame in (left, right))
        on = [*on, "nth"]
    return left.merge(right, on=on, how="inner", validate="1:1")[list(numbers)]


def add_links(links: pd.DataFrame, new_links: pd.DataFrame) -> pd.DataFrame:
    """Links with more of them at their end."""
    if links.empty or new_links.empty:
        return new_links if links.empty else links
    return pd.concat([links, new_links])


@cache
def no_links(left: str, right: str) -> pd.DataFrame:
    """No links between two kinds, with the dtypes of links."""
    return pd.DataFrame({name: pd.array([], dtype=NUMBER) for name in (left, right)})
