"""From the stored frames to what is joined: keys, groups, and the pseudo-baseline of a recovery."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from etl.enums import LeftAloneReason
from etl.frames import BASELINE, PERSON
from etl.records import Channel
from etl.rules.joins.columns import is_any_of, is_equal, is_equal_text, is_text, is_true, text_or_empty
from etl.rules.joins.matching import NUMBER, MatchSides
from etl.rules.marker import MarkerKind
from etl.rules.variants import TYPE_CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas.api.extensions import ExtensionArray as NumberArray

    from etl.rules.values.kommkz import KommKzTable

VALUE: Final = ["entity_id", "channel", "canonical"]
MARKER_VALUE: Final = ["entity_id", "channel", "marker_canonical"]


def build_sides(frames: Mapping[str, pd.DataFrame], table: KommKzTable) -> tuple[pd.DataFrame, MatchSides]:
    """Return the persons, with what ``add_history`` tells of them, and what is matched of them.

    ``frames`` has the tables ``persons, items, rows, baseline, left_alone`` of the state store (etl.frames).
    """
    persons, notes = frames["persons"], frames["left_alone"]
    items, rows = (of_persons(frames[name], persons) for name in ("items", "rows"))
    base = current_baseline(frames["baseline"], persons).assign(pseudo=False)
    persons = add_history(persons, base, notes)
    if persons["recovery"].any():
        marker_pairs = baseline_from_markers(persons, items, rows, table).assign(pseudo=True)
        base = pd.concat([base, marker_pairs], ignore_index=True)
    base, rows, items = add_keys(base, rows, items)
    base, items = add_texts(base, items)
    return persons, MatchSides(
        add_komm_kz_of_pairs(base, table).assign(pair=numbers(base)),
        mark_leftovers(rows, base).assign(row=numbers(rows)),
        add_postponements(mark_first_of_value(add_komm_kz_of_items(items, table), base), notes).assign(
            item=numbers(items)
        ),
    )


def numbers(frame: pd.DataFrame) -> NumberArray:
    """A number for each row of a frame."""
    return pd.array(np.arange(len(frame)), dtype=NUMBER)


def no_numbers(frame: pd.DataFrame) -> NumberArray:
    """No number for any row of a frame."""
    return pd.array([None] * len(frame), dtype=NUMBER)


def of_persons(frame: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame that belong to one of these persons."""
    return frame[is_any_of(frame["entity_id"], persons["entity_id"])].reset_index(drop=True)


def current_baseline(base: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """What was agreed with an earlier betnr says nothing about the present one (rules §3)."""
    return base.merge(persons[PERSON], on=PERSON, how="inner", validate="m:1")


def add_history(persons: pd.DataFrame, base: pd.DataFrame, notes: pd.DataFrame) -> pd.DataFrame:
    """Mark first syncs (no baseline for this entity and betnr) and recoveries (rules §3), and who has notes.

    A first sync is a recovery where the store knows nothing of the person, or its baseline with this betnr ended, and
    EspoCRM has a fingerprint; it is ``trusted`` where this equals that of the rows.

    A first sync of this link that was broken off has ``begun``: what it settled is agreed, all else was never anybody's
    edit.

    A type change that a direction held back still is one, ``edited_by_other``, though its due mark is gone.
    """
    fingerprint = persons["espo_fingerprint"]
    is_first_sync = ~is_any_of(persons["entity_id"], base["entity_id"])
    is_unknown = persons["last_sync_at"].isna() | is_true(persons["ended"])
    recovery = is_first_sync & is_unknown & (text_or_empty(fingerprint) != "")
    return persons.assign(
        first_sync=is_first_sync,
        begun=~is_first_sync & ~is_equal(persons["agreed_betnr"], persons["betnr"]),
        recovery=recovery,
        trusted=recovery & is_equal_text(fingerprint, persons["advo_fingerprint"]),
        edited_by_other=is_true(persons["edited_by_other"])
        | is_any_of(persons["entity_id"], notes.loc[is_type_change_held_back(notes), "entity_id"]),
        noted=is_any_of(persons["entity_id"], notes["entity_id"]),
    )


def is_type_change_held_back(notes: pd.DataFrame) -> np.ndarray:
    """Which notes speak of a type change that a direction held back."""
    return is_true(notes["reason"].eq(LeftAloneReason.HELD_BACK.value) & notes["detail"].str.startswith(TYPE_CHANGED))


def add_keys(
    base: pd.DataFrame, rows: pd.DataFrame, items: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Number the values: equal keys are the same canonical value of the same person and channel, null is no value."""
    espo_key, advo_key, row_key, marker_key, item_key = number_values(
        (base, "espo_canonical"),
        (base, "advo_canonical"),
        (rows, "canonical"),
        (rows, "marker_canonical"),
        (items, "canonical"),
    )
    return (
        base.assign(espo_key=espo_key, advo_key=advo_key),
        rows.assign(key=row_key, marker_key=marker_key),
        items.assign(key=item_key),
    )


def number_values(*columns: tuple[pd.DataFrame, str]) -> list[NumberArray]:
    """Number the distinct (person, channel, value) over all these columns; null where there is no value.

    One number joins at a third of the cost of three texts.
    """
    values = pd.concat(
        [frame[["entity_id", "channel", name]].set_axis(VALUE, axis="columns") for frame, name in columns],
        ignore_index=True,
    )
    values["channel"] = values["channel"].fillna("")  # a row of no channel has a value all the same
    number = values.groupby(VALUE, sort=False).ngroup().where(values["canonical"].notna()).astype(NUMBER).array
    ends = accumulate((len(frame) for frame, _ in columns), initial=0)
    return [number[start:end] for start, end in pairwise(ends)]


def add_texts(base: pd.DataFrame, items: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Number in ``text`` how items and agreed pairs are written in EspoCRM (rules §2, steps 2 and 5).

    Only where two items of a person have one canonical value can it tell more than that; else it is null throughout.
    """
    if items["key"].dropna().is_unique:
        base_text, item_text = (no_numbers(frame) for frame in (base, items))
    else:
        base_text, item_text = number_values((base, "espo_value"), (items, "value"))
    return base.assign(text=base_text), items.assign(text=item_text)


def mark_first_of_value(items: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Of two items with one canonical value the agreed one is the pair, else the first (rules §3, Duplicates).

    What the baseline keeps as written is a pair; without such an item the primary is, else the first.
    """
    if items["key"].dropna().is_unique:
        return items.assign(is_first=True)
    is_agreed = items["text"].isin(base["text"].dropna())
    preferred = items.assign(is_agreed=is_agreed, is_primary=is_true(items["is_primary"])).sort_values(
        ["is_agreed", "is_primary", "position"], ascending=[False, False, True], kind="stable"
    )
    is_second = preferred["key"].notna() & preferred["key"].duplicated()
    return items.assign(is_first=~is_second.sort_index() | is_agreed)


def mark_leftovers(rows: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Mark rows that are ``free`` to be paired, and those that are to become slots (rules §3).

    ``retype_leftover``: a row of a half-done retype that still holds the pair's value. ``emptied``: it has our marker
    and no value.
    """
    retypes = base.loc[base["other_row"].notna(), ["entity_id", "other_row", "espo_key"]]
    places = ["entity_id", "komm_id", "key"]
    is_leftover = pd.Series(False, index=rows.index)  # noqa: FBT003  Series takes it by place
    if not retypes.empty:
        is_leftover = is_row_in(rows[places], retypes.set_axis(places, axis="columns"))
    has_value, has_channel = rows["canonical"].notna(), rows["channel"].notna()
    is_marked = is_true(rows["marker_kind"].eq(MarkerKind.MARKER.value))
    return rows.assign(
        free=has_value & has_channel & ~is_leftover,
        retype_leftover=is_leftover,
        emptied=~has_value & has_channel & is_marked,
    )


def add_postponements(items: pd.DataFrame, notes: pd.DataFrame) -> pd.DataFrame:
    """Mark which items Advoware did not take (``refused``), and the row whose value each is to replace."""
    is_refused = is_true(notes["reason"].eq(LeftAloneReason.UNSYNCABLE.value))
    postponements = notes.assign(refused=is_refused)[
        is_true(notes["side"].eq("espo")) & (is_refused | is_waiting_note(notes))
    ]
    if postponements.empty:
        return items.assign(refused=False, put_off_in=no_numbers(items))
    entry = ["entity_id", "value"]
    postponements = postponements[[*entry, "komm_id", "refused"]].drop_duplicates(entry, keep="last")
    joined = items[entry].merge(postponements, on=entry, how="left", validate="m:1")
    return items.assign(refused=is_true(joined["refused"].astype("boolean")), put_off_in=joined["komm_id"])


def is_waiting_note(notes: pd.DataFrame) -> np.ndarray:
    """Which notes speak of an item that a pair was edited into and that nobody can read: they name the pair's row."""
    return is_true(notes["komm_id"].notna() & notes["reason"].eq(LeftAloneReason.UNCLEAR.value))


def baseline_from_markers(
    persons: pd.DataFrame, items: pd.DataFrame, rows: pd.DataFrame, table: KommKzTable
) -> pd.DataFrame:
    """The agreed pairs a recovery reads off the markers, in the shape of the baseline.

    A row whose marker's value is in EspoCRM and whose own value is the marker's, else whose marker's value no other row
    of the person holds. Where EspoCRM's fingerprint equals that of the rows, every marker counts: rowIds are never
    copied, so the rows are ours and unchanged.
    """
    recovering = rows["entity_id"].isin(persons.loc[persons["recovery"], "entity_id"])
    marked_rows = rows[
        recovering & rows["marker_kind"].eq("marker") & rows["canonical"].notna() & rows["channel"].notna()
    ]
    is_same_string = marked_rows["doubt"].isna() | marked_rows["value"].eq(marked_rows["marker_value"])
    marked_rows = marked_rows[is_same_string]  # an unclear row is a pair only where its marker says the very same text
    marked_rows = marked_rows.assign(own=marked_rows["canonical"].eq(marked_rows["marker_canonical"]))
    row_values = rows.loc[rows["canonical"].notna(), VALUE].drop_duplicates()
    in_other_row = is_row_in(marked_rows[MARKER_VALUE], row_values)
    in_espo = is_row_in(marked_rows[MARKER_VALUE], items[VALUE])
    is_trusted = marked_rows["entity_id"].isin(persons.loc[persons["trusted"], "entity_id"])
    pairs = marked_rows[(in_espo | is_trusted) & (marked_rows["own"] | ~in_other_row)]
    pairs = pairs.sort_values(["own", "komm_id"], ascending=[False, True], kind="stable")
    pairs = pairs.drop_duplicates(MARKER_VALUE)
    return pd.DataFrame(
        {
            "entity_id": pairs["entity_id"],
            "betnr": pairs["betnr"],
            "komm_id": pairs["komm_id"],
            "channel": pairs["channel"],
            "espo_value": pairs["marker_value"],
            "espo_canonical": pairs["marker_canonical"],
            "espo_type": espo_type_of_pair(pairs, items).fillna(pairs["marker_komm_kz"].map(table.espo_type)),
            "advo_value": pairs["marker_value"],
            "advo_canonical": pairs["marker_canonical"],
            "komm_kz": pairs["marker_komm_kz"],
            "row_id": pairs["row_id"],
            "remark": None,
            "unmarked": False,
            "other_row": None,
        }
    ).astype(BASELINE)


def espo_type_of_pair(pairs: pd.DataFrame, items: pd.DataFrame) -> pd.Series:
    """EspoCRM's type of each pair's value, NA where the value is not there: a recovery sees no retype."""
    item_types = items.drop_duplicates(VALUE)[[*VALUE, "type"]]
    joined = pairs[MARKER_VALUE].merge(
        item_types.rename(columns={"canonical": "marker_canonical"}),
        on=MARKER_VALUE,
        how="left",
        validate="m:1",
    )
    return pd.Series(joined["type"].to_numpy(), index=pairs.index)


def is_row_in(wanted_rows: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Whether each row of ``wanted_rows`` is a row of ``rows``, columns compared in order; one with a null never is."""
    columns = list(wanted_rows.columns)
    rows = rows.set_axis(columns, axis="columns").dropna().drop_duplicates().assign(is_in=True)
    joined = wanted_rows.merge(rows, on=columns, how="left", validate="m:1")
    return joined["is_in"].notna().set_axis(wanted_rows.index)


def add_komm_kz_of_pairs(base: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """The kommKz of each pair's type in EspoCRM, by which it is grouped."""
    is_number = ~is_text(base["espo_canonical"])
    return base.assign(group_komm_kz=komm_kz_of_types(base["channel"], base["espo_type"], is_number, table))


def add_komm_kz_of_items(items: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """The kommKz of each item's type; grouped is an unclear one as the number it may say: so was what it was before."""
    is_number, is_unclear = ~is_text(items["canonical"]), items["doubt"].notna().to_numpy(dtype=bool)
    channel, types = items["channel"], items["type"]
    komm_kz = komm_kz_of_types(channel, types, is_number, table)
    in_group = komm_kz_of_types(channel, types, is_number | is_unclear, table) if is_unclear.any() else komm_kz
    return items.assign(komm_kz=komm_kz, group_komm_kz=in_group)


def komm_kz_of_types(channel: pd.Series, types: pd.Series, is_number: np.ndarray, table: KommKzTable) -> NumberArray:
    """KommKz of each (channel, type); text is never Sonstige. Looked up once for each distinct combination."""
    kinds = list(zip(text_or_empty(channel).tolist(), text_or_empty(types).tolist(), is_number.tolist(), strict=True))
    komm_kz = {
        (name, kind, number): table.komm_kz_for_type(
            kind or None, Channel.MAIL if name == Channel.MAIL.value else Channel.PHONE, is_number=number
        )
        for name, kind, number in set(kinds)
    }
    return pd.array(np.array([komm_kz[kind] for kind in kinds], dtype="int64"), dtype=NUMBER)
