"""Numbers and addresses as people type them, through whole runs (rules §0): certain ones arrive, no other is made.

Every string of the corpus alone in Advoware, beside the right value in EspoCRM, and the other way round.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Channel
from etl.rules.marker import encode
from etl.rules.values.classify import Clarity, classify
from etl.rules.values.readings import is_reading
from tests.harness import SyncHarness
from tests.typed import CorpusLine, corpus_lines

if TYPE_CHECKING:
    from pathlib import Path

OFFICE = "Office"
LONGEST = 36  # characters of a phone in an upgraded EspoCRM
ANCHOR = "+4930901820"
"""A number every person has on both sides, so that nobody's entries vanish as a whole."""


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    return SyncHarness(tmp_path, 0)


def add_person_with_anchor(harness: SyncHarness, betnr: int, items: list[str], rows: list[str]) -> str:
    """A person who has these values, and the anchor."""
    phones = [(value, OFFICE) for value in (ANCHOR, *items) if "@" not in value]
    entity_id = harness.espo.add_person(
        "Max Muster", betnr, phones=phones, mails=[value for value in items if "@" in value]
    )
    harness.advo.add_person(betnr, "Max Muster")
    for value in ("030/901820", *rows):
        harness.advo.add_row(betnr, value)
    return entity_id


def espo_values_but_anchor(harness: SyncHarness, entity_id: str) -> list[str]:
    """EspoCRM's values but for the anchor."""
    values = (item_json.get("phoneNumber") or item_json["emailAddress"] for item_json in harness.espo.items(entity_id))
    return sorted(value for value in values if value != ANCHOR)


def advo_values_but_anchor(harness: SyncHarness, betnr: int) -> list[str]:
    """Advoware's values but for the anchor."""
    return sorted(row["tlf"] for row in harness.advo.rows(betnr) if row["tlf"] and row["tlf"] != "030/901820")


def reasons_left_alone(harness: SyncHarness, betnr: int) -> list[tuple[Any, ...]]:
    return harness.query_store(f"select side, reason from left_alone where betnr = {betnr} order by side")


def both_systems(harness: SyncHarness) -> list[Any]:
    """Both systems as they stand, row ids and remarks included."""
    return [
        (entity_id, harness.espo.items(entity_id), harness.advo.rows(betnr))
        for entity_id, betnr in harness.person_links()
    ]


def assert_at_rest(harness: SyncHarness) -> None:
    """A second run and a sweep write nothing."""
    before = both_systems(harness)
    harness.run()
    assert harness.writes == []
    harness.run(sweep=True)
    assert harness.writes == []
    assert both_systems(harness) == before


CORPUS = dict(enumerate(corpus_lines(), start=1))
"""By the betnr of the person who has it."""


def espo_numbers_of(line: CorpusLine) -> list[str]:
    """What EspoCRM is to hold of it: nothing where nothing is certain, or where it takes no extension, no umlaut."""
    return [line.says] if line.certain and ";ext=" not in line.says and line.says.isascii() else []


def espo_values_lower(harness: SyncHarness, entity_id: str) -> list[str]:
    return [value.lower() for value in espo_values_but_anchor(harness, entity_id)]


def test_each_string_alone_in_advoware_arrives_as_what_it_is_or_not_at_all(harness: SyncHarness) -> None:
    people = {betnr: add_person_with_anchor(harness, betnr, [], [line.value]) for betnr, line in CORPUS.items()}
    assert harness.run().outcome == "done"
    wrong = [
        (line, espo_values_lower(harness, people[betnr]), reasons_left_alone(harness, betnr))
        for betnr, line in CORPUS.items()
        if espo_values_lower(harness, people[betnr]) != espo_numbers_of(line)
        or advo_values_but_anchor(harness, betnr) != [line.value]
    ]
    assert wrong == []
    assert_at_rest(harness)


def test_each_string_beside_the_right_value_in_espocrm_links_and_keeps_its_spelling(harness: SyncHarness) -> None:
    certain_lines = {betnr: line for betnr, line in CORPUS.items() if espo_numbers_of(line)}
    people = {
        betnr: add_person_with_anchor(harness, betnr, [line.says], [line.value])
        for betnr, line in certain_lines.items()
    }
    assert harness.run().outcome == "done"
    wrong = [
        (line, espo_values_lower(harness, people[betnr]), advo_values_but_anchor(harness, betnr))
        for betnr, line in certain_lines.items()
        if espo_values_lower(harness, people[betnr]) != [line.says]
        or advo_values_but_anchor(harness, betnr) != [line.value]
    ]
    assert wrong == []
    assert_at_rest(harness)


def test_each_unclear_string_beside_one_of_its_readings_is_not_doubled(harness: SyncHarness) -> None:
    """EspoCRM has one of the numbers a string may mean; neither side is given the other's."""
    readings_by_betnr = {
        betnr: (line.value, reading)
        for betnr, line in CORPUS.items()
        if line.says == "UNCLEAR" and (reading := some_reading(line)) is not None
    }
    assert len(readings_by_betnr) > 60
    people = {
        betnr: add_person_with_anchor(harness, betnr, [reading], [value])
        for betnr, (value, reading) in readings_by_betnr.items()
    }
    assert harness.run().outcome == "done"
    wrong = [
        (value, reading, espo_values_lower(harness, people[betnr]), advo_values_but_anchor(harness, betnr))
        for betnr, (value, reading) in readings_by_betnr.items()
        if espo_values_lower(harness, people[betnr]) != [reading] or advo_values_but_anchor(harness, betnr) != [value]
    ]
    assert wrong == []
    assert {tuple(reasons_left_alone(harness, betnr)) for betnr in readings_by_betnr} == {
        (("advo", "unclear"), ("espo", "unclear"))
    }
    assert_at_rest(harness)


def some_reading(line: CorpusLine) -> str | None:
    """A valid number that the string's digits make, found here by trying them all; None where there is none."""
    digits = "".join(char for char in line.value if char in "0123456789")
    for start in range(len(digits)):
        for length in range(len(digits) - start, 6, -1):
            value_meaning = classify(Channel.PHONE, f"0{digits[start : start + length].lstrip('0')}", "DE")
            if (
                value_meaning is not None
                and value_meaning.clarity is Clarity.CERTAIN
                and value_meaning.address is not None
            ):
                unclear_meaning = classify(line.channel, line.value, "DE")
                if unclear_meaning is not None and is_reading(value_meaning.address, unclear_meaning.readings):
                    return value_meaning.address
    return None


def test_each_string_in_espocrm_beside_the_right_value_in_advoware(harness: SyncHarness) -> None:
    """An upgraded EspoCRM keeps any text; what is certain links, what is unclear goes to Advoware as written."""
    harness.espo.store.settings["phoneNumberInternational"] = False
    lines_espo_keeps = {
        betnr: line for betnr, line in CORPUS.items() if line.kind != "mail" and len(line.value) <= LONGEST
    }
    people = {
        betnr: add_person_with_anchor(harness, betnr, [line.value], [line.says] if espo_numbers_of(line) else [])
        for betnr, line in lines_espo_keeps.items()
    }
    assert harness.run().outcome == "done"
    wrong = [
        (line, espo_values_but_anchor(harness, people[betnr]), advo_values_but_anchor(harness, betnr))
        for betnr, line in lines_espo_keeps.items()
        if espo_values_but_anchor(harness, people[betnr]) != [line.value.strip()]
        or advo_values_but_anchor(harness, betnr) != ([line.says] if espo_numbers_of(line) else [line.value.strip()])
    ]
    assert wrong == []
    assert_at_rest(harness)


# The table of issue 14, row by row ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["491711234567", "0511/12345-60/61", "0621 12-0 (-45)"])
def test_no_number_of_a_stranger_reaches_espocrm(harness: SyncHarness, value: str) -> None:
    entity_id = add_person_with_anchor(harness, 1, [], [value])
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([], [value])
    assert reasons_left_alone(harness, 1) == [("advo", "unclear")]
    assert_at_rest(harness)


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
def test_the_same_number_written_oddly_links_and_is_not_posted_a_second_time(harness: SyncHarness, value: str) -> None:
    entity_id = add_person_with_anchor(harness, 1, ["+495111234560"], [value])
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == (
        ["+495111234560"],
        [value],
    )
    assert_at_rest(harness)


def test_two_domains_that_only_folding_makes_one_are_two_addresses(harness: SyncHarness) -> None:
    entity_id = add_person_with_anchor(
        harness, 1, ["info@weiss-recht.de"], ["info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de"]
    )
    harness.run()
    assert_at_rest(harness)
    harness.espo.edit(entity_id, mails=[])
    harness.run()
    assert "info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de" in advo_values_but_anchor(harness, 1)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0163 651068", "+49163651068"),
        ("Kanzlei M\u00fcller 0511 1234560", "+495111234560"),
        ("0511 1234560 / 0171 2223334", "+491712223334"),
    ],
)
def test_a_reading_of_an_unclear_row_is_not_posted_beside_it(harness: SyncHarness, value: str, number: str) -> None:
    harness.espo.store.settings["phoneNumberInternational"] = False
    entity_id = add_person_with_anchor(harness, 1, [number], [value])
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([number], [value])
    assert_at_rest(harness)


def test_a_reading_of_what_both_sides_hold_is_a_number_like_any_other(harness: SyncHarness) -> None:
    """The row is no unlinked one: EspoCRM has both, so Advoware gets both, and no deletion takes the wrong one."""
    harness.espo.store.settings["phoneNumberInternational"] = False
    unclear, number = "0171 2223334 privat", "+491712223334"
    entity_id = add_person_with_anchor(harness, 1, [unclear], [unclear])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE), (number, "Mobile")])
    harness.run()
    assert (
        espo_values_but_anchor(harness, entity_id) == advo_values_but_anchor(harness, 1) == sorted([unclear, number])
    )
    assert_at_rest(harness)
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (number, "Mobile")])
    harness.run()
    assert espo_values_but_anchor(harness, entity_id) == advo_values_but_anchor(harness, 1) == [number]
    assert_at_rest(harness)


# A certain pair edited into an unclear value ------------------------------------------------------------------------

X, NEW = "+495111234560", "+495119999999"
UNCLEAR = "0511 1234560 / 0171 2223334"


@pytest.fixture
def pair_edited_to_unclear(harness: SyncHarness) -> tuple[SyncHarness, str]:
    """A pair whose row a person edited into an unclear value, seen by a run."""
    entity_id = add_person_with_anchor(harness, 1, [X], ["0511 1234560"])
    harness.run()
    row = next(row_json["id"] for row_json in harness.advo.rows(1) if row_json["tlf"] == "0511 1234560")
    harness.advo.edit_row(1, row, value=UNCLEAR)
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([X], [UNCLEAR])
    assert_at_rest(harness)
    return harness, entity_id


def test_a_pair_goes_on_once_its_row_is_written_clearly(pair_edited_to_unclear: tuple[SyncHarness, str]) -> None:
    harness, entity_id = pair_edited_to_unclear
    row = next(row_json["id"] for row_json in harness.advo.rows(1) if row_json["tlf"] == UNCLEAR)
    harness.advo.edit_row(1, row, value="0511 9999999")
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([NEW], ["0511 9999999"])
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
    assert_at_rest(harness)


def test_a_deletion_on_the_other_side_ends_the_pair_and_empties_nothing(
    pair_edited_to_unclear: tuple[SyncHarness, str],
) -> None:
    harness, entity_id = pair_edited_to_unclear
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE)])
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([], [UNCLEAR])
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
    assert_at_rest(harness)


def test_an_edit_on_the_other_side_ends_the_pair_and_is_new(pair_edited_to_unclear: tuple[SyncHarness, str]) -> None:
    harness, entity_id = pair_edited_to_unclear
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (NEW, OFFICE)])
    harness.run()
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == (
        [NEW],
        sorted([NEW, UNCLEAR]),
    )
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
    assert_at_rest(harness)


@pytest.mark.parametrize("row_edit", ["kept", "deleted", "edited"])
def test_an_item_edited_into_an_unclear_value_waits_and_is_never_overwritten(
    harness: SyncHarness, row_edit: str
) -> None:
    harness.espo.store.settings["phoneNumberInternational"] = False
    entity_id = add_person_with_anchor(harness, 1, [X], ["0511 1234560"])
    harness.run()
    unclear = "0511 1234560 privat"
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE)])
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == (
        [unclear],
        ["0511 1234560"],
    )
    row = next(row_json["id"] for row_json in harness.advo.rows(1) if row_json["tlf"] == "0511 1234560")
    if row_edit == "deleted":
        harness.advo.remove_row(1, row)
    elif row_edit == "edited":
        harness.advo.edit_row(1, row, value="0511 9999999")
    harness.run()
    harness.run()
    assert unclear in espo_values_but_anchor(harness, entity_id)
    expected = {"kept": ["0511 1234560"], "deleted": [unclear], "edited": sorted(["0511 9999999", unclear])}
    assert advo_values_but_anchor(harness, 1) == expected[row_edit]
    assert harness.query_store("select count(*) from conflicts") == [(0,)]
    assert_at_rest(harness)


@pytest.mark.parametrize("unclear", ["0511 1234560 privat", "491711234567"])
@pytest.mark.parametrize("other_edit", ["another is added", "another is deleted", "its type is changed"])
def test_an_unrelated_edit_does_not_empty_the_row_of_a_pair_that_waits(
    harness: SyncHarness, unclear: str, other_edit: str
) -> None:
    """What the pair was edited into is known by its note, however many are new or gone beside it by then."""
    harness.espo.store.settings["phoneNumberInternational"] = False
    other, type_ = "+498955667788", "Home" if other_edit == "its type is changed" else OFFICE
    entity_id = add_person_with_anchor(harness, 1, [X, other], ["0511 1234560", "089 55667788"])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, OFFICE), (other, OFFICE)])
    harness.run()
    other_items = {"another is added": [(other, OFFICE), (NEW, OFFICE)], "another is deleted": []}
    harness.espo.edit(
        entity_id, phones=[(ANCHOR, OFFICE), (unclear, type_), *other_items.get(other_edit, [(other, OFFICE)])]
    )
    harness.run()
    harness.run()
    assert unclear in espo_values_but_anchor(harness, entity_id)
    assert "0511 1234560" in advo_values_but_anchor(harness, 1)
    assert unclear not in advo_values_but_anchor(harness, 1)
    assert_at_rest(harness)


@pytest.mark.parametrize("kind", ["Office", "Mobile", "Other"])
def test_what_may_say_the_agreed_number_is_an_edit_of_it_beside_new_ones(harness: SyncHarness, kind: str) -> None:
    harness.espo.store.settings["phoneNumberInternational"] = False
    entity_id = add_person_with_anchor(harness, 1, [X], ["0511 1234560"])
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (X, kind)])
    harness.run()
    unclear = "0511 1234560 privat"
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, kind), (NEW, kind)])
    harness.run()
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == (
        [NEW, unclear],
        [NEW, "0511 1234560"],
    )
    assert_at_rest(harness)


def test_text_that_is_gone_beside_new_unclear_values_is_no_reading_of_them(harness: SyncHarness) -> None:
    harness.espo.store.settings["phoneNumberInternational"] = False
    entity_id = add_person_with_anchor(harness, 1, ["skype:max"], ["skype:max"])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), ("0511 1234560 privat", OFFICE), (NEW, OFFICE)])
    harness.run()
    assert advo_values_but_anchor(harness, 1) == [NEW, "0511 1234560 privat"]
    assert_at_rest(harness)


@pytest.mark.parametrize("unclear", ["0511 1234560 privat", "491711234567"])
def test_a_number_of_type_other_that_is_edited_into_an_unclear_one_waits(harness: SyncHarness, unclear: str) -> None:
    """An unclear value may be a number, though nothing but a number is ever written as Sonstige."""
    harness.espo.store.settings["phoneNumberInternational"] = False
    entity_id = add_person_with_anchor(harness, 1, [X], ["0511 1234560"])
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (X, "Other")])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (unclear, "Other")])
    harness.run()
    harness.run()
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == (
        [unclear],
        ["0511 1234560"],
    )
    assert_at_rest(harness)


# A newer grammar ----------------------------------------------------------------------------------------------------


def store_older_pair(harness: SyncHarness, betnr: int, espo: str, advo: str, canonical: str) -> None:
    """Let the store hold a pair as an earlier version read it, and forget by which grammar it was read."""
    with closing(sqlite3.connect(harness.config.state.path)) as store, store:
        store.execute("delete from settings where key = 'grammar'")
        pair = "select entity_id, betnr, komm_id, 'phone', ?, ?, 'Office', ?, ?, 1, row_id, ? from advo_entries"
        where = " join persons using (betnr) where betnr = ? and advo_entries.value = ?"
        columns = "entity_id, betnr, komm_id, channel, espo_value, espo_canonical, espo_type, advo_value"
        store.execute(
            f"insert into baseline ({columns}, advo_canonical, komm_kz, row_id, agreed_at) {pair}{where}",
            (espo, canonical, advo, canonical, "2026-08-30 08:00:00", betnr, advo),
        )


def test_deleting_a_number_that_an_earlier_version_invented_empties_no_row(harness: SyncHarness) -> None:
    row_value, invented_number = "491711234567", "+49491711234567"
    entity_id = add_person_with_anchor(harness, 1, [], [row_value])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (invented_number, OFFICE)])
    store_older_pair(harness, 1, invented_number, row_value, invented_number)
    harness.run()
    assert harness.advo.writes == []
    assert_at_rest(harness)
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE)])
    harness.run()
    assert advo_values_but_anchor(harness, 1) == [row_value]
    assert_at_rest(harness)


def test_a_pair_that_a_newer_grammar_parts_stays_as_it_is_on_both_sides(harness: SyncHarness) -> None:
    espo, advo = "+495111234561", "0511 1234560"
    entity_id = add_person_with_anchor(harness, 1, [], [advo])
    harness.run()
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (espo, OFFICE)])
    with closing(sqlite3.connect(harness.config.state.path)) as store, store:
        store.execute("delete from baseline where advo_value = ?", (advo,))
    store_older_pair(harness, 1, espo, advo, espo)
    harness.run()
    assert_at_rest(harness)
    assert (espo_values_but_anchor(harness, entity_id), advo_values_but_anchor(harness, 1)) == ([espo], [advo])
    assert reasons_left_alone(harness, 1) == [("advo", "unclear"), ("espo", "unclear")]


def test_two_agreed_pairs_that_are_one_number_for_a_newer_grammar_stay_pairs(harness: SyncHarness) -> None:
    harness.espo.store.settings["phoneNumberInternational"] = False
    first, second = "+495111234560", "0511 123-4560"
    entity_id = add_person_with_anchor(harness, 1, [first, "abc"], ["0511 1234560", "abc"])
    harness.run()
    with closing(sqlite3.connect(harness.config.state.path)) as store, store:
        for table, column in (("espo_entries", "value"), ("advo_entries", "value"), ("advo_entries", "marker_value")):
            store.execute(f"update {table} set {column} = ? where {column} = 'abc'", (second,))
        store.execute("update baseline set espo_value = ?, advo_value = ? where espo_value = 'abc'", (second, second))
        store.execute("update advo_entries set remark = ? where value = ?", (encode(second, 1, ""), second))
        store.execute("delete from settings where key = 'grammar'")
    harness.espo.edit(entity_id, phones=[(ANCHOR, OFFICE), (first, OFFICE), (second, OFFICE)])
    row = next(row_json["id"] for row_json in harness.advo.rows(1) if row_json["tlf"] == "abc")
    harness.advo.edit_row(1, row, value=second, remark=encode(second, 1, ""))
    harness.run()
    harness.run(sweep=True)
    assert sorted(espo_values_but_anchor(harness, entity_id)) == sorted([first, second])
    assert advo_values_but_anchor(harness, 1) == sorted(["0511 1234560", second])
