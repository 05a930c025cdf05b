"""The page of a person: why a number stands there, answered on one page, for every reason there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from etl.rules.values.kommkz import KommKzTable
from etl.store.queries.canned import CANNED_QUERIES
from jobs.commands.let_be import let_persons_be
from jobs.commands.operator_log import OperatorRequest
from jobs.inspector.both_sides import PersonView, describe_step_on_hold
from jobs.inspector.person_page import load_person_pages
from tests.harness import FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from pathlib import Path

VIEW = PersonView(ZoneInfo("Europe/Berlin"), KommKzTable.default(), "advosync")
NEW = "+49511999888"


@pytest.fixture
def harness(tmp_path: Path) -> FaultHarness:
    return FaultHarness(tmp_path, guards={"max_removals": 0, "max_removal_share": 0.01})


@pytest.fixture
def person(harness: FaultHarness) -> PersonWithRows:
    """Somebody in sync."""
    (person,) = harness.add_persons_in_sync(1)
    return person


def page_of(harness: FaultHarness, person: PersonWithRows) -> dict[str, Any]:
    key = str(person.betnr)
    pages: list[dict[str, Any]] = load_person_pages(harness.path, key, harness.environment.now(), VIEW)
    assert len(pages) == 1
    return pages[0]


def line_of(page: dict[str, Any], value: str) -> dict[str, Any]:
    lines: list[dict[str, Any]] = [line for line in page["lines"] if value in (line["espo"], line["advo"])]
    assert len(lines) == 1
    return lines[0]


def change_number(harness: FaultHarness, person: PersonWithRows) -> str:
    """Somebody types a new number over the first one in EspoCRM; the old one."""
    old, *rest = harness.espo_phones(person)
    harness.espo.edit(person.entity_id, phones=[(number, "Office") for number in (NEW, *rest)])
    return old


def commands_of(page: dict[str, Any]) -> list[str]:
    return [command.text for command in page["commands"]]


def test_a_person_in_sync_stands_there_pair_by_pair_with_marker_and_what_was_agreed(
    harness: FaultHarness, person: PersonWithRows
) -> None:
    page = page_of(harness, person)
    assert page["status"] == "in sync (clean)"
    assert page["sentences"] == [
        "Both sides agree (EspoCRM read 2026-03-02 09:01, Advoware 2026-03-02 09:01; what was typed since is not "
        "seen yet)."
    ]
    assert [(line["espo"], line["standing"].words, line["marker"]) for line in page["lines"]] == [
        (value, "in sync", f"EspoCRM has {value}") for value in harness.espo_phones(person)
    ]
    assert all(line["agreed"][0] == line["espo"] and line["agreed_at"] for line in page["lines"])


def test_the_old_number_of_a_held_person_says_what_it_waits_for_and_what_to_type(
    harness: FaultHarness, person: PersonWithRows
) -> None:
    old = change_number(harness, person)
    run_id = harness.run_later().run_id
    page = page_of(harness, person)
    assert page["status"].startswith("held")
    assert page["sentences"][0].startswith("Held since 2026-03-02 09:")
    assert "Nothing is written for this person until somebody approves." in page["sentences"][0]
    open_lines = [line for line in page["lines"] if not line["is_well"]]
    assert open_lines
    old_in_advoware = old.replace("+49", "0")
    assert f"held: Advoware would get {NEW} instead of {old_in_advoware}" in open_lines[0]["reasons"]
    removal = {"side": "espo", "old_value": "+495113000007", "new_value": None}
    assert describe_step_on_hold(removal) == "+495113000007 would go from EspoCRM"
    assert f"advosync approve {run_id} --person {person.betnr}" in commands_of(page)
    assert f"advosync let-be {run_id} --person {person.betnr}" in commands_of(page)
    let_persons_be(harness.config, run_id or 0, (), OperatorRequest("anna"), environment=harness.environment)
    (sentence, *_) = page_of(harness, person)["sentences"]
    assert sentence.endswith("Nothing is written for this person until somebody edits an entry, or approves.")


def test_a_number_that_lost_says_when_and_against_what_and_how_to_put_it_back(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path)
    (person,) = harness.add_persons_in_sync(1)
    change_number(harness, person)
    harness.advo.edit_row(person.betnr, person.rows[0], value="0511 7654321")
    harness.run_later()
    page = page_of(harness, person)
    (reason,) = [reason for reason in line_of(page, NEW)["reasons"] if "lost" in reason]
    assert reason.startswith("0511 7654321, typed in Advoware, lost 2026-03-02 ")
    assert reason.endswith(f"against {NEW}, which stood in EspoCRM; not put back")
    assert "advosync restore 1" in commands_of(page)


def test_an_entry_left_alone_says_why(harness: FaultHarness, person: PersonWithRows) -> None:
    harness.advo.add_row(person.betnr, "Mutter: 0511 123456")
    harness.run_later()
    line = line_of(page_of(harness, person), "Mutter: 0511 123456")
    assert line["standing"].words == "left alone"
    assert "Words stand around the number" in line["reasons"][0]


def test_a_locked_and_a_failed_person_say_so(harness: FaultHarness, person: PersonWithRows) -> None:
    harness.espo.store.entity.lockable = True
    harness.espo.lock(person.entity_id)
    harness.advo.add_row(person.betnr, "0511 7654321")
    harness.run_later()
    page = page_of(harness, person)
    assert any("Staff locked the record" in sentence for sentence in page["sentences"])
    assert line_of(page, "0511 7654321")["reasons"][0] == "locked by staff in EspoCRM"


def test_a_person_that_failed_says_why_and_when_it_is_tried_again(
    harness: FaultHarness, person: PersonWithRows
) -> None:
    harness.espo.store.role.protected_ids.add(person.entity_id)
    harness.advo.add_row(person.betnr, "0511 7654321")
    harness.run_later()
    page = page_of(harness, person)
    assert page["status"] == "failed (failed)"
    assert any("It failed: EspoCRM refuses this person" in sentence for sentence in page["sentences"])
    assert f"advosync retry {person.betnr}" in commands_of(page)


def test_what_was_only_planned_is_no_part_of_the_story_and_no_variant_stands_there(
    harness: FaultHarness, person: PersonWithRows
) -> None:
    before = page_of(harness, person)["story"]
    harness.advo.add_row(person.betnr, "0511 7654321")
    harness.run_later(trigger="plan", write=False)
    page = page_of(harness, person)
    assert page["story"] == before
    with harness.open_store() as store:
        rows = store.rows(CANNED_QUERIES["what_happened_to"].sql, {"person": str(person.betnr)})
    assert "0511 7654321" not in {row["new_value"] for row in rows}
    assert {row["what"] for row in rows} >= {"same on both sides", "both sides agreed"}
    assert "var" not in json.dumps([page["story"], page["sentences"]])


def test_nobody_has_no_page_and_a_shared_betnr_has_two(harness: FaultHarness, person: PersonWithRows) -> None:
    assert load_person_pages(harness.path, "4711", harness.environment.now(), VIEW) == []
    harness.espo.add_person("Doppelt", person.betnr)
    harness.run_later()
    pages = load_person_pages(harness.path, str(person.betnr), harness.environment.now(), VIEW)
    assert len(pages) == 2
    assert all(page["person"]["entity_id"] in commands_of(page)[-1 if page["commands"][-1].text.endswith("all") else -2]
               for page in pages)  # fmt: skip
