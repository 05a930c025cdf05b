"""The seven facts of each entry, its kommKz and its variant: from places to one row an entry (rules.md §3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.records import Channel
from etl.rules.columns import is_text, take
from etl.rules.entry import NONE
from etl.rules.kommkz import MOBILE
from etl.rules.marker import same_text
from etl.rules.variants import FACTS, RULES, matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.columns import Columns
    from etl.rules.kommkz import KommKzTable
    from etl.rules.matching import Places, Sides


@dataclass(frozen=True)
class Entries:
    """One entry a place: where it stands, whose it is, its channel and kommKz, what happened to it.

    ``moves``: the baseline row no longer says what both sides show (spelling, type, row id), or was only read off a
    marker, though there is nothing to write. ``facts``: by name, each a fact of every entry.
    """

    places: Places
    person: np.ndarray
    channel: np.ndarray
    komm_kz: np.ndarray
    variant: np.ndarray
    moves: np.ndarray
    facts: Mapping[str, np.ndarray]


def entries_with_facts(places: Places, sides: Sides, persons: Columns, table: KommKzTable) -> Entries:
    """Return what ``matching.match`` found with its facts, and by them the variant of each."""
    person, channel = owner(places, sides), channel_of(places, sides)
    komm_kz = komm_kz_of(places, channel, sides, table)
    told = facts(places, sides, komm_kz)
    told["type_edit"] = told["known"] & told["in_espo"] & (channel == Channel.PHONE.value)
    told["type_edit"] &= type_edited(places, komm_kz, sides, persons["edited_by_other"][person], table)
    variant = decision_table()["variant"].to_numpy()[number_of(told)]
    return Entries(places, person, channel, komm_kz, variant, moves(places, komm_kz, sides), told)


def facts(places: Places, sides: Sides, komm_kz: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the facts that values and markers tell, each a bool array over the entries."""
    base, row, item = places.base, places.row, places.item
    row_key, item_key = take(sides.rows["key"], row), take(sides.items["key"], item)
    known, in_espo = base != NONE, item != NONE
    in_advo = take(sides.rows["filled"], row, missing=False).astype(bool)
    differ = ~(in_espo & in_advo & (row_key == item_key))
    marker_agrees = (
        (take(sides.rows.words("marker_kind"), row, missing="none") == "marker")
        & (take(sides.rows["marker_key"], row) == item_key)
        & (take(sides.rows.whole("marker_komm_kz", 0), row, missing=0) == komm_kz)
    )
    return {
        "known": known,
        "in_espo": in_espo,
        "in_advo": in_advo,
        "espo_edit": known & in_espo & differ & (item_key != take(sides.base["espo_key"], base)),
        "advo_edit": known & in_advo & differ & (row_key != take(sides.base["advo_key"], base)),
        "marked": in_advo & (marker_agrees | unmarked_on_purpose(base, row, sides)),
    }


def number_of(told: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which line of the decision table speaks of each entry: the facts read as one binary number."""
    number = np.zeros(len(told[FACTS[0]]), dtype="int64")
    for fact in FACTS:
        number = number << 1 | told[fact]
    return number


def type_edited(
    places: Places, komm_kz: np.ndarray, sides: Sides, by_other: np.ndarray, table: KommKzTable
) -> np.ndarray:
    """Whether somebody gave this very record's phone a type of another kommKz; shared address rows do not count."""
    if not by_other.any():
        return by_other
    now = take(sides.items.words("type"), places.item, missing="")
    was = take(sides.base.words("espo_type"), places.base, missing="")
    of_item = take(sides.items["komm_kz"], places.item)
    of_kind = {kind: table.for_type(table.espo_type(kind), Channel.PHONE) for kind in set(komm_kz.tolist())}
    of_pair = np.array([of_kind[kind] for kind in komm_kz.tolist()], dtype="int64")
    edited: np.ndarray = by_other & (now != was) & (of_item != of_pair)
    return edited


def unmarked_on_purpose(base: np.ndarray, row: np.ndarray, sides: Sides) -> np.ndarray:
    """A pair without marker because the remark was too long for one: right as long as nobody touches the remark."""
    unmarked: np.ndarray = take(sides.base.facts("unmarked"), base, missing=False).astype(bool)
    if not unmarked.any():
        return unmarked
    told = np.flatnonzero(unmarked)
    remark = take(sides.rows.words("remark"), row[told], missing="")
    agreed = take(sides.base.words("remark"), base[told], missing="")
    unmarked[told] = [same_text(*both) for both in zip(remark, agreed, strict=True)]
    return unmarked


def moves(places: Places, komm_kz: np.ndarray, sides: Sides) -> np.ndarray:
    """Whether the baseline row says something else than both sides show now, or is only read off a marker yet."""
    base, row, item = places.base, places.row, places.item
    pairs = (
        ("espo_value", sides.items.words("value"), item),
        ("espo_type", sides.items.words("type"), item),
        ("advo_value", sides.rows.words("value"), row),
        ("row_id", sides.rows.words("row_id"), row),
    )
    differs = take(sides.base["pseudo"], base, missing=False).astype(bool)
    differs |= take(sides.base["komm_id"], base) != take(sides.rows["komm_id"], row)
    for agreed, shown, place in pairs:
        differs |= take(sides.base.words(agreed), base, missing="") != take(shown, place, missing="")
    differs |= take(sides.base.whole("komm_kz"), base) != komm_kz
    moved: np.ndarray = differs & (base != NONE)
    return moved


def owner(places: Places, sides: Sides) -> np.ndarray:
    """The person of each entry."""
    person = take(sides.base["person"], places.base)
    person = np.where(person == NONE, take(sides.rows["person"], places.row), person)
    return np.where(person == NONE, take(sides.items["person"], places.item), person)


def channel_of(places: Places, sides: Sides) -> np.ndarray:
    """The channel of each entry: a pair keeps that of its baseline."""
    channel = take(sides.base.words("channel"), places.base, missing="")
    channel = np.where(channel == "", take(sides.rows.words("channel"), places.row, missing=""), channel)
    return np.where(channel == "", take(sides.items.words("channel"), places.item, missing=""), channel)


def komm_kz_of(places: Places, channel: np.ndarray, sides: Sides, table: KommKzTable) -> np.ndarray:
    """KommKz of each entry: marker, baseline, payload, top-level field, EspoCRM's type, mobile number, default."""
    rows, items, row, item = sides.rows, sides.items, places.row, places.item
    of_type = np.where(items.words("type") == "", 0, items["komm_kz"])
    told = (
        take(rows.whole("marker_komm_kz", 0), row, missing=0),
        take(sides.base.whole("komm_kz"), places.base, missing=0),
        take(rows.whole("komm_kz", 0), row, missing=0),
        take(rows.whole("field_komm_kz", 0), row, missing=0),
        take(of_type, item, missing=0),
        take(rows.facts("mobile"), row, missing=False) * MOBILE,
    )
    text = take(is_text(rows.frame["canonical"]), row, missing=False)
    text |= take(is_text(items.frame["canonical"]), item, missing=False)
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
    """Every combination of ``FACTS`` with its ``variant``: 128 rows, key ``FACTS``, in the order of ``number_of``."""
    rows = [
        (*facts, rule.variant.value)
        for facts in product((False, True), repeat=len(FACTS))
        for rule in RULES
        if matches(rule, facts)
    ]
    return pd.DataFrame(rows, columns=[*FACTS, "variant"])
