"""From the stored frames to what is joined: places, integer keys, groups, and the pseudo-baseline of a recovery.

Strings are factorised once; every later join is on int64 (measured in tests/bench).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.records import Channel
from etl.rules.entry import NONE
from etl.rules.matching import Sides
from etl.rules.variants import TYPE_CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.kommkz import KommKzTable

CHANNEL_CODES: Final = {Channel.PHONE.value: 0, Channel.MAIL.value: 1}
NO_CHANNEL: Final = 2


def sides(frames: Mapping[str, pd.DataFrame], table: KommKzTable) -> tuple[pd.DataFrame, Sides]:
    """Return the persons (with ``first_sync, recovery, trusted``) and what is matched of them.

    ``frames`` has the tables ``persons, items, rows, baseline`` of the state store (etl.frames); the places in the
    result are positions in its ``items`` and ``rows`` as given and in ``Sides.base``.
    """
    names = ("persons", "items", "rows", "baseline", "left_alone")
    persons, items, rows, base, notes = (frames[name].reset_index(drop=True) for name in names)
    numbers = value_codes(*(one["entity_id"] for one in (persons, items, rows, base, notes)))
    items, rows = with_person(items, numbers[1], len(persons)), with_person(rows, numbers[2], len(persons))
    base = agreed_with_present_betnr(with_person(base, numbers[3], len(persons)), persons).assign(pseudo=False)
    persons = with_history(persons, base).assign(edited_by_other=type_edits(persons, notes, numbers[4]))
    if persons["recovery"].any():
        base = pd.concat([base, marker_pairs(persons, items, rows, table)], ignore_index=True)
    codes = value_codes(
        items["canonical"], rows["canonical"], rows["marker_canonical"], base["espo_canonical"], base["advo_canonical"]
    )
    of_items, of_rows, of_base = place_of(items), place_of(rows), place_of(base)
    item_komm_kz = type_komm_kz(items["channel"], items["type"], items["canonical"], table)
    pair_komm_kz = type_komm_kz(base["channel"], base["espo_type"], base["espo_canonical"], table)
    items = items.assign(key=key_of(of_items, codes[0]), group=of_items * 32 + item_komm_kz, komm_kz=item_komm_kz)
    base = base.assign(
        espo_key=key_of(of_base, codes[3]), advo_key=key_of(of_base, codes[4]), group=of_base * 32 + pair_komm_kz
    )
    key = key_of(of_rows, codes[1])
    spare = spare_rows(base, rows, key)
    rows = rows.assign(
        key=key,
        marker_key=key_of(of_rows, codes[2]),
        filled=is_filled(rows["value"]),
        free_channel=rows["channel"].notna().to_numpy(dtype=bool) & ~spare,
        spare=spare,
    )
    return persons, Sides(base=base, rows=rows, items=items.assign(pair=first_of_value(items)))


def spare_rows(base: pd.DataFrame, rows: pd.DataFrame, key: np.ndarray) -> np.ndarray:
    """Rows of a half-done retype that still hold the pair's value: they are to become slots (rules.md §3, retype)."""
    waiting = base[base["other_row"].notna().to_numpy(dtype=bool)]
    if waiting.empty:
        return np.zeros(len(rows), dtype=bool)
    wanted = pd.DataFrame(
        {"person": waiting["person"], "komm_id": waiting["other_row"].astype("int64"), "key": waiting["espo_key"]}
    )
    standing = rows[["person", "komm_id"]].assign(key=key)
    return member(standing.astype("int64"), wanted.astype("int64")).to_numpy(dtype=bool)


def agreed_with_present_betnr(baseline: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """What was agreed with an earlier betnr says nothing about the present one (rules.md §3)."""
    betnr = whole(persons["betnr"])[baseline["person"].to_numpy()]
    same = betnr == whole(baseline["betnr"])
    return baseline if same.all() else baseline[same].reset_index(drop=True)


def with_history(persons: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Mark first syncs (no baseline for this entity and betnr) and recoveries (rules.md §3)."""
    first = np.full(len(persons), fill_value=True)
    first[base["person"].to_numpy()] = False
    hashed = words(persons["espo_fingerprint"])
    recovery = first & persons["last_sync_at"].isna().to_numpy(dtype=bool) & (hashed != "")
    trusted = recovery & (hashed == words(persons["advo_fingerprint"]))
    return persons.assign(first_sync=first, recovery=recovery, trusted=trusted)


def type_edits(persons: pd.DataFrame, notes: pd.DataFrame, person: np.ndarray) -> np.ndarray:
    """Who was edited by others; a type change that a direction held back still is one, though its due mark is gone."""
    edited: np.ndarray = persons["edited_by_other"].to_numpy(dtype=bool, na_value=False).copy()
    if len(notes):
        told = np.array([detail.startswith(TYPE_CHANGED) for detail in words(notes["detail"])])
        held = told & (words(notes["reason"]) == "held_back") & (person < len(persons)) & (person != NONE)
        edited[person[held]] = True
    return edited


def with_person(frame: pd.DataFrame, person: np.ndarray, persons: int) -> pd.DataFrame:
    """Number the persons; what belongs to none of them is dropped."""
    theirs = (person >= 0) & (person < persons)
    numbered = frame.assign(person=person.astype("int64"))
    return numbered if theirs.all() else numbered[theirs].reset_index(drop=True)


def marker_pairs(persons: pd.DataFrame, items: pd.DataFrame, rows: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """The agreed pairs a recovery reads off the markers, in the shape of the baseline.

    A row whose marker's value is in EspoCRM and whose own value is the marker's, else whose marker's value no other row
    of the person holds. Where EspoCRM's fingerprint equals that of the rows, every marker counts: rowIds are never
    copied, so the rows are ours and unchanged.
    """
    recovering = rows["person"].isin(persons.index[persons["recovery"]])
    marked = rows[recovering & rows["marker_kind"].eq("marker") & rows["canonical"].notna() & rows["channel"].notna()]
    marked = marked.assign(own=marked["canonical"].eq(marked["marker_canonical"]))
    held = rows.loc[rows["canonical"].notna(), ["person", "channel", "canonical"]].drop_duplicates()
    held_elsewhere = member(marked[["person", "channel", "marker_canonical"]], held)
    in_espo = member(marked[["person", "channel", "marker_canonical"]], items[["person", "channel", "canonical"]])
    trusted = marked["person"].isin(persons.index[persons["trusted"]])
    pairs = marked[(in_espo | trusted) & (marked["own"] | ~held_elsewhere)]
    pairs = pairs.sort_values(["own", "komm_id"], ascending=[False, True], kind="stable")
    pairs = pairs.drop_duplicates(["person", "channel", "marker_canonical"])
    return pd.DataFrame(
        {
            "entity_id": pairs["entity_id"],
            "betnr": pairs["betnr"],
            "person": pairs["person"],
            "komm_id": pairs["komm_id"],
            "channel": pairs["channel"],
            "espo_value": pairs["marker_value"],
            "espo_canonical": pairs["marker_canonical"],
            "espo_type": type_of(pairs, items).fillna(pairs["marker_komm_kz"].map(table.espo_type)),
            "advo_value": pairs["marker_value"],
            "advo_canonical": pairs["marker_canonical"],
            "komm_kz": pairs["marker_komm_kz"],
            "row_id": pairs["row_id"],
            "unmarked": False,
            "other_row": None,
            "pseudo": True,
        }
    )


def type_of(pairs: pd.DataFrame, items: pd.DataFrame) -> pd.Series:
    """EspoCRM's type of each pair's value, NA where the value is not there: a recovery sees no retype."""
    known = items.drop_duplicates(["person", "channel", "canonical"])[["person", "channel", "canonical", "type"]]
    joined = pairs[["person", "channel", "marker_canonical"]].merge(
        known.rename(columns={"canonical": "marker_canonical"}),
        on=["person", "channel", "marker_canonical"],
        how="left",
        validate="m:1",
    )
    return pd.Series(joined["type"].to_numpy(), index=pairs.index)


def member(left: pd.DataFrame, right: pd.DataFrame) -> pd.Series:
    """Whether each row of ``left`` is a row of ``right``, columns compared in order."""
    return pd.Series(pd.MultiIndex.from_frame(left).isin(pd.MultiIndex.from_frame(right)), index=left.index)


def value_codes(*columns: pd.Series) -> list[np.ndarray]:
    """One integer for each distinct text over all columns, in the order of their first appearance; -1 for null."""
    together = pa.concat_arrays([text(column) for column in columns])
    codes = together.dictionary_encode().indices.fill_null(NONE).to_numpy()
    return np.split(codes.astype("int64"), np.cumsum([len(column) for column in columns])[:-1])


def place_of(frame: pd.DataFrame) -> np.ndarray:
    """(person, channel) as one int64."""
    channel = frame["channel"].map(CHANNEL_CODES).to_numpy(dtype="int64", na_value=NO_CHANNEL)
    place: np.ndarray = frame["person"].to_numpy(dtype="int64") * 3 + channel
    return place


def key_of(place: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(person, channel, value) as one int64; ``NONE`` without a value."""
    return np.where(code == NONE, NONE, place << 33 | code)


def type_komm_kz(channel: pd.Series, types: pd.Series, canonical: pd.Series, table: KommKzTable) -> np.ndarray:
    """KommKz of each (channel, type); text is never Sonstige. Looked up once for each distinct combination."""
    if channel.empty:
        return np.empty(0, dtype="int64")
    codes, kinds = pd.factorize(words(types))
    label = (codes * 2 + ~is_text(canonical)) * 2 + (words(channel) == Channel.MAIL.value)
    combinations, which = np.unique(label, return_inverse=True)
    known = [
        table.for_type(kinds[one // 4] or None, Channel.MAIL if one % 2 else Channel.PHONE, number=bool(one // 2 % 2))
        for one in combinations
    ]
    return np.array(known, dtype="int64")[which]


def first_of_value(items: pd.DataFrame) -> np.ndarray:
    """Of two items with one canonical value the primary, else the first, is the pair (rules.md §3, Duplicates)."""
    key = items["key"].to_numpy()
    if not pd.Series(key[key != NONE]).duplicated().any():
        return np.full(len(items), fill_value=True)
    ordered = items.sort_values(["is_primary", "position"], ascending=[False, True], kind="stable")
    return (~ordered["key"].duplicated() | ordered["key"].eq(NONE)).reindex(items.index).to_numpy(dtype=bool)


# Columns as numpy sees them: the fixed cost of a nullable column is many times that of an array -----------------------


def words(column: pd.Series) -> np.ndarray:
    """A text column as an array of str, empty for null."""
    return column.to_numpy(dtype="object", na_value="")


def text(column: pd.Series) -> pa.Array:
    """A text column as Arrow holds it, in one piece."""
    held = pa.array(column, type=pa.large_string(), from_pandas=True)
    return held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held


def whole(column: pd.Series, missing: int = NONE) -> np.ndarray:
    """A column of whole numbers as int64, ``missing`` for null."""
    return column.to_numpy(dtype="int64", na_value=missing)


def facts_of(column: pd.Series) -> np.ndarray:
    """A column of facts as bool, False for null."""
    return column.to_numpy(dtype="bool", na_value=False)


def is_text(canonical: pd.Series) -> np.ndarray:
    """Where a value is neither nothing nor a number; a mail counts as text too."""
    return is_true(pc.invert(pc.starts_with(text(canonical), "+")))


def is_filled(column: pd.Series) -> np.ndarray:
    """Where a text is more than blanks."""
    return is_true(pc.not_equal(pc.utf8_trim_whitespace(text(column)), ""))


def is_true(facts: pa.BooleanArray) -> np.ndarray:
    """Arrow's facts as an array of bool, False for null."""
    held: np.ndarray = facts.fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003  Arrow takes it by place
    return held
