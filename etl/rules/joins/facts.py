"""The seven facts of each entry, its kommKz and its variant (rules §3)."""

from __future__ import annotations

from functools import cache, reduce
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from etl.records import Channel
from etl.rules.joins.columns import is_any_of, is_equal, is_equal_text, is_text, is_true, text_or_empty
from etl.rules.marker import MarkerKind, is_same_text
from etl.rules.values.kommkz import MOBILE_KOMM_KZ
from etl.rules.variants import FACTS, RULES, rule_matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.rules.joins.matching import MatchSides
    from etl.rules.values.kommkz import KommKzTable


class EntryParts(NamedTuple):
    """The pair, row and item of each entry: three frames, one row an entry, null throughout where it has none."""

    base: pd.DataFrame
    row: pd.DataFrame
    item: pd.DataFrame


PAIR_PART: Final = [
    *("entity_id", "channel", "komm_id", "row_id", "komm_kz", "espo_key", "advo_key", "pseudo"),
    *("espo_value", "espo_type", "advo_value", "remark", "unmarked"),
]
ROW_PART: Final = [
    *("entity_id", "channel", "komm_id", "row_id", "key", "value", "canonical", "remark"),
    *("marker_kind", "marker_key", "marker_komm_kz", "komm_kz", "field_komm_kz", "mobile"),
]
ITEM_PART: Final = ["entity_id", "channel", "key", "value", "canonical", "type", "komm_kz"]


def classify_entries(
    entries: pd.DataFrame, sides: MatchSides, persons: pd.DataFrame, table: KommKzTable
) -> pd.DataFrame:
    """Return what ``matching.match`` found with its facts, and by them the variant of each.

    One row an entry: ``pair, row, item``, ``entity_id, channel, komm_kz``, ``FACTS``, ``variant``, and
    ``baseline_outdated``: the baseline row no longer says what both sides show (spelling, type, row id), or was only
    read off a marker, though there is nothing to write.
    """
    parts = EntryParts(
        join_part(entries, sides.base[["pair", *PAIR_PART]], "pair"),
        join_part(entries, sides.rows[["row", *ROW_PART]], "row"),
        join_part(entries, sides.items[["item", *ITEM_PART]], "item"),
    )
    entity_id, channel = (first_of(*(part[name] for part in parts)) for name in ("entity_id", "channel"))
    komm_kz = komm_kz_of_entries(parts, channel, table)
    facts = compute_facts(parts, komm_kz)
    facts["type_edit"] = facts["known"] & facts["in_espo"] & is_true(channel.eq(Channel.PHONE.value))
    if facts["type_edit"].any():
        by_other = persons.loc[persons["edited_by_other"], "entity_id"]
        facts["type_edit"] &= is_any_of(entity_id, by_other) & is_type_edited(parts, komm_kz, table)
    variants = variant_by_facts()
    return entries.assign(
        entity_id=entity_id,
        channel=channel,
        komm_kz=komm_kz,
        **facts,
        variant=[variants[values] for values in zip(*(facts[fact].tolist() for fact in FACTS), strict=True)],
        baseline_outdated=is_baseline_outdated(parts, komm_kz),
    )


def join_part(entries: pd.DataFrame, part: pd.DataFrame, number: str) -> pd.DataFrame:
    """The pair, row or item of each entry, in the order of the entries."""
    return part.set_index(number).reindex(entries[number]).reset_index(drop=True)


def first_of(*columns: pd.Series) -> pd.Series:
    """The first of these columns that is not null: a pair keeps what its baseline says."""
    return reduce(lambda first, second: first.fillna(second), columns)


def compute_facts(parts: EntryParts, komm_kz: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the facts that values and markers tell, each a bool array over the entries."""
    base, row, item = parts
    known, in_espo = (is_true(part["entity_id"].notna()) for part in (base, item))
    in_advo = is_true(row["key"].notna())
    is_different = ~(in_espo & in_advo & is_equal(row["key"], item["key"]))
    marker_agrees = (
        is_true(row["marker_kind"].eq(MarkerKind.MARKER.value))
        & is_equal(row["marker_key"], item["key"])
        & (number_or_zero(row["marker_komm_kz"]) == komm_kz)
    )
    return {
        "known": known,
        "in_espo": in_espo,
        "in_advo": in_advo,
        "espo_edit": known & in_espo & is_different & ~is_equal(item["key"], base["espo_key"]),
        "advo_edit": known & in_advo & is_different & ~is_equal(row["key"], base["advo_key"]),
        "marked": in_advo & (marker_agrees | is_unmarked_on_purpose(parts)),
    }


def is_type_edited(parts: EntryParts, komm_kz: np.ndarray, table: KommKzTable) -> np.ndarray:
    """Where an item has a type of another kommKz than its entry; shared address rows do not count."""
    type_komm_kz = {
        number: table.komm_kz_for_type(table.espo_type(number), Channel.PHONE) for number in set(komm_kz.tolist())
    }
    entry_komm_kz = np.array([type_komm_kz[number] for number in komm_kz.tolist()], dtype="int64")
    has_new_type = ~is_equal_text(parts.item["type"], parts.base["espo_type"])
    is_edited: np.ndarray = has_new_type & (number_or_zero(parts.item["komm_kz"]) != entry_komm_kz)
    return is_edited


def is_unmarked_on_purpose(parts: EntryParts) -> np.ndarray:
    """A pair without marker because the remark was too long for one: right as long as nobody touches the remark."""
    is_unmarked = is_true(parts.base["unmarked"])
    if not is_unmarked.any():
        return is_unmarked
    remarks = (text_or_empty(part.loc[is_unmarked, "remark"]) for part in (parts.row, parts.base))
    is_unmarked[is_unmarked] = [is_same_text(*both) for both in zip(*remarks, strict=True)]
    return is_unmarked


def is_baseline_outdated(parts: EntryParts, komm_kz: np.ndarray) -> np.ndarray:
    """Whether the baseline row says something else than both sides show now, or is only read off a marker yet."""
    base, row, item = parts
    is_current = (
        is_equal(base["komm_id"], row["komm_id"])
        & (number_or_zero(base["komm_kz"]) == komm_kz)
        & is_equal_text(base["espo_value"], item["value"])
        & is_equal_text(base["espo_type"], item["type"])
        & is_equal_text(base["advo_value"], row["value"])
        & is_equal_text(base["row_id"], row["row_id"])
    )
    is_outdated: np.ndarray = is_true(base["entity_id"].notna()) & (
        is_true(base["pseudo"].astype("boolean")) | ~is_current
    )
    return is_outdated


def komm_kz_of_entries(parts: EntryParts, channel: pd.Series, table: KommKzTable) -> np.ndarray:
    """KommKz of each entry: marker, baseline, payload, top-level field, EspoCRM's type, mobile number, default."""
    base, row, item = parts
    columns = (
        row["marker_komm_kz"],
        base["komm_kz"],
        row["komm_kz"],
        row["field_komm_kz"],
        item["komm_kz"].where(text_or_empty(item["type"]) != ""),
    )
    sources = [*map(number_or_zero, columns), is_true(row["mobile"]) * MOBILE_KOMM_KZ]
    is_number = ~is_text(row["canonical"]) & ~is_text(item["canonical"])
    return first_valid(sources, is_true(channel.eq(Channel.MAIL.value)), is_number, table)


def number_or_zero(column: pd.Series) -> np.ndarray:
    """A column of whole numbers as int64, 0 for null."""
    return column.to_numpy(dtype="int64", na_value=0)


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

    128 rows, key ``FACTS``.
    """
    rows = [
        (*combination, rule.variant.value)
        for combination in product((False, True), repeat=len(FACTS))
        for rule in RULES
        if rule_matches(rule, combination)
    ]
    return pd.DataFrame(rows, columns=[*FACTS, "variant"])


@cache
def variant_by_facts() -> dict[tuple[bool, ...], str]:
    """The decision table, looked up by its key: a join on seven columns would cost more than all others together."""
    table = decision_table()
    return dict(zip(zip(*(table[fact].tolist() for fact in FACTS), strict=True), table["variant"], strict=True))
