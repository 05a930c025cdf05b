"""From the stored frames to what is joined: places, integer keys, groups, and the pseudo-baseline of a recovery.

Strings are factorised once; every later join is on int64 (measured in tests/bench).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from etl.records import Channel
from etl.rules.columns import (
    Columns,
    facts,
    is_among,
    is_text,
    pair_codes,
    text,
    turn_of,
    whole,
    words,
)
from etl.rules.entry import NONE
from etl.rules.marker import MarkerKind
from etl.rules.matching import KOMM_KZ_IN_GROUP, Sides
from etl.rules.variants import TYPE_CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.kommkz import KommKzTable

CHANNEL_CODES: Final = {Channel.PHONE: 0, Channel.MAIL: 1}
NO_CHANNEL: Final = 2


def sides(frames: Mapping[str, pd.DataFrame], table: KommKzTable) -> tuple[Columns, Sides]:
    """Return the persons, with what ``with_history`` tells of them, and what is matched of them.

    ``frames`` has the tables ``persons, items, rows, baseline, left_alone`` of the state store (etl.frames).
    """
    names = ("persons", "items", "rows", "baseline", "left_alone")
    persons, items, rows, base, notes = (frames[name] for name in names)
    numbers = value_codes(*(one["entity_id"] for one in (persons, items, rows, base, notes)))
    items, of_item = of_persons(items, numbers[1], len(persons))
    rows, of_row = of_persons(rows, numbers[2], len(persons))
    base, of_base = of_persons(base, numbers[3], len(persons))
    base, of_base = agreed_with_present_betnr(base, of_base, persons)
    people = with_history(persons, of_base, notes, numbers[4])
    agreed = len(base)
    if people["recovery"].any():
        read = marker_pairs(people, items.assign(person=of_item), rows.assign(person=of_row), table)
        base = pd.concat([base, read], ignore_index=True)
        of_base = np.concatenate([of_base, read["person"].to_numpy(dtype="int64")])
    codes = value_codes(
        items["canonical"], rows["canonical"], rows["marker_canonical"], base["espo_canonical"], base["advo_canonical"]
    )
    item_place, row_place, base_place = place_of(items, of_item), place_of(rows, of_row), place_of(base, of_base)
    item_komm_kz = type_komm_kz(items["channel"], items["type"], is_text(items["canonical"]), table)
    pair_komm_kz = type_komm_kz(base["channel"], base["espo_type"], is_text(base["espo_canonical"]), table)
    item_key, row_key = key_of(item_place, codes[0]), key_of(row_place, codes[1])
    espo_key, komm_id = key_of(base_place, codes[3]), whole(rows["komm_id"])
    spare = spare_rows(base, (of_base, espo_key), (of_row, komm_id, row_key))
    filled, relevant = row_key != NONE, row_place % 3 != NO_CHANNEL
    kept_items, kept_base = kept_keys((items, item_place, item_key), (base, base_place))
    return people, Sides(
        base=Columns(
            base,
            person=of_base,
            komm_id=whole(base["komm_id"]),
            kept=kept_base,
            espo_key=espo_key,
            advo_key=key_of(base_place, codes[4]),
            group=base_place * KOMM_KZ_IN_GROUP + pair_komm_kz,
            pseudo=np.arange(len(base)) >= agreed,
        ),
        rows=Columns(
            rows,
            person=of_row,
            komm_id=komm_id,
            key=row_key,
            marker_key=key_of(row_place, codes[2]),
            filled=filled,
            free_channel=relevant & ~spare,
            spare=spare,
            emptied=~filled & relevant & (words(rows["marker_kind"]) == MarkerKind.MARKER.value),
        ),
        items=Columns(
            items,
            person=of_item,
            key=item_key,
            group=item_place * KOMM_KZ_IN_GROUP + once_clear(items, item_komm_kz, table),
            komm_kz=item_komm_kz,
            kept=kept_items,
            pair=first_of_value(items, item_key, np.isin(kept_items, kept_base) & (kept_items != NONE)),
            **put_off(items.assign(person=of_item), notes.assign(person=numbers[4])),
        ),
    )


def of_persons(frame: pd.DataFrame, person: np.ndarray, persons: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows with the number of their person; what belongs to none of them is dropped."""
    theirs = (person >= 0) & (person < persons)
    return (frame, person) if theirs.all() else (frame[theirs], person[theirs])


def put_off(items: pd.DataFrame, notes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which items Advoware did not take (``refused``), and the row whose value each is to replace, else ``NONE``."""
    refused = words(notes["reason"]) == "unsyncable"
    told = notes.assign(refused=refused)[(words(notes["side"]) == "espo") & (refused | waiting_notes(notes))]
    if told.empty:
        return {"refused": np.zeros(len(items), dtype=bool), "put_off_in": np.full(len(items), NONE)}
    entry = ["person", "value"]
    told = told[[*entry, "komm_id", "refused"]].drop_duplicates(entry, keep="last")
    found = items[entry].merge(told, on=entry, how="left", validate="m:1")
    return {"refused": facts(found["refused"].astype("boolean")), "put_off_in": whole(found["komm_id"])}


def waiting_notes(notes: pd.DataFrame) -> np.ndarray:
    """Which notes speak of an item that a pair was edited into and that nobody can read: they name the pair's row."""
    waits: np.ndarray = notes["komm_id"].notna().to_numpy(dtype=bool) & (words(notes["reason"]) == "unclear")
    return waits


def agreed_with_present_betnr(
    base: pd.DataFrame, person: np.ndarray, persons: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray]:
    """What was agreed with an earlier betnr says nothing about the present one (rules.md §3)."""
    same = whole(persons["betnr"])[person] == whole(base["betnr"])
    return (base, person) if same.all() else (base[same], person[same])


def with_history(persons: pd.DataFrame, agreed: np.ndarray, notes: pd.DataFrame, noted: np.ndarray) -> Columns:
    """Mark first syncs (no baseline for this entity and betnr) and recoveries (rules.md §3), and who has notes.

    A first sync is a recovery where the store knows nothing of the person, or its baseline with this betnr ended, and
    EspoCRM has a fingerprint.

    A first sync of this link that was broken off has ``begun``: what it settled is agreed, all else was never anybody's
    edit.

    ``agreed``, ``noted``: the person of each baseline row and of each note.
    """
    first, has_notes = np.full(len(persons), fill_value=True), np.zeros(len(persons), dtype=bool)
    first[agreed] = False
    has_notes[noted[(noted < len(persons)) & (noted != NONE)]] = True
    hashed, never_synced = words(persons["espo_fingerprint"]), persons["last_sync_at"].isna().to_numpy(dtype=bool)
    recovery = first & (never_synced | facts(persons["ended"])) & (hashed != "")
    return Columns(
        persons,
        first_sync=first,
        begun=~first & (whole(persons["agreed_betnr"]) != whole(persons["betnr"])),
        recovery=recovery,
        trusted=recovery & (hashed == words(persons["advo_fingerprint"])),
        edited_by_other=type_edits(persons, notes, noted),
        noted=has_notes,
    )


def type_edits(persons: pd.DataFrame, notes: pd.DataFrame, person: np.ndarray) -> np.ndarray:
    """Who was edited by others; a type change that a direction held back still is one, though its due mark is gone."""
    edited = facts(persons["edited_by_other"]).copy()
    if len(notes):
        told = np.array([detail.startswith(TYPE_CHANGED) for detail in words(notes["detail"])])
        held = told & (words(notes["reason"]) == "held_back") & (person < len(persons)) & (person != NONE)
        edited[person[held]] = True
    return edited


def spare_rows(
    base: pd.DataFrame, pairs: tuple[np.ndarray, np.ndarray], rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """Rows of a half-done retype that still hold the pair's value: they are to become slots (rules.md §3, retype).

    ``pairs``: person and key of each baseline row; ``rows``: person, komm_id and key of each row.
    """
    other_row, (person, espo_key), (owner, komm_id, key) = whole(base["other_row"]), pairs, rows
    waiting = other_row != NONE
    if not waiting.any():
        return np.zeros(len(key), dtype=bool)
    wanted, standing = pair_codes((person[waiting], other_row[waiting]), (owner, komm_id))
    return is_among((standing, key), (wanted, espo_key[waiting]))


def marker_pairs(people: Columns, items: pd.DataFrame, rows: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """The agreed pairs a recovery reads off the markers, in the shape of the baseline.

    A row whose marker's value is in EspoCRM and whose own value is the marker's, else whose marker's value no other row
    of the person holds. Where EspoCRM's fingerprint equals that of the rows, every marker counts: rowIds are never
    copied, so the rows are ours and unchanged.
    """
    recovering = pd.Series(people["recovery"][rows["person"]], index=rows.index)
    marked = rows[recovering & rows["marker_kind"].eq("marker") & rows["canonical"].notna() & rows["channel"].notna()]
    same_string = marked["doubt"].isna() | marked["value"].eq(marked["marker_value"])
    marked = marked[same_string]  # an unclear row is a pair only where its marker says the very same string
    marked = marked.assign(own=marked["canonical"].eq(marked["marker_canonical"]))
    held = rows.loc[rows["canonical"].notna(), ["person", "channel", "canonical"]].drop_duplicates()
    held_elsewhere = member(marked[["person", "channel", "marker_canonical"]], held)
    in_espo = member(marked[["person", "channel", "marker_canonical"]], items[["person", "channel", "canonical"]])
    trusted = pd.Series(people["trusted"][marked["person"]], index=marked.index)
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


def place_of(frame: pd.DataFrame, person: np.ndarray) -> np.ndarray:
    """(person, channel) as one int64."""
    channel = words(frame["channel"])
    known = [channel == one.value for one in CHANNEL_CODES]
    place: np.ndarray = person * 3 + np.select(known, list(CHANNEL_CODES.values()), NO_CHANNEL)
    return place


def key_of(place: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(person, channel, value) as one int64; ``NONE`` without a value."""
    return np.where(code == NONE, NONE, place << 33 | code)


def once_clear(items: pd.DataFrame, komm_kz: np.ndarray, table: KommKzTable) -> np.ndarray:
    """The kommKz of each item, of an unclear one that of the number it may say: what it was edited from has that."""
    unclear = items["doubt"].notna().to_numpy(dtype=bool)
    if not unclear.any():
        return komm_kz
    return type_komm_kz(items["channel"], items["type"], is_text(items["canonical"]) & ~unclear, table)


def type_komm_kz(channel: pd.Series, types: pd.Series, text_only: np.ndarray, table: KommKzTable) -> np.ndarray:
    """KommKz of each (channel, type); text is never Sonstige. Looked up once for each distinct combination."""
    codes, kinds = pd.factorize(words(types))
    label = (codes * 2 + ~text_only) * 2 + (words(channel) == Channel.MAIL.value)
    combinations, which = np.unique(label, return_inverse=True)
    known = [
        table.for_type(kinds[one // 4] or None, Channel.MAIL if one % 2 else Channel.PHONE, number=bool(one // 2 % 2))
        for one in combinations
    ]
    return np.array(known, dtype="int64")[which]


def kept_keys(
    items: tuple[pd.DataFrame, np.ndarray, np.ndarray], base: tuple[pd.DataFrame, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the items' strings and of the strings the baseline keeps, as written (rules.md §2, steps 2 and 5).

    Only where two items of a person have one canonical value can they tell more than that; else all are ``NONE``.
    """
    (shown, item_place, key), (agreed, base_place) = items, base
    if pd.Index(key[key != NONE]).is_unique:
        return np.full(len(shown), NONE), np.full(len(agreed), NONE)
    codes = value_codes(shown["value"], agreed["espo_value"])
    return key_of(item_place, codes[0]), key_of(base_place, codes[1])


def first_of_value(items: pd.DataFrame, key: np.ndarray, agreed: np.ndarray) -> np.ndarray:
    """Of two items with one canonical value one is the pair (rules.md §3, Duplicates): the ``agreed`` ones, else first.

    What the baseline keeps as written is a pair; without such an item the primary is, else the first.
    """
    if pd.Index(key[key != NONE]).is_unique:
        return np.full(len(items), fill_value=True)
    order = np.lexsort((whole(items["position"]), ~facts(items["is_primary"]), ~agreed))
    first = np.full(len(items), fill_value=True)
    first[order] = (turn_of(key[order]) == 0) | (key[order] == NONE)
    first |= agreed
    return first
