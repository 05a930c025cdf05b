"""The seven facts of each entry, its kommKz and its variant: from places to one row an entry (rules.md §3)."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.records import Channel
from etl.rules.entry import NONE
from etl.rules.keys import facts_of, is_text, whole, words
from etl.rules.kommkz import MOBILE
from etl.rules.matching import Sides, take
from etl.rules.variants import FACTS, RULES, matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.kommkz import KommKzTable


def entries_with_facts(places: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> pd.DataFrame:
    """Return the entries with ``FACTS``, ``person, channel, komm_kz, moves, variant``; one row an entry.

    ``places`` is what ``matching.match`` returned. ``moves``: the baseline row no longer says what both sides show
    (spelling, type, row id), though there is nothing to write.
    """
    channel = channel_of(places, sides)
    komm_kz = komm_kz_of(places, channel, sides, table)
    entries = places.assign(person=owner(places, sides), channel=channel, komm_kz=komm_kz)
    return (
        entries.assign(**facts(entries, sides, persons, table), moves=moves(entries, sides))
        .merge(decision_table(), how="left", on=FACTS, validate="m:1")
    )


def facts(entries: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> dict[str, np.ndarray]:
    """Compute the facts, each a bool array over the entries."""
    base, row, item = (entries[place].to_numpy() for place in ("base", "row", "item"))
    row_key, item_key = take(sides.rows["key"], row), take(sides.items["key"], item)
    known, in_espo = base != NONE, item != NONE
    in_advo = take(sides.rows["filled"], row, missing=False).astype(bool)
    differ = ~(in_espo & in_advo & (row_key == item_key))
    marker_agrees = (
        (take(words(sides.rows["marker_kind"]), row, missing="none") == "marker")
        & (take(sides.rows["marker_key"], row) == item_key)
        & (take(whole(sides.rows["marker_komm_kz"], 0), row, missing=0) == entries["komm_kz"].to_numpy())
    )
    return {
        "known": known,
        "in_espo": in_espo,
        "in_advo": in_advo,
        "espo_edit": known & in_espo & differ & (item_key != take(sides.base["espo_key"], base)),
        "advo_edit": known & in_advo & differ & (row_key != take(sides.base["advo_key"], base)),
        "type_edit": known & in_espo & type_edited(entries, sides, persons, table),
        "marked": in_advo & (marker_agrees | unmarked_on_purpose(base, row, sides)),
    }


def type_edited(entries: pd.DataFrame, sides: Sides, persons: pd.DataFrame, table: KommKzTable) -> np.ndarray:
    """Whether somebody gave this very record's phone a type of another kommKz; shared address rows do not count."""
    by_other = facts_of(persons["edited_by_other"])[entries["person"].to_numpy()]
    candidate: np.ndarray = (entries["channel"].to_numpy() == "phone") & by_other
    if not candidate.any():
        return candidate
    now = take(words(sides.items["type"]), entries["item"], missing="")
    was = take(words(sides.base["espo_type"]), entries["base"], missing="")
    of_item = take(sides.items["komm_kz"], entries["item"])
    of_pair = (
        entries["komm_kz"]
        .map({kz: table.for_type(table.espo_type(kz), Channel.PHONE) for kz in set(entries["komm_kz"])})
        .to_numpy()
    )
    edited: np.ndarray = candidate & (now != was) & (of_item != of_pair)
    return edited


def unmarked_on_purpose(base: np.ndarray, row: np.ndarray, sides: Sides) -> np.ndarray:
    """A pair without marker because the remark was too long for one: right as long as nobody touches the remark."""
    unmarked: np.ndarray = take(facts_of(sides.base["unmarked"]), base, missing=False).astype(bool)
    if not unmarked.any():
        return unmarked
    remark = take(words(sides.rows["remark"]), row, missing="")
    untouched: np.ndarray = unmarked & (remark == take(words(sides.base["remark"]), base, missing=""))
    return untouched


def moves(entries: pd.DataFrame, sides: Sides) -> np.ndarray:
    """Whether the baseline row says something else than both sides show now."""
    base, row, item = (entries[place].to_numpy() for place in ("base", "row", "item"))
    pairs = (
        (sides.base["espo_value"], sides.items["value"], item),
        (sides.base["espo_type"], sides.items["type"], item),
        (sides.base["advo_value"], sides.rows["value"], row),
        (sides.base["row_id"], sides.rows["row_id"], row),
    )
    differs = take(whole(sides.base["komm_id"]), base) != take(whole(sides.rows["komm_id"]), row)
    for agreed, shown, place in pairs:
        differs |= take(words(agreed), base, missing="") != take(words(shown), place, missing="")
    differs |= take(whole(sides.base["komm_kz"]), base) != entries["komm_kz"].to_numpy()
    moved: np.ndarray = differs & (base != NONE)
    return moved


def owner(places: pd.DataFrame, sides: Sides) -> np.ndarray:
    """The person of each entry."""
    person = take(sides.base["person"], places["base"])
    person = np.where(person == NONE, take(sides.rows["person"], places["row"]), person)
    return np.where(person == NONE, take(sides.items["person"], places["item"]), person).astype("int64")


def channel_of(places: pd.DataFrame, sides: Sides) -> np.ndarray:
    """The channel of each entry: a pair keeps that of its baseline."""
    channel = take(words(sides.base["channel"]), places["base"], missing="")
    channel = np.where(channel == "", take(words(sides.rows["channel"]), places["row"], missing=""), channel)
    return np.where(channel == "", take(words(sides.items["channel"]), places["item"], missing=""), channel)


def komm_kz_of(places: pd.DataFrame, channel: np.ndarray, sides: Sides, table: KommKzTable) -> np.ndarray:
    """KommKz of each entry: marker, baseline, payload, top-level field, EspoCRM's type, mobile number, default."""
    rows, items, row, item = sides.rows, sides.items, places["row"].to_numpy(), places["item"].to_numpy()
    of_type = np.where(words(items["type"]) == "", 0, items["komm_kz"])
    told = (
        take(whole(rows["marker_komm_kz"], 0), row, missing=0),
        take(whole(sides.base["komm_kz"]), places["base"], missing=0),
        take(whole(rows["komm_kz"], 0), row, missing=0),
        take(whole(rows["field_komm_kz"], 0), row, missing=0),
        take(of_type, item, missing=0),
        take(facts_of(rows["mobile"]), row, missing=False) * MOBILE,
    )
    text = take(is_text(rows["canonical"]), row, missing=False) | take(is_text(items["canonical"]), item, missing=False)
    return first_that_fits(told, channel == Channel.MAIL.value, ~text.astype(bool), table)


def first_that_fits(
    told: Sequence[np.ndarray], mail: np.ndarray, number: np.ndarray, table: KommKzTable
) -> np.ndarray:
    """Return the kommKz of each entry: of the sources in the order of rules.md §3 the first whose kommKz fits it.

    ``told``: one array a source, 0 where it is silent; ``mail``, ``number``: which entries are mails, and which hold a
    number, as Sonstige takes no text. Where none fits, the channel's own: 1, mail 4.
    """
    answer = np.zeros(len(mail), dtype="int64")
    for source in told:
        fitting = np.select(
            [mail, number],
            [np.isin(source, table.of(Channel.MAIL)), np.isin(source, table.of(Channel.PHONE))],
            np.isin(source, table.of(Channel.PHONE, number=False)),
        )
        answer = np.where((answer == 0) & fitting, source, answer)
    own = np.select(
        [mail, number],
        [table.for_type(None, Channel.MAIL), table.for_type(None, Channel.PHONE)],
        table.for_type(None, Channel.PHONE, number=False),
    )
    return np.where(answer == 0, own, answer)


@cache
def decision_table() -> pd.DataFrame:
    """Every combination of ``FACTS`` with its ``variant``: 128 rows, key ``FACTS``."""
    rows = [
        (*facts, rule.variant.value)
        for facts in product((False, True), repeat=len(FACTS))
        for rule in RULES
        if matches(rule, facts)
    ]
    return pd.DataFrame(rows, columns=[*FACTS, "variant"])
