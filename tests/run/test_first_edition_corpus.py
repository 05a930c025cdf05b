"""The typed strings of the corpus as commit 0ddc3ba synced them, and what the next runs make of them (rules §0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.enums import NoteCause
from etl.records import Channel
from etl.rules.espo.items import rejection_reason
from etl.rules.values.classify import Clarity, classify
from tests.harness import SyncHarness
from tests.old_store import open_first_edition

if TYPE_CHECKING:
    from pathlib import Path

    from etl.rules.values.classify import Value

OFFICE = "Office"


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    """EspoCRM keeps international numbers only."""
    return open_first_edition("corpus", tmp_path)


def classify_value(value: str) -> Value | None:
    return classify(Channel.MAIL if "@" in value else Channel.PHONE, value, "DE")


def advo_values_by_row(harness: SyncHarness) -> dict[int, str]:
    """Every row's value."""
    return {row["id"]: row["tlf"] for betnr in harness.advo.beteiligte.persons for row in harness.advo.rows(betnr)}


def espo_values_by_betnr(harness: SyncHarness) -> dict[int, list[str]]:
    """Every person's values in EspoCRM."""
    return {
        betnr: [item.get("phoneNumber") or item["emailAddress"] for item in harness.espo.items(entity_id)]
        for entity_id, betnr in harness.person_links()
    }


def certain_values(values: list[str]) -> set[str]:
    """What certainly is a number or an address among these values, and is one EspoCRM takes."""
    meanings = [(value, classify_value(value)) for value in values]
    return {
        meaning.canonical
        for value, meaning in meanings
        if meaning is not None and meaning.clarity is Clarity.CERTAIN
        if rejection_reason(
            Channel.MAIL if "@" in value else Channel.PHONE, value, meaning.canonical, international=True
        )
        is None
    }


def values_of_person(harness: SyncHarness, betnr: int) -> list[str]:
    return [row["tlf"] for row in harness.advo.rows(betnr)]


def writes_nothing_more(harness: SyncHarness) -> bool:
    """The next run and a sweep write nothing."""
    for sweep in (False, True):
        assert harness.run(sweep=sweep).outcome == "done"
        if harness.writes:
            return False
    return True


def test_the_next_run_adds_what_is_certain_now_and_changes_no_value(harness: SyncHarness) -> None:
    values, items_before = advo_values_by_row(harness), espo_values_by_betnr(harness)
    assert harness.run().outcome == "done"
    assert advo_values_by_row(harness) == values
    new = {betnr: values_now[len(items_before[betnr]) :] for betnr, values_now in espo_values_by_betnr(harness).items()}
    assert {
        betnr: values_now[: len(items_before[betnr])] for betnr, values_now in espo_values_by_betnr(harness).items()
    } == items_before
    parted_values = {
        value
        for (value,) in harness.query_store("select value from left_alone where detail = ?", NoteCause.SPLIT_PAIR)
    }
    assert parted_values == {"info@weiss-recht.de", "info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de"}
    expected = {
        betnr: certain_values(values_of_person(harness, betnr))
        - certain_values(values_now)
        - (parted_values if parted_values & set(values_now) else set())
        for betnr, values_now in items_before.items()
    }
    assert {betnr: {value.lower() for value in values_now} for betnr, values_now in new.items()} == expected
    assert sum(map(len, new.values())) > 10
    assert writes_nothing_more(harness)


def test_notes_unsyncable_of_what_is_a_number_now_end(harness: SyncHarness) -> None:
    question = "select value, detail from left_alone where reason = 'unsyncable' and channel = 'phone'"
    before = harness.query_store(question)
    harness.run()
    after = harness.query_store(question)
    assert {value for value, _ in before} > {value for value, _ in after}
    assert [value for value, _ in after if certain_values([value])] == []
    assert [
        value for value, _ in after if (meaning := classify_value(value)) is None or meaning.clarity is Clarity.UNCLEAR
    ] == []


@pytest.mark.parametrize("time_of_deletion", ["before the next run", "after it"])
def test_deleting_what_the_first_edition_invented_empties_nothing(harness: SyncHarness, time_of_deletion: str) -> None:
    values = advo_values_by_row(harness)
    if time_of_deletion == "after it":
        harness.run()
    invented_numbers = {
        betnr: numbers_without_row(harness, betnr, values_now)
        for betnr, values_now in espo_values_by_betnr(harness).items()
    }
    assert sum(map(len, invented_numbers.values())) > 10
    for entity_id, betnr in list(harness.person_links()):
        kept_values = [value for value in espo_values_by_betnr(harness)[betnr] if value not in invented_numbers[betnr]]
        phones = [(value, OFFICE) for value in kept_values if "@" not in value]
        if invented_numbers[betnr]:
            harness.espo.edit(entity_id, phones=phones, mails=[value for value in kept_values if "@" in value])
    for _ in range(3):
        assert harness.run().outcome == "done"
    assert advo_values_by_row(harness) == values
    assert writes_nothing_more(harness)
    assert harness.query_store("select count(*) from conflicts") == [(0,)]


def numbers_without_row(harness: SyncHarness, betnr: int, values_now: list[str]) -> set[str]:
    """The numbers in EspoCRM that stand in no row and are what no row certainly says."""
    typed = values_of_person(harness, betnr)
    return {value for value in values_now if "@" not in value} - certain_values(typed) - set(typed)


def test_an_espocrm_that_keeps_what_is_typed_is_only_linked(tmp_path: Path) -> None:
    harness = open_first_edition("corpus_as_typed", tmp_path)
    values, items_before = advo_values_by_row(harness), espo_values_by_betnr(harness)
    assert harness.run().outcome == "done"
    assert (advo_values_by_row(harness), espo_values_by_betnr(harness)) == (values, items_before)
    assert harness.query_store("select count(*) from persons where status <> 'clean'") == [(0,)]
    assert writes_nothing_more(harness)
    assert (advo_values_by_row(harness), espo_values_by_betnr(harness)) == (values, items_before)


def test_what_a_killed_run_of_the_first_edition_invented_is_no_pair_either(tmp_path: Path) -> None:
    """Its journal is settled by this program, which does not read the two as one value."""
    harness = open_first_edition("killed", tmp_path)
    assert espo_values_by_betnr(harness) == {104711: ["+4930901820", "+49491711234567"]}
    assert harness.run().outcome == "done"
    assert writes_nothing_more(harness)
    ((entity_id, _),) = harness.person_links()
    harness.espo.edit(entity_id, phones=[("+4930901820", OFFICE)])
    for _ in range(3):
        harness.run()
    assert values_of_person(harness, 104711) == ["030/901820", "491711234567"]
    assert espo_values_by_betnr(harness) == {104711: ["+4930901820"]}
    assert writes_nothing_more(harness)


def test_the_fixture_is_what_the_first_edition_left(harness: SyncHarness) -> None:
    """It made numbers of what may be none, and did not know spellings of the same."""
    pairs = dict[Any, Any](harness.query_store("select advo_value, espo_value from baseline"))
    assert pairs["491711234567"] in {"+49491711234567", "+491711234567"}
    assert len(pairs) > 90
