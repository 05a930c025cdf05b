"""The seven facts of each entry, its kommKz and its variant: from places to one row an entry (rules.md §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etl.records import Channel
from etl.rules.keys import CHANNEL_CODES, NO_CHANNEL, type_komm_kz
from etl.rules.matching import NONE, Sides, take
from etl.rules.variants import FACTS, decision_table

if TYPE_CHECKING:
    import pandas as pd

    from etl.rules.kommkz import KommKzTable


def entries_with_facts(places: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """Return the entries with ``FACTS``, ``person, channel, komm_kz, moves, variant``; one row an entry.

    ``places`` is what ``matching.match`` returned. ``moves``: the baseline row no longer says what both sides show
    (spelling, type, row id), though there is nothing to write.
    """
    entries = places.assign(person=owner(places, sides), channel=channel_of(places, sides))
    entries = entries.assign(komm_kz=komm_kz_of(entries, sides, table))
    return (
        entries.assign(**facts(entries, sides, persons, table))
        .assign(moves=moves(entries, sides))
        .merge(decision_table(), how="left", on=FACTS, validate="m:1")
    )


def facts(entries: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> dict[str, np.ndarray]:
    """Compute the facts, each a bool array over the entries."""
    base, row, item = entries["base"], entries["row"], entries["item"]
    row_key, item_key = take(sides.rows["key"], row), take(sides.items["key"], item)
    known = base.ne(NONE).to_numpy()
    in_espo = item.ne(NONE).to_numpy()
    in_advo = take(sides.rows["filled"], row, missing=False).astype(bool)
    differ = ~(in_espo & in_advo & (row_key == item_key))
    marker_agrees = (
        (take(sides.rows["marker_kind"], row, missing="none") == "marker")
        & (take(sides.rows["marker_key"], row) == item_key)
        & (take(sides.rows["marker_komm_kz"].fillna(0), row, missing=0) == entries["komm_kz"].to_numpy())
    )
    return {
        "known": known,
        "in_espo": in_espo,
        "in_advo": in_advo,
        "espo_edit": known & in_espo & differ & (item_key != take(sides.base["espo_key"], base)),
        "advo_edit": known & in_advo & differ & (row_key != take(sides.base["advo_key"], base)),
        "type_edit": known & in_espo & type_edited(entries, sides, persons, table),
        "marked": in_advo & (marker_agrees | unmarked_on_purpose(entries, sides)),
    }


def type_edited(entries: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> np.ndarray:
    """Whether somebody gave this very record's phone a type of another kommKz; shared address rows do not count."""
    now = take(sides.items["type"].fillna(""), entries["item"], missing="")
    was = take(sides.base["espo_type"].fillna(""), entries["base"], missing="")
    by_other = persons["edited_by_other"].fillna(0).to_numpy(dtype=bool)[entries["person"].to_numpy()]
    candidate: np.ndarray = (entries["channel"].to_numpy() == "phone") & by_other & (now != was)
    if not candidate.any():
        return candidate
    of_item = take(type_komm_kz(*item_facts(sides), table), entries["item"])
    of_pair = (
        entries["komm_kz"]
        .map({kz: table.for_type(table.espo_type(kz), Channel.PHONE) for kz in set(entries["komm_kz"])})
        .to_numpy()
    )
    edited: np.ndarray = candidate & (of_item != of_pair)
    return edited


def unmarked_on_purpose(entries: pd.DataFrame, sides: Sides) -> np.ndarray:
    """A pair without marker because the remark was too long for one: right as long as nobody touches the remark."""
    unmarked: np.ndarray = take(sides.base["unmarked"].fillna(0), entries["base"], missing=0).astype(bool)
    if not unmarked.any():
        return unmarked
    remark = take(sides.rows["remark"].fillna(""), entries["row"], missing="")
    untouched: np.ndarray = unmarked & (remark == take(sides.base["remark"].fillna(""), entries["base"], missing=""))
    return untouched


def moves(entries: pd.DataFrame, sides: Sides) -> np.ndarray:
    """Whether the baseline row says something else than both sides show now."""
    pairs = (
        (sides.base["espo_value"], sides.items["value"], "item"),
        (sides.base["espo_type"], sides.items["type"], "item"),
        (sides.base["advo_value"], sides.rows["value"], "row"),
        (sides.base["row_id"], sides.rows["row_id"], "row"),
        (sides.base["komm_id"], sides.rows["komm_id"], "row"),
    )
    differs = np.zeros(len(entries), dtype=bool)
    for agreed, shown, place in pairs:
        missing = NONE if place == "row" and shown.name == "komm_id" else ""
        was = take(agreed.fillna(missing), entries["base"], missing=missing)
        differs |= was != take(shown.fillna(missing), entries[place], missing=missing)
    differs |= take(sides.base["komm_kz"], entries["base"]) != entries["komm_kz"].to_numpy()
    return differs & entries["base"].ne(NONE).to_numpy()


def owner(places: pd.DataFrame, sides: Sides) -> np.ndarray:
    """The person of each entry."""
    person = take(sides.base["person"], places["base"])
    person = np.where(person == NONE, take(sides.rows["person"], places["row"]), person)
    return np.where(person == NONE, take(sides.items["person"], places["item"]), person).astype("int64")


def channel_of(places: pd.DataFrame, sides: Sides) -> np.ndarray:
    """The channel of each entry: a pair keeps that of its baseline."""
    channel = take(sides.base["channel"], places["base"], missing="")
    channel = np.where(channel == "", take(sides.rows["channel"].fillna(""), places["row"], missing=""), channel)
    return np.where(channel == "", take(sides.items["channel"], places["item"], missing=""), channel)


def komm_kz_of(entries: pd.DataFrame, sides: Sides, table: KommKzTable) -> np.ndarray:
    """KommKz of each entry, first that answers and fits the channel (rules.md §3): the vectorised ``row_komm_kz``."""
    channel = entries["channel"].map(CHANNEL_CODES).fillna(NO_CHANNEL).to_numpy(dtype="int64")
    fits = np.full((64, 3), fill_value=False)
    for kz in table.kinds:
        if (of := table.channel(kz)) is not None:
            fits[kz, CHANNEL_CODES[of]] = True
    rows = sides.rows
    by_type = take(type_komm_kz(*item_facts(sides), table), entries["item"], missing=0)
    told = (
        take(rows["marker_komm_kz"].fillna(0), entries["row"], missing=0),
        take(sides.base["komm_kz"], entries["base"], missing=0),
        take(rows["komm_kz"].fillna(0), entries["row"], missing=0),
        take(rows["field_komm_kz"].fillna(0), entries["row"], missing=0),
        by_type,
        np.where(take(rows["mobile"].fillna(0), entries["row"], missing=0).astype(bool), 3, 0),
        np.where(channel == 1, table.for_type(None, Channel.MAIL), table.for_type(None, Channel.PHONE)),
    )
    answer = np.zeros(len(entries), dtype="int64")
    for source in told:
        candidate = source.astype("int64")
        answer = np.where((answer == 0) & fits[np.clip(candidate, 0, 63), channel], candidate, answer)
    return answer


def item_facts(sides: Sides) -> tuple[pd.Series, pd.Series, pd.Series]:
    """What the kommKz of an item's type depends on."""
    return sides.items["channel"], sides.items["type"], sides.items["canonical"]
