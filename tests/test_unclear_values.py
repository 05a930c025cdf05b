"""Numbers and addresses as people type them, through whole runs (rules.md §0): certain ones arrive, no other is made.

Every string of the corpus alone in Advoware, beside the right value in EspoCRM, and the other way round.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Channel
from etl.rules.marker import encode
from etl.rules.readings import is_reading
from etl.rules.values import Clarity, classify
from tests.practice import Practice, remembered
from tests.typed import Typed, typed

if TYPE_CHECKING:
    from pathlib import Path

OFFICE = "Office"
LONGEST = 36  # characters of a phone in an upgraded EspoCRM
ANCHOR = "+4930901820"
"""A number every person has on both sides, so that nobody's entries vanish as a whole."""


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice.of(tmp_path, 0)


def hire(practice: Practice, betnr: int, items: list[str], rows: list[str]) -> str:
    """A person who has these values, and the anchor."""
    phones = [(value, OFFICE) for value in (ANCHOR, *items) if "@" not in value]
    entity_id = practice.espo.add_person("Max Muster", betnr, phones=phones, mails=[one for one in items if "@" in one])
    practice.advo.add_person(betnr, "Max Muster")
    for value in ("030/901820", *rows):
        practice.advo.add_row(betnr, value)
    return entity_id


def items(practice: Practice, entity_id: str) -> list[str]:
    """EspoCRM's values but for the anchor."""
    shown = (one.get("phoneNumber") or one["emailAddress"] for one in practice.espo.items(entity_id))
    return sorted(value for value in shown if value != ANCHOR)


def rows(practice: Practice, betnr: int) -> list[str]:
    """Advoware's values but for the anchor."""
    return sorted(row["tlf"] for row in practice.advo.rows(betnr) if row["tlf"] and row["tlf"] != "030/901820")


def left(practice: Practice, betnr: int) -> list[tuple[Any, ...]]:
    return remembered(practice, f"select side, reason from left_alone where betnr = {betnr} order by side")


def everything(practice: Practice) -> list[Any]:
    """Both systems as they stand, row ids and remarks included."""
    return [
        (entity_id, practice.espo.items(entity_id), practice.advo.rows(betnr))
        for entity_id, betnr in practice.linked()
    ]


def at_rest(practice: Practice) -> None:
    """A second run and a sweep write nothing."""
    stands = everything(practice)
    practice.run()
    assert practice.writes == []
    practice.run(sweep=True)
    assert practice.writes == []
    assert everything(practice) == stands


CORPUS = dict(enumerate(typed(), start=1))
"""By the betnr of the person who has it."""


def number_of(line: Typed) -> list[str]:
    """What EspoCRM is to hold of it: nothing where nothing is certain, or where it takes no extension, no umlaut."""
    return [line.says] if line.certain and ";ext=" not in line.says and line.says.isascii() else []


def shown(practice: Practice, entity_id: str) -> list[str]:
    return [value.lower() for value in items(practice, entity_id)]


def test_each_string_alone_in_advoware_arrives_as_what_it_is_or_not_at_all(practice: Practice) -> None:
    people = {betnr: hire(practice, betnr, [], [line.value]) for betnr, line in CORPUS.items()}
    assert practice.run().outcome == "done"
    wrong = [
        (line, shown(practice, people[betnr]), left(practice, betnr))
        for betnr, line in CORPUS.items()
        if shown(practice, people[betnr]) != number_of(line) or rows(practice, betnr) != [line.value]
    ]
    assert wrong == []
    at_rest(practice)


def test_each_string_beside_the_right_value_in_espocrm_links_and_keeps_its_spelling(practice: Practice) -> None:
    certain = {betnr: line for betnr, line in CORPUS.items() if number_of(line)}
    people = {betnr: hire(practice, betnr, [line.says], [line.value]) for betnr, line in certain.items()}
    assert practice.run().outcome == "done"
    wrong = [
        (line, shown(practice, people[betnr]), rows(practice, betnr))
        for betnr, line in certain.items()
        if shown(practice, people[betnr]) != [line.says] or rows(practice, betnr) != [line.value]
    ]
    assert wrong == []
    at_rest(practice)


def test_each_unclear_string_beside_one_of_its_readings_is_not_doubled(practice: Practice) -> None:
    """EspoCRM has one of the numbers a string may mean; neither side is given the other's."""
    beside = {
        betnr: (line.value, reading)
        for betnr, line in CORPUS.items()
        if line.says == "UNCLEAR" and (reading := some_reading(line)) is not None
    }
    assert len(beside) > 60
    people = {betnr: hire(practice, betnr, [reading], [value]) for betnr, (value, reading) in beside.items()}
    assert practice.run().outcome == "done"
    wrong = [
        (value, reading, shown(practice, people[betnr]), rows(practice, betnr))
        for betnr, (value, reading) in beside.items()
        if shown(practice, people[betnr]) != [reading] or rows(practice, betnr) != [value]
    ]
    assert wrong == []
    assert {tuple(left(practice, betnr)) for betnr in beside} == {(("advo", "unclear"), ("espo", "unclear"))}
    at_rest(practice)


def some_reading(line: Typed) -> str | None:
    """A valid number that the string's digits make, found here by trying them all; None where there is none."""
    digits = "".join(char for char in line.value if char in "0123456789")
    for start in range(len(digits)):
        for length in range(len(digits) - start, 6, -1):
            read = classify(Channel.PHONE, f"0{digits[start : start + length].lstrip('0')}", "DE")
            if read is not None and read.clarity is Clarity.CERTAIN and read.address is not None:
                unclear = classify(line.channel, line.value, "DE")
                if unclear is not None and is_reading(read.address, unclear.readings):
                    return read.address
    return None


def test_each_string_in_espocrm_beside_the_right_value_in_advoware(practice: Practice) -> None:
    """An upgraded EspoCRM keeps any text; what is certain links, what is unclear goes to Advoware as written."""
    practice.espo.store.settings["phoneNumberInternational"] = False
    held = {betnr: line for betnr, line in CORPUS.items() if line.kind != "mail" and len(line.value) <= LONGEST}
    people = {
        betnr: hire(practice, betnr, [line.value], [line.says] if number_of(line) else [])
        for betnr, line in held.items()
    }
    assert practice.run().outcome == "done"
    wrong = [
        (line, items(practice, people[betnr]), rows(practice, betnr))
        for betnr, line in held.items()
        if items(practice, people[betnr]) != [line.value.strip()]
        or rows(practice, betnr) != ([line.says] if number_of(line) else [line.value.strip()])
    ]
    assert wrong == []
    at_rest(practice)


# The table of issue 14, row by row ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["491711234567", "0511/12345-60/61", "0621 12-0 (-45)"])
def test_no_number_of_a_stranger_reaches_espocrm(practice: Practice, value: str) -> None:
    entity_id = hire(practice, 1, [], [value])
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([], [value])
    assert left(practice, 1) == [("advo", "unclear")]
    at_rest(practice)


@pytest.mark.parametrize(
    "value",
    [
        "\u202a0511 1234560\u202c",
        "0511\u200b1234560",
        "0511\u20131234560",
        "0511\u20091234560",
        "\uff10\uff15\uff11\uff11 1234560",
        "tel:+495111234560",
        "0511 1234560,",
    ],
)
def test_the_same_number_written_oddly_links_and_is_not_posted_a_second_time(practice: Practice, value: str) -> None:
    entity_id = hire(practice, 1, ["+495111234560"], [value])
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == (["+495111234560"], [value])
    at_rest(practice)


def test_two_domains_that_only_folding_makes_one_are_two_addresses(practice: Practice) -> None:
    entity_id = hire(practice, 1, ["info@weiss-recht.de"], ["info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de"])
    practice.run()
    at_rest(practice)
    practice.espo.edit(entity_id, mails=[])
    practice.run()
    assert "info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de" in rows(practice, 1)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0163 651068", "+49163651068"),
        ("Kanzlei M\u00fcller 0511 1234560", "+495111234560"),
        ("0511 1234560 / 0171 2223334", "+491712223334"),
    ],
)
def test_a_reading_of_an_unclear_row_is_not_posted_beside_it(practice: Practice, value: str, number: str) -> None:
    practice.espo.store.settings["phoneNumberInternational"] = False
    entity_id = hire(practice, 1, [number], [value])
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([number], [value])
    at_rest(practice)


def test_a_reading_of_what_both_sides_hold_is_a_number_like_any_other(practice: Practice) -> None:
    """The row is no unlinked one: EspoCRM has both, so Advoware gets both, and no deletion takes the wrong one."""
    practice.espo.store.settings["phoneNumberInternational"] = False
    unclear, number = "0171 2223334 privat", "+491712223334"
    entity_id = hire(practice, 1, [unclear], [unclear])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE), (number, "Mobile")])
    practice.run()
    assert items(practice, entity_id) == rows(practice, 1) == sorted([unclear, number])
    at_rest(practice)
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (number, "Mobile")])
    practice.run()
    assert items(practice, entity_id) == rows(practice, 1) == [number]
    at_rest(practice)


# A certain pair edited into an unclear value ------------------------------------------------------------------------

X, NEW = "+495111234560", "+495119999999"
UNCLEAR = "0511 1234560 / 0171 2223334"


@pytest.fixture
def edited(practice: Practice) -> tuple[Practice, str]:
    """A pair whose row a person edited into an unclear value, seen by a run."""
    entity_id = hire(practice, 1, [X], ["0511 1234560"])
    practice.run()
    row = next(one["id"] for one in practice.advo.rows(1) if one["tlf"] == "0511 1234560")
    practice.advo.edit_row(1, row, value=UNCLEAR)
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([X], [UNCLEAR])
    at_rest(practice)
    return practice, entity_id


def test_it_goes_on_once_it_is_written_clearly(edited: tuple[Practice, str]) -> None:
    practice, entity_id = edited
    row = next(one["id"] for one in practice.advo.rows(1) if one["tlf"] == UNCLEAR)
    practice.advo.edit_row(1, row, value="0511 9999999")
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([NEW], ["0511 9999999"])
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
    at_rest(practice)


def test_a_deletion_on_the_other_side_ends_the_pair_and_empties_nothing(edited: tuple[Practice, str]) -> None:
    practice, entity_id = edited
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE)])
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([], [UNCLEAR])
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
    at_rest(practice)


def test_an_edit_on_the_other_side_ends_the_pair_and_is_new(edited: tuple[Practice, str]) -> None:
    practice, entity_id = edited
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (NEW, OFFICE)])
    practice.run()
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([NEW], sorted([NEW, UNCLEAR]))
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
    at_rest(practice)


@pytest.mark.parametrize("also", ["kept", "deleted", "edited"])
def test_an_item_edited_into_an_unclear_value_waits_and_is_never_overwritten(practice: Practice, also: str) -> None:
    practice.espo.store.settings["phoneNumberInternational"] = False
    entity_id = hire(practice, 1, [X], ["0511 1234560"])
    practice.run()
    unclear = "0511 1234560 privat"
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE)])
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([unclear], ["0511 1234560"])
    row = next(one["id"] for one in practice.advo.rows(1) if one["tlf"] == "0511 1234560")
    if also == "deleted":
        practice.advo.remove_row(1, row)
    elif also == "edited":
        practice.advo.edit_row(1, row, value="0511 9999999")
    practice.run()
    practice.run()
    assert unclear in items(practice, entity_id)
    wanted = {"kept": ["0511 1234560"], "deleted": [unclear], "edited": sorted(["0511 9999999", unclear])}
    assert rows(practice, 1) == wanted[also]
    assert remembered(practice, "select count(*) from conflicts") == [(0,)]
    at_rest(practice)


@pytest.mark.parametrize("unclear", ["0511 1234560 privat", "491711234567"])
@pytest.mark.parametrize("then", ["another is added", "another is deleted", "its type is changed"])
def test_an_unrelated_edit_does_not_empty_the_row_of_a_pair_that_waits(
    practice: Practice, unclear: str, then: str
) -> None:
    """What the pair was edited into is known by its note, however many are new or gone beside it by then."""
    practice.espo.store.settings["phoneNumberInternational"] = False
    other, own = "+498955667788", "Home" if then == "its type is changed" else OFFICE
    entity_id = hire(practice, 1, [X, other], ["0511 1234560", "089 55667788"])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE), (other, OFFICE)])
    practice.run()
    beside = {"another is added": [(other, OFFICE), (NEW, OFFICE)], "another is deleted": []}
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, own), *beside.get(then, [(other, OFFICE)])])
    practice.run()
    practice.run()
    assert unclear in items(practice, entity_id)
    assert "0511 1234560" in rows(practice, 1)
    assert unclear not in rows(practice, 1)
    at_rest(practice)


@pytest.mark.parametrize("kind", ["Office", "Mobile", "Other"])
def test_what_may_say_the_agreed_number_is_an_edit_of_it_beside_new_ones(practice: Practice, kind: str) -> None:
    practice.espo.store.settings["phoneNumberInternational"] = False
    entity_id = hire(practice, 1, [X], ["0511 1234560"])
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (X, kind)])
    practice.run()
    unclear = "0511 1234560 privat"
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, kind), (NEW, kind)])
    practice.run()
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([NEW, unclear], [NEW, "0511 1234560"])
    at_rest(practice)


def test_text_that_is_gone_beside_new_unclear_values_is_no_reading_of_them(practice: Practice) -> None:
    practice.espo.store.settings["phoneNumberInternational"] = False
    entity_id = hire(practice, 1, ["skype:max"], ["skype:max"])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), ("0511 1234560 privat", OFFICE), (NEW, OFFICE)])
    practice.run()
    assert rows(practice, 1) == [NEW, "0511 1234560 privat"]
    at_rest(practice)


@pytest.mark.parametrize("unclear", ["0511 1234560 privat", "491711234567"])
def test_a_number_of_type_other_that_is_edited_into_an_unclear_one_waits(practice: Practice, unclear: str) -> None:
    """An unclear value may be a number, though nothing but a number is ever written as Sonstige."""
    practice.espo.store.settings["phoneNumberInternational"] = False
    entity_id = hire(practice, 1, [X], ["0511 1234560"])
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (X, "Other")])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, "Other")])
    practice.run()
    practice.run()
    assert (items(practice, entity_id), rows(practice, 1)) == ([unclear], ["0511 1234560"])
    at_rest(practice)


# A newer grammar ----------------------------------------------------------------------------------------------------


def older(practice: Practice, betnr: int, espo: str, advo: str, canonical: str) -> None:
    """Let the store hold a pair as an earlier version read it, and forget by which grammar it was read."""
    with closing(sqlite3.connect(practice.config.state.path)) as store, store:
        store.execute("delete from settings where key = 'grammar'")
        pair = "select entity_id, betnr, komm_id, 'phone', ?, ?, 'Office', ?, ?, 1, row_id, ? from advo_entries"
        where = " join persons using (betnr) where betnr = ? and advo_entries.value = ?"
        columns = "entity_id, betnr, komm_id, channel, espo_value, espo_canonical, espo_type, advo_value"
        store.execute(
            f"insert into baseline ({columns}, advo_canonical, komm_kz, row_id, agreed_at) {pair}{where}",
            (espo, canonical, advo, canonical, "2026-08-30 08:00:00", betnr, advo),
        )


def test_deleting_a_number_that_an_earlier_version_invented_empties_no_row(practice: Practice) -> None:
    typed_row, invented = "491711234567", "+49491711234567"
    entity_id = hire(practice, 1, [], [typed_row])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (invented, OFFICE)])
    older(practice, 1, invented, typed_row, invented)
    practice.run()
    assert practice.advo.writes == []
    at_rest(practice)
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE)])
    practice.run()
    assert rows(practice, 1) == [typed_row]
    at_rest(practice)


def test_a_pair_that_a_newer_grammar_parts_stays_as_it_is_on_both_sides(practice: Practice) -> None:
    espo, advo = "+495111234561", "0511 1234560"
    entity_id = hire(practice, 1, [], [advo])
    practice.run()
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (espo, OFFICE)])
    with closing(sqlite3.connect(practice.config.state.path)) as store, store:
        store.execute("delete from baseline where advo_value = ?", (advo,))
    older(practice, 1, espo, advo, espo)
    practice.run()
    at_rest(practice)
    assert (items(practice, entity_id), rows(practice, 1)) == ([espo], [advo])
    assert left(practice, 1) == [("advo", "unclear"), ("espo", "unclear")]


def test_two_agreed_pairs_that_are_one_number_for_a_newer_grammar_stay_pairs(practice: Practice) -> None:
    practice.espo.store.settings["phoneNumberInternational"] = False
    first, second = "+495111234560", "0511 123-4560"
    entity_id = hire(practice, 1, [first, "abc"], ["0511 1234560", "abc"])
    practice.run()
    with closing(sqlite3.connect(practice.config.state.path)) as store, store:
        for table, column in (("espo_entries", "value"), ("advo_entries", "value"), ("advo_entries", "marker_value")):
            store.execute(f"update {table} set {column} = ? where {column} = 'abc'", (second,))
        store.execute("update baseline set espo_value = ?, advo_value = ? where espo_value = 'abc'", (second, second))
        store.execute("update advo_entries set remark = ? where value = ?", (encode(second, 1, ""), second))
        store.execute("delete from settings where key = 'grammar'")
    practice.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (first, OFFICE), (second, OFFICE)])
    row = next(one["id"] for one in practice.advo.rows(1) if one["tlf"] == "abc")
    practice.advo.edit_row(1, row, value=second, remark=encode(second, 1, ""))
    practice.run()
    practice.run(sweep=True)
    assert sorted(items(practice, entity_id)) == sorted([first, second])
    assert rows(practice, 1) == sorted(["0511 1234560", second])
