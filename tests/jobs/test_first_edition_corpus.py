"""The typed strings of the corpus as commit 0ddc3ba synced them, and what the next runs make of them (rules.md §0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.records import Channel
from etl.rules.items import can_hold
from etl.rules.unclear import PARTED
from etl.rules.values import Clarity, classify
from tests.old_store import first_edition
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

    from etl.rules.values import Value

OFFICE = "Office"


@pytest.fixture
def corpus(tmp_path: Path) -> Practice:
    """EspoCRM keeps international numbers only."""
    return first_edition("corpus", tmp_path)


def read(value: str) -> Value | None:
    return classify(Channel.MAIL if "@" in value else Channel.PHONE, value, "DE")


def rows(practice: Practice) -> dict[int, str]:
    """Every row's value."""
    return {row["id"]: row["tlf"] for betnr in practice.advo.beteiligte.persons for row in practice.advo.rows(betnr)}


def items(practice: Practice) -> dict[int, list[str]]:
    """Every person's values in EspoCRM."""
    return {
        betnr: [item.get("phoneNumber") or item["emailAddress"] for item in practice.espo.items(entity_id)]
        for entity_id, betnr in practice.linked()
    }


def certain(values: list[str]) -> set[str]:
    """What certainly is a number or an address among these values, and is one EspoCRM takes."""
    says = [(value, read(value)) for value in values]
    return {
        one.canonical
        for value, one in says
        if one is not None and one.clarity is Clarity.CERTAIN
        if can_hold(Channel.MAIL if "@" in value else Channel.PHONE, value, one.canonical, international=True) is None
    }


def of_person(practice: Practice, betnr: int) -> list[str]:
    return [row["tlf"] for row in practice.advo.rows(betnr)]


def is_quiet(practice: Practice) -> bool:
    """The next run and a sweep write nothing."""
    for sweep in (False, True):
        assert practice.run(sweep=sweep).outcome == "done"
        if practice.writes:
            return False
    return True


def test_the_next_run_adds_what_is_certain_now_and_changes_no_value(corpus: Practice) -> None:
    values, held = rows(corpus), items(corpus)
    assert corpus.run().outcome == "done"
    assert rows(corpus) == values
    new = {betnr: shown[len(held[betnr]) :] for betnr, shown in items(corpus).items()}
    assert {betnr: shown[: len(held[betnr])] for betnr, shown in items(corpus).items()} == held
    parted = {value for (value,) in remembered(corpus, f"select value from left_alone where detail = '{PARTED}'")}
    assert parted == {"info@weiss-recht.de", "info@wei\N{LATIN SMALL LETTER SHARP S}-recht.de"}
    wanted = {
        betnr: certain(of_person(corpus, betnr)) - certain(shown) - (parted if parted & set(shown) else set())
        for betnr, shown in held.items()
    }
    assert {betnr: {value.lower() for value in shown} for betnr, shown in new.items()} == wanted
    assert sum(map(len, new.values())) > 10
    assert is_quiet(corpus)


def test_notes_unsyncable_of_what_is_a_number_now_end(corpus: Practice) -> None:
    question = "select value, detail from left_alone where reason = 'unsyncable' and channel = 'phone'"
    before = remembered(corpus, question)
    corpus.run()
    after = remembered(corpus, question)
    assert {value for value, _ in before} > {value for value, _ in after}
    assert [value for value, _ in after if certain([value])] == []
    assert [value for value, _ in after if (says := read(value)) is None or says.clarity is Clarity.UNCLEAR] == []


@pytest.mark.parametrize("deleted", ["before the next run", "after it"])
def test_deleting_what_the_first_edition_invented_empties_nothing(corpus: Practice, deleted: str) -> None:
    values = rows(corpus)
    if deleted == "after it":
        corpus.run()
    invented = {betnr: not_typed(corpus, betnr, shown) for betnr, shown in items(corpus).items()}
    assert sum(map(len, invented.values())) > 10
    for entity_id, betnr in list(corpus.linked()):
        kept = [value for value in items(corpus)[betnr] if value not in invented[betnr]]
        phones = [(value, OFFICE) for value in kept if "@" not in value]
        if invented[betnr]:
            corpus.espo.edit(entity_id, phones=phones, mails=[value for value in kept if "@" in value])
    for _ in range(3):
        assert corpus.run().outcome == "done"
    assert rows(corpus) == values
    assert is_quiet(corpus)
    assert remembered(corpus, "select count(*) from conflicts") == [(0,)]


def not_typed(practice: Practice, betnr: int, shown: list[str]) -> set[str]:
    """The numbers in EspoCRM that stand in no row and are what no row certainly says."""
    typed = of_person(practice, betnr)
    return {value for value in shown if "@" not in value} - certain(typed) - set(typed)


def test_an_espocrm_that_keeps_what_is_typed_is_only_linked(tmp_path: Path) -> None:
    practice = first_edition("corpus_as_typed", tmp_path)
    values, held = rows(practice), items(practice)
    assert practice.run().outcome == "done"
    assert (rows(practice), items(practice)) == (values, held)
    assert remembered(practice, "select count(*) from persons where status <> 'clean'") == [(0,)]
    assert is_quiet(practice)
    assert (rows(practice), items(practice)) == (values, held)


def test_what_a_killed_run_of_the_first_edition_invented_is_no_pair_either(tmp_path: Path) -> None:
    """Its journal is settled by this program, which does not read the two as one value."""
    practice = first_edition("killed", tmp_path)
    assert items(practice) == {104711: ["+4930901820", "+49491711234567"]}
    assert practice.run().outcome == "done"
    assert is_quiet(practice)
    ((entity_id, _),) = practice.linked()
    practice.espo.edit(entity_id, phones=[("+4930901820", OFFICE)])
    for _ in range(3):
        practice.run()
    assert of_person(practice, 104711) == ["030/901820", "491711234567"]
    assert items(practice) == {104711: ["+4930901820"]}
    assert is_quiet(practice)


def test_the_fixture_is_what_the_first_edition_left(corpus: Practice) -> None:
    """It made numbers of what may be none, and did not know spellings of the same."""
    pairs = dict[Any, Any](remembered(corpus, "select advo_value, espo_value from baseline"))
    assert pairs["491711234567"] in {"+49491711234567", "+491711234567"}
    assert len(pairs) > 90
