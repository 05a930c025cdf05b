"""The seven facts of each entry, its kommKz and its variant: from places to one row an entry (rules §3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from etl.records import Channel
from etl.rules.entry import MISSING
from etl.rules.joins.columns import is_not_number, take_or
from etl.rules.marker import is_same_text
from etl.rules.values.kommkz import MOBILE_KOMM_KZ
from etl.rules.variants import FACTS, RULES, rule_matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.rules.joins.columns import ColumnArrays
    from etl.rules.joins.matching import EntryIndex, MatchSides
    from etl.rules.values.kommkz import KommKzTable


@dataclass(frozen=True)
class Entries:
    """One entry a place: where it stands, whose it is, its channel and kommKz, what happened to it.

    ``baseline_outdated``: the baseline row no longer says what both sides show (spelling, type, row id), or was only
    read off a marker, though there is nothing to write. ``facts``: by name, each a fact of every entry.
    """

    index: EntryIndex
    person: np.ndarray
    channel: np.ndarray
    komm_kz: np.ndarray
    variant: np.ndarray
    baseline_outdated: np.ndarray
    facts: Mapping[str, np.ndarray]


def classify_entries(index: EntryIndex, sides: MatchSides, persons: ColumnArrays, table: KommKzTable) -> Entries:
    """Return what ``matching.match`` found with its facts, and by them the variant of each."""
    person, channel = person_of_entry(index, sides), channel_of_entry(index, sides)
    komm_kz = komm_kz_of_entry(index, channel, sides, table)
    entry_facts = compute_facts(index, sides, komm_kz)
    entry_facts["type_edit"] = entry_facts["known"] & entry_facts["in_espo"] & (channel == Channel.PHONE.value)
    entry_facts["type_edit"] &= is_type_edited(index, komm_kz, sides, persons["edited_by_other"][person], table)
    variant = decision_table()["variant"].to_numpy()[rule_numbers(entry_facts)]
    return Entries(index, person, channel, komm_kz, variant, is_baseline_outdated(index, komm_kz, sides), entry_facts)


def compute_facts(index: EntryIndex, sides: MatchSides, komm_kz: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the facts that values and markers tell, each a bool array over the entries."""
    base, row, item = index.base, index.row, index.item
    row_key, item_key = take_or(sides.rows["key"], row), take_or(sides.items["key"], item)
    known, in_espo = base != MISSING, item != MISSING
    in_advo = take_or(sides.rows["filled"], row, missing=False).astype(bool)
    is_different = ~(in_espo & in_advo & (row_key == item_key))
    marker_agrees = (
        (take_or(sides.rows.str_array("marker_kind"), row, missing="none") == "marker")
        & (take_or(sides.rows["marker_key"], row) == item_key)
        & (take_or(sides.rows.int_array("marker_komm_kz", 0), row, missing=0) == komm_kz)
    )
    return {
        "known": known,
        "in_espo": in_espo,
        "in_advo": in_advo,
        "espo_edit": known & in_espo & is_different & (item_key != take_or(sides.base["espo_key"], base)),
        "advo_edit": known & in_advo & is_different & (row_key != take_or(sides.base["advo_key"], base)),
        "marked": in_advo & (marker_agrees | is_unmarked_on_purpose(base, row, sides)),
    }


def rule_numbers(entry_facts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which line of the decision table speaks of each entry: the facts read as one binary number."""
    numbers = np.zeros(len(entry_facts[FACTS[0]]), dtype="int64")
    for fact in FACTS:
        numbers = numbers << 1 | entry_facts[fact]
    return numbers


def is_type_edited(
    index: EntryIndex, komm_kz: np.ndarray, sides: MatchSides, by_other: np.ndarray, table: KommKzTable
) -> np.ndarray:
    """Whether somebody gave this very record's phone a type of another kommKz; shared address rows do not count."""
    if not by_other.any():
        return by_other
    types = take_or(sides.items.str_array("type"), index.item, missing="")
    baseline_types = take_or(sides.base.str_array("espo_type"), index.base, missing="")
    item_komm_kz = take_or(sides.items["komm_kz"], index.item)
    type_komm_kz = {
        kind: table.komm_kz_for_type(table.espo_type(kind), Channel.PHONE) for kind in set(komm_kz.tolist())
    }
    pair_komm_kz = np.array([type_komm_kz[kind] for kind in komm_kz.tolist()], dtype="int64")
    is_edited: np.ndarray = by_other & (types != baseline_types) & (item_komm_kz != pair_komm_kz)
    return is_edited


def is_unmarked_on_purpose(base: np.ndarray, row: np.ndarray, sides: MatchSides) -> np.ndarray:
    """A pair without marker because the remark was too long for one: right as long as nobody touches the remark."""
    is_unmarked: np.ndarray = take_or(sides.base.bool_array("unmarked"), base, missing=False).astype(bool)
    if not is_unmarked.any():
        return is_unmarked
    positions = np.flatnonzero(is_unmarked)
    remark = take_or(sides.rows.str_array("remark"), row[positions], missing="")
    baseline_remark = take_or(sides.base.str_array("remark"), base[positions], missing="")
    is_unmarked[positions] = [is_same_text(*both) for both in zip(remark, baseline_remark, strict=True)]
    return is_unmarked


def is_baseline_outdated(index: EntryIndex, komm_kz: np.ndarray, sides: MatchSides) -> np.ndarray:
    """Whether the baseline row says something else than both sides show now, or is only read off a marker yet."""
    base, row, item = index.base, index.row, index.item
    columns = (
        ("espo_value", sides.items.str_array("value"), item),
        ("espo_type", sides.items.str_array("type"), item),
        ("advo_value", sides.rows.str_array("value"), row),
        ("row_id", sides.rows.str_array("row_id"), row),
    )
    differs = take_or(sides.base["pseudo"], base, missing=False).astype(bool)
    differs |= take_or(sides.base["komm_id"], base) != take_or(sides.rows["komm_id"], row)
    for baseline_column, values, positions in columns:
        differs |= take_or(sides.base.str_array(baseline_column), base, missing="") != take_or(
            values, positions, missing=""
        )
    differs |= take_or(sides.base.int_array("komm_kz"), base) != komm_kz
    is_outdated: np.ndarray = differs & (base != MISSING)
    return is_outdated


def person_of_entry(index: EntryIndex, sides: MatchSides) -> np.ndarray:
    """The person of each entry."""
    person = take_or(sides.base["person"], index.base)
    person = np.where(person == MISSING, take_or(sides.rows["person"], index.row), person)
    return np.where(person == MISSING, take_or(sides.items["person"], index.item), person)


def channel_of_entry(index: EntryIndex, sides: MatchSides) -> np.ndarray:
    """The channel of each entry: a pair keeps that of its baseline."""
    channel = take_or(sides.base.str_array("channel"), index.base, missing="")
    channel = np.where(channel == "", take_or(sides.rows.str_array("channel"), index.row, missing=""), channel)
    return np.where(channel == "", take_or(sides.items.str_array("channel"), index.item, missing=""), channel)


def komm_kz_of_entry(index: EntryIndex, channel: np.ndarray, sides: MatchSides, table: KommKzTable) -> np.ndarray:
    """KommKz of each entry: marker, baseline, payload, top-level field, EspoCRM's type, mobile number, default."""
    rows, items, row, item = sides.rows, sides.items, index.row, index.item
    type_komm_kz = np.where(items.str_array("type") == "", 0, items["komm_kz"])
    sources = (
        take_or(rows.int_array("marker_komm_kz", 0), row, missing=0),
        take_or(sides.base.int_array("komm_kz"), index.base, missing=0),
        take_or(rows.int_array("komm_kz", 0), row, missing=0),
        take_or(rows.int_array("field_komm_kz", 0), row, missing=0),
        take_or(type_komm_kz, item, missing=0),
        take_or(rows.bool_array("mobile"), row, missing=False) * MOBILE_KOMM_KZ,
    )
    is_text = take_or(is_not_number(rows.frame["canonical"]), row, missing=False)
    is_text |= take_or(is_not_number(items.frame["canonical"]), item, missing=False)
    return first_valid(sources, channel == Channel.MAIL.value, ~is_text.astype(bool), table)


def first_valid(
    sources: Sequence[np.ndarray], is_mail: np.ndarray, is_number: np.ndarray, table: KommKzTable
) -> np.ndarray:
    """Return the kommKz of each entry: of the sources in the order of rules §3 the first whose kommKz fits it.

    ``sources``: one array a source, 0 where it is silent; ``is_mail``, ``is_number``: which entries are mails, and
    which hold a number, as Sonstige takes no text. Where none fits, the channel's own: 1, mail 4.
    """
    result = np.zeros(len(is_mail), dtype="int64")
    for source in sources:
        is_valid = np.select(
            [is_mail, is_number],
            [np.isin(source, table.komm_kzs(Channel.MAIL)), np.isin(source, table.komm_kzs(Channel.PHONE))],
            np.isin(source, table.komm_kzs(Channel.PHONE, is_number=False)),
        )
        result = np.where((result == 0) & is_valid, source, result)
    channel_default = np.select(
        [is_mail, is_number],
        [table.komm_kz_for_type(None, Channel.MAIL), table.komm_kz_for_type(None, Channel.PHONE)],
        table.komm_kz_for_type(None, Channel.PHONE, is_number=False),
    )
    return np.where(result == 0, channel_default, result)


@cache
def decision_table() -> pd.DataFrame:
    """Every combination of ``FACTS`` with its ``variant``.

    128 rows, key ``FACTS``, in the order of ``rule_numbers``.
    """
    rows = [
        (*combination, rule.variant.value)
        for combination in product((False, True), repeat=len(FACTS))
        for rule in RULES
        if rule_matches(rule, combination)
    ]
    return pd.DataFrame(rows, columns=[*FACTS, "variant"])
