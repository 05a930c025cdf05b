"""From the stored frames to what is joined: places, integer keys, groups, and the pseudo-baseline of a recovery.

Strings are factorised once; every later join is on int64 (measured in tests/bench).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from etl.enums import LeftAloneReason
from etl.records import Channel
from etl.rules.entry import MISSING
from etl.rules.joins.columns import (
    ColumnArrays,
    arrow_text,
    bool_array,
    factorize_pairs,
    int_array,
    is_not_number,
    isin_pairs,
    occurrence_number,
    str_array,
)
from etl.rules.joins.matching import KOMM_KZ_IN_GROUP, MatchSides
from etl.rules.marker import MarkerKind
from etl.rules.variants import TYPE_CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.rules.values.kommkz import KommKzTable

CHANNEL_CODES: Final = {Channel.PHONE: 0, Channel.MAIL: 1}
NO_CHANNEL: Final = 2


def build_sides(frames: Mapping[str, pd.DataFrame], table: KommKzTable) -> tuple[ColumnArrays, MatchSides]:
    """Return the persons, with what ``add_history`` tells of them, and what is matched of them.

    ``frames`` has the tables ``persons, items, rows, baseline, left_alone`` of the state store (etl.frames).
    """
    names = ("persons", "items", "rows", "baseline", "left_alone")
    persons, items, rows, base, notes = (frames[name] for name in names)
    person_numbers = factorize_values(*(frame["entity_id"] for frame in (persons, items, rows, base, notes)))
    items, item_person = keep_known_persons(items, person_numbers[1], len(persons))
    rows, row_person = keep_known_persons(rows, person_numbers[2], len(persons))
    base, base_person = keep_known_persons(base, person_numbers[3], len(persons))
    base, base_person = current_baseline(base, base_person, persons)
    people = add_history(persons, base_person, notes, person_numbers[4])
    baseline_length = len(base)
    if people["recovery"].any():
        marker_base = baseline_from_markers(
            people, items.assign(person=item_person), rows.assign(person=row_person), table
        )
        base = pd.concat([base, marker_base], ignore_index=True)
        base_person = np.concatenate([base_person, marker_base["person"].to_numpy(dtype="int64")])
    codes = factorize_values(
        items["canonical"], rows["canonical"], rows["marker_canonical"], base["espo_canonical"], base["advo_canonical"]
    )
    item_channels, row_channels, base_channels = (
        person_channel_codes(items, item_person),
        person_channel_codes(rows, row_person),
        person_channel_codes(base, base_person),
    )
    item_komm_kz = komm_kz_of_types(items["channel"], items["type"], is_not_number(items["canonical"]), table)
    pair_komm_kz = komm_kz_of_types(base["channel"], base["espo_type"], is_not_number(base["espo_canonical"]), table)
    item_key, row_key = value_key(item_channels, codes[0]), value_key(row_channels, codes[1])
    espo_key, komm_id = value_key(base_channels, codes[3]), int_array(rows["komm_id"])
    leftover = retype_leftovers(base, (base_person, espo_key), (row_person, komm_id, row_key))
    has_value, is_relevant = row_key != MISSING, row_channels % 3 != NO_CHANNEL
    item_strings, base_strings = string_keys((items, item_channels, item_key), (base, base_channels))
    return people, MatchSides(
        base=ColumnArrays(
            base,
            person=base_person,
            komm_id=int_array(base["komm_id"]),
            kept=base_strings,
            espo_key=espo_key,
            advo_key=value_key(base_channels, codes[4]),
            group=base_channels * KOMM_KZ_IN_GROUP + pair_komm_kz,
            pseudo=np.arange(len(base)) >= baseline_length,
        ),
        rows=ColumnArrays(
            rows,
            person=row_person,
            komm_id=komm_id,
            key=row_key,
            marker_key=value_key(row_channels, codes[2]),
            filled=has_value,
            free_channel=is_relevant & ~leftover,
            spare=leftover,
            emptied=~has_value & is_relevant & (str_array(rows["marker_kind"]) == MarkerKind.MARKER.value),
        ),
        items=ColumnArrays(
            items,
            person=item_person,
            key=item_key,
            group=item_channels * KOMM_KZ_IN_GROUP + komm_kz_once_clear(items, item_komm_kz, table),
            komm_kz=item_komm_kz,
            kept=item_strings,
            pair=is_first_of_value(items, item_key, np.isin(item_strings, base_strings) & (item_strings != MISSING)),
            **postponements_of_items(items.assign(person=item_person), notes.assign(person=person_numbers[4])),
        ),
    )


def keep_known_persons(frame: pd.DataFrame, numbers: np.ndarray, person_count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows with the number of their person; what belongs to none of them is dropped."""
    is_known = (numbers >= 0) & (numbers < person_count)
    return (frame, numbers) if is_known.all() else (frame[is_known], numbers[is_known])


def postponements_of_items(items: pd.DataFrame, notes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which items Advoware did not take (``refused``), and the row whose value each is to replace, else ``MISSING``."""
    is_refused = str_array(notes["reason"]) == LeftAloneReason.UNSYNCABLE
    postponements = notes.assign(refused=is_refused)[
        (str_array(notes["side"]) == "espo") & (is_refused | is_waiting_note(notes))
    ]
    if postponements.empty:
        return {"refused": np.zeros(len(items), dtype=bool), "put_off_in": np.full(len(items), MISSING)}
    entry = ["person", "value"]
    postponements = postponements[[*entry, "komm_id", "refused"]].drop_duplicates(entry, keep="last")
    joined = items[entry].merge(postponements, on=entry, how="left", validate="m:1")
    return {"refused": bool_array(joined["refused"].astype("boolean")), "put_off_in": int_array(joined["komm_id"])}


def is_waiting_note(notes: pd.DataFrame) -> np.ndarray:
    """Which notes speak of an item that a pair was edited into and that nobody can read: they name the pair's row."""
    is_waiting: np.ndarray = notes["komm_id"].notna().to_numpy(dtype=bool) & (
        str_array(notes["reason"]) == LeftAloneReason.UNCLEAR
    )
    return is_waiting


def current_baseline(
    base: pd.DataFrame, person: np.ndarray, persons: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray]:
    """What was agreed with an earlier betnr says nothing about the present one (rules §3)."""
    is_current = int_array(persons["betnr"])[person] == int_array(base["betnr"])
    return (base, person) if is_current.all() else (base[is_current], person[is_current])


def add_history(
    persons: pd.DataFrame, base_person: np.ndarray, notes: pd.DataFrame, note_person: np.ndarray
) -> ColumnArrays:
    """Mark first syncs (no baseline for this entity and betnr) and recoveries (rules §3), and who has notes.

    A first sync is a recovery where the store knows nothing of the person, or its baseline with this betnr ended, and
    EspoCRM has a fingerprint.

    A first sync of this link that was broken off has ``begun``: what it settled is agreed, all else was never anybody's
    edit.

    ``base_person``, ``note_person``: the person of each baseline row and of each note.
    """
    is_first_sync, has_notes = np.full(len(persons), fill_value=True), np.zeros(len(persons), dtype=bool)
    is_first_sync[base_person] = False
    has_notes[note_person[(note_person < len(persons)) & (note_person != MISSING)]] = True
    fingerprints, never_synced = (
        str_array(persons["espo_fingerprint"]),
        persons["last_sync_at"].isna().to_numpy(dtype=bool),
    )
    recovery = is_first_sync & (never_synced | bool_array(persons["ended"])) & (fingerprints != "")
    return ColumnArrays(
        persons,
        first_sync=is_first_sync,
        begun=~is_first_sync & (int_array(persons["agreed_betnr"]) != int_array(persons["betnr"])),
        recovery=recovery,
        trusted=recovery & (fingerprints == str_array(persons["advo_fingerprint"])),
        edited_by_other=persons_edited_by_other(persons, notes, note_person),
        noted=has_notes,
    )


def persons_edited_by_other(persons: pd.DataFrame, notes: pd.DataFrame, note_person: np.ndarray) -> np.ndarray:
    """Who was edited by others; a type change that a direction held back still is one, though its due mark is gone."""
    is_edited = bool_array(persons["edited_by_other"]).copy()
    if len(notes):
        is_type_change = np.array([detail.startswith(TYPE_CHANGED) for detail in str_array(notes["detail"])])
        is_postponed = (
            is_type_change
            & (str_array(notes["reason"]) == LeftAloneReason.HELD_BACK)
            & (note_person < len(persons))
            & (note_person != MISSING)
        )
        is_edited[note_person[is_postponed]] = True
    return is_edited


def retype_leftovers(
    base: pd.DataFrame, pairs: tuple[np.ndarray, np.ndarray], rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """Rows of a half-done retype that still hold the pair's value: they are to become slots (rules §3, retype).

    ``pairs``: person and key of each baseline row; ``rows``: person, komm_id and key of each row.
    """
    other_row, (person, espo_key), (row_person, komm_id, key) = int_array(base["other_row"]), pairs, rows
    is_waiting = other_row != MISSING
    if not is_waiting.any():
        return np.zeros(len(key), dtype=bool)
    other_rows, row_codes = factorize_pairs((person[is_waiting], other_row[is_waiting]), (row_person, komm_id))
    return isin_pairs((row_codes, key), (other_rows, espo_key[is_waiting]))


def baseline_from_markers(
    people: ColumnArrays, items: pd.DataFrame, rows: pd.DataFrame, table: KommKzTable
) -> pd.DataFrame:
    """The agreed pairs a recovery reads off the markers, in the shape of the baseline.

    A row whose marker's value is in EspoCRM and whose own value is the marker's, else whose marker's value no other row
    of the person holds. Where EspoCRM's fingerprint equals that of the rows, every marker counts: rowIds are never
    copied, so the rows are ours and unchanged.
    """
    recovering = pd.Series(people["recovery"][rows["person"]], index=rows.index)
    marked_rows = rows[
        recovering & rows["marker_kind"].eq("marker") & rows["canonical"].notna() & rows["channel"].notna()
    ]
    is_same_string = marked_rows["doubt"].isna() | marked_rows["value"].eq(marked_rows["marker_value"])
    marked_rows = marked_rows[
        is_same_string
    ]  # an unclear row is a pair only where its marker says the very same string
    marked_rows = marked_rows.assign(own=marked_rows["canonical"].eq(marked_rows["marker_canonical"]))
    row_values = rows.loc[rows["canonical"].notna(), ["person", "channel", "canonical"]].drop_duplicates()
    in_other_row = is_row_in(marked_rows[["person", "channel", "marker_canonical"]], row_values)
    in_espo = is_row_in(
        marked_rows[["person", "channel", "marker_canonical"]], items[["person", "channel", "canonical"]]
    )
    is_trusted = pd.Series(people["trusted"][marked_rows["person"]], index=marked_rows.index)
    pairs = marked_rows[(in_espo | is_trusted) & (marked_rows["own"] | ~in_other_row)]
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
            "espo_type": espo_type_of_pair(pairs, items).fillna(pairs["marker_komm_kz"].map(table.espo_type)),
            "advo_value": pairs["marker_value"],
            "advo_canonical": pairs["marker_canonical"],
            "komm_kz": pairs["marker_komm_kz"],
            "row_id": pairs["row_id"],
            "unmarked": False,
            "other_row": None,
        }
    )


def espo_type_of_pair(pairs: pd.DataFrame, items: pd.DataFrame) -> pd.Series:
    """EspoCRM's type of each pair's value, NA where the value is not there: a recovery sees no retype."""
    item_types = items.drop_duplicates(["person", "channel", "canonical"])[["person", "channel", "canonical", "type"]]
    joined = pairs[["person", "channel", "marker_canonical"]].merge(
        item_types.rename(columns={"canonical": "marker_canonical"}),
        on=["person", "channel", "marker_canonical"],
        how="left",
        validate="m:1",
    )
    return pd.Series(joined["type"].to_numpy(), index=pairs.index)


def is_row_in(wanted_rows: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Whether each row of ``wanted_rows`` is a row of ``rows``, columns compared in order."""
    return pd.Series(
        pd.MultiIndex.from_frame(wanted_rows).isin(pd.MultiIndex.from_frame(rows)), index=wanted_rows.index
    )


def factorize_values(*columns: pd.Series) -> list[np.ndarray]:
    """One integer for each distinct text over all columns, in the order of their first appearance; -1 for null."""
    combined = pa.concat_arrays([arrow_text(column) for column in columns])
    codes = combined.dictionary_encode().indices.fill_null(MISSING).to_numpy()
    return np.split(codes.astype("int64"), np.cumsum([len(column) for column in columns])[:-1])


def person_channel_codes(frame: pd.DataFrame, person: np.ndarray) -> np.ndarray:
    """(person, channel) as one int64."""
    channels = str_array(frame["channel"])
    is_channel = [channels == channel.value for channel in CHANNEL_CODES]
    codes: np.ndarray = person * 3 + np.select(is_channel, list(CHANNEL_CODES.values()), NO_CHANNEL)
    return codes


def value_key(channel_code: np.ndarray, value_code: np.ndarray) -> np.ndarray:
    """(person, channel, value) as one int64; ``MISSING`` without a value."""
    return np.where(value_code == MISSING, MISSING, channel_code << 33 | value_code)


def komm_kz_once_clear(items: pd.DataFrame, komm_kz: np.ndarray, table: KommKzTable) -> np.ndarray:
    """The kommKz of each item, of an unclear one that of the number it may say: what it was edited from has that."""
    is_unclear = items["doubt"].notna().to_numpy(dtype=bool)
    if not is_unclear.any():
        return komm_kz
    return komm_kz_of_types(items["channel"], items["type"], is_not_number(items["canonical"]) & ~is_unclear, table)


def komm_kz_of_types(channel: pd.Series, types: pd.Series, text_only: np.ndarray, table: KommKzTable) -> np.ndarray:
    """KommKz of each (channel, type); text is never Sonstige. Looked up once for each distinct combination."""
    codes, kinds = pd.factorize(str_array(types))
    labels = (codes * 2 + ~text_only) * 2 + (str_array(channel) == Channel.MAIL.value)
    combinations, inverse = np.unique(labels, return_inverse=True)
    komm_kz = [
        table.komm_kz_for_type(
            kinds[label // 4] or None, Channel.MAIL if label % 2 else Channel.PHONE, is_number=bool(label // 2 % 2)
        )
        for label in combinations
    ]
    return np.array(komm_kz, dtype="int64")[inverse]


def string_keys(
    items: tuple[pd.DataFrame, np.ndarray, np.ndarray], base: tuple[pd.DataFrame, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the items' strings and of the strings the baseline keeps, as written (rules §2, steps 2 and 5).

    Only where two items of a person have one canonical value can they tell more than that; else all are ``MISSING``.
    """
    (item_frame, item_channels, key), (base_frame, base_channels) = items, base
    if pd.Index(key[key != MISSING]).is_unique:
        return np.full(len(item_frame), MISSING), np.full(len(base_frame), MISSING)
    codes = factorize_values(item_frame["value"], base_frame["espo_value"])
    return value_key(item_channels, codes[0]), value_key(base_channels, codes[1])


def is_first_of_value(items: pd.DataFrame, key: np.ndarray, is_baseline_string: np.ndarray) -> np.ndarray:
    """Of two items with one canonical value the agreed one is the pair, else the first (rules §3, Duplicates).

    What the baseline keeps as written is a pair; without such an item the primary is, else the first.
    """
    if pd.Index(key[key != MISSING]).is_unique:
        return np.full(len(items), fill_value=True)
    order = np.lexsort((int_array(items["position"]), ~bool_array(items["is_primary"]), ~is_baseline_string))
    is_first = np.full(len(items), fill_value=True)
    is_first[order] = (occurrence_number(key[order]) == 0) | (key[order] == MISSING)
    is_first |= is_baseline_string
    return is_first
