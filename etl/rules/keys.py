"""From the stored frames to what is joined: places, integer keys, groups, and the pseudo-baseline of a recovery.

Strings are factorised once; every later join is on int64 (measured in tests/bench).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from etl.records import Channel
from etl.rules.matching import NONE, Sides, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.kommkz import KommKzTable

TYPE_CHANGED: Final = "type changed in EspoCRM"
"""How a held-back type change is told; what a later run knows it by."""

CHANNEL_CODES: Final = {Channel.PHONE.value: 0, Channel.MAIL.value: 1}
NO_CHANNEL: Final = 2


def sides(frames: Mapping[str, pd.DataFrame], table: KommKzTable) -> tuple[pd.DataFrame, Sides]:
    """Return the persons (with ``first_sync, recovery, trusted``) and what is matched of them.

    ``frames`` has the tables ``persons, items, rows, baseline`` of the state store (etl.frames); the places in the
    result are positions in its ``items`` and ``rows`` as given and in ``Sides.base``.
    """
    persons = frames["persons"].reset_index(drop=True)
    baseline = agreed_with_present_betnr(frames["baseline"], persons)
    persons = with_type_edits(with_history(persons, baseline), frames["left_alone"])
    index = pd.Index(persons["entity_id"])
    items = with_person(frames["items"], index)
    rows = with_person(frames["rows"], index)
    base = with_person(baseline, index).assign(pseudo=False)
    base = (
        pd.concat([base, marker_pairs(persons, items, rows, table)], ignore_index=True)
        if persons["recovery"].any()
        else base
    )
    codes = value_codes(
        items["canonical"], rows["canonical"], rows["marker_canonical"], base["espo_canonical"], base["advo_canonical"]
    )
    items = items.assign(key=key_of(items, codes[0]), group=group_of(items, items["type"], table))
    rows = rows.assign(
        key=key_of(rows, codes[1]),
        marker_key=key_of(rows, codes[2]),
        filled=rows["value"].fillna("").str.strip().ne("").to_numpy(dtype=bool),
        free_channel=rows["channel"].notna().to_numpy(dtype=bool),
    )
    base = base.assign(
        espo_key=key_of(base, codes[3]), advo_key=key_of(base, codes[4]), group=group_of(base, base["espo_type"], table)
    )
    spare = spare_rows(base, rows)
    rows = rows.assign(spare=spare, free_channel=rows["free_channel"] & ~spare)
    return persons, Sides(base=base, rows=rows, items=items.assign(pair=first_of_value(items)))


def spare_rows(base: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Rows of a half-done retype that still hold the pair's value: they are to become slots (rules.md §3, retype)."""
    waiting = base[base["other_row"].notna()]
    if waiting.empty:
        return np.zeros(len(rows), dtype=bool)
    wanted = pd.DataFrame(
        {"person": waiting["person"], "komm_id": waiting["other_row"].astype("int64"), "key": waiting["espo_key"]}
    )
    return member(rows[["person", "komm_id", "key"]].astype("int64"), wanted.astype("int64")).to_numpy(dtype=bool)


def agreed_with_present_betnr(baseline: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """What was agreed with an earlier betnr says nothing about the present one (rules.md §3)."""
    present = pd.Index(persons["entity_id"]).get_indexer(pd.Index(baseline["entity_id"]))
    betnr = persons["betnr"].to_numpy(dtype="int64", na_value=NONE)
    same: np.ndarray = (present >= 0) & (take(betnr, pd.Series(present)) == baseline["betnr"].to_numpy(dtype="int64"))
    return baseline.loc[same]


def with_history(persons: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """Mark first syncs (no baseline for this entity and betnr) and recoveries (rules.md §3)."""
    first = ~persons["entity_id"].isin(baseline["entity_id"])
    hashed = persons["espo_fingerprint"].fillna("").ne("")
    recovery = first & persons["last_sync_at"].isna() & hashed
    trusted = recovery & persons["espo_fingerprint"].eq(persons["advo_fingerprint"]).fillna(value=False)
    return persons.assign(
        first_sync=first.to_numpy(dtype=bool),
        recovery=recovery.to_numpy(dtype=bool),
        trusted=trusted.to_numpy(dtype=bool),
    )


def with_type_edits(persons: pd.DataFrame, left_alone: pd.DataFrame) -> pd.DataFrame:
    """A type change that a direction held back is still one, though the due mark that told of it is gone."""
    held = left_alone["reason"].eq("held_back") & left_alone["detail"].fillna("").str.startswith(TYPE_CHANGED)
    waiting = persons["entity_id"].isin(left_alone.loc[held.fillna(value=False), "entity_id"])
    by_other = persons["edited_by_other"].fillna(value=False).astype("bool")
    return persons.assign(edited_by_other=by_other | waiting.to_numpy(dtype=bool))


def with_person(frame: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """Number the persons; what belongs to none of them is dropped."""
    person = index.get_indexer(pd.Index(frame["entity_id"]))
    numbered = frame.assign(person=person.astype("int64"))
    return (numbered if (person >= 0).all() else numbered[person >= 0]).reset_index(drop=True)


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
    """One integer for each distinct canonical value over all columns, -1 for null."""
    codes, _ = pd.factorize(pd.concat(columns, ignore_index=True))
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


def key_of(frame: pd.DataFrame, code: np.ndarray) -> np.ndarray:
    """(person, channel, value) as one int64; ``NONE`` without a value."""
    channel = frame["channel"].map(CHANNEL_CODES).fillna(NO_CHANNEL).to_numpy(dtype="int64")
    person = frame["person"].to_numpy(dtype="int64")
    return np.where(code == NONE, NONE, (person * 3 + channel) << 33 | code)


def group_of(frame: pd.DataFrame, types: pd.Series, table: KommKzTable) -> np.ndarray:
    """(person, channel, kommKz of EspoCRM's type) as one int64: within it a value may change into another."""
    komm_kz = type_komm_kz(
        frame["channel"], types, frame["canonical"] if "canonical" in frame else frame["espo_canonical"], table
    )
    person = frame["person"].to_numpy(dtype="int64")
    group: np.ndarray = (person * 2 + frame["channel"].eq("mail").to_numpy(dtype="int64")) * 32 + komm_kz
    return group


def type_komm_kz(channel: pd.Series, types: pd.Series, canonical: pd.Series, table: KommKzTable) -> np.ndarray:
    """KommKz of each (channel, type); text is never Sonstige. Looked up once for each distinct combination."""
    number = canonical.str.startswith("+").fillna(value=False)
    label = (
        channel.astype("object")
        + "|"
        + number.map({True: "1", False: ""}).astype("object")
        + "|"
        + types.fillna("").astype("object")
    )
    codes, labels = pd.factorize(label)
    facts = (str(one).split("|", 2) for one in labels)
    known = [table.for_type(kind or None, Channel(name), number=bool(digits)) for name, digits, kind in facts]
    return np.array([*known, 0], dtype="int64")[codes]


def first_of_value(items: pd.DataFrame) -> np.ndarray:
    """Of two items with one canonical value the primary, else the first, is the pair (rules.md §3, Duplicates)."""
    ordered = items.sort_values(["is_primary", "position"], ascending=[False, True], kind="stable")
    return (~ordered["key"].duplicated() | ordered["key"].eq(NONE)).reindex(items.index).to_numpy(dtype=bool)
