"""Deciding about held persons: letting them be until somebody edits them, and what staff see in EspoCRM meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from etl.rules.espo.german_errors import GERMAN_ERRORS, HELD_MESSAGE, LET_BE_MESSAGE
from jobs.commands.held import list_held_persons
from jobs.commands.let_be import let_persons_be
from jobs.commands.operator_log import OperatorRequest
from tests.harness import FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from jobs.sandbox.simulator import SimRequest, SimResponse

NEW_NUMBER = "+4951188888888"


@pytest.fixture
def people(harness: FaultHarness) -> list[PersonWithRows]:
    """Eight persons in sync; of the first four somebody deleted three numbers of five, which the next run holds."""
    people = harness.add_persons_in_sync(8, entries=5)
    for person in people[:4]:
        harness.keep_first_phones(person, 2)
    return people


def let_be(harness: FaultHarness, run_id: int | None, *persons: PersonWithRows) -> list[dict[str, Any]]:
    request, keys = OperatorRequest("anna", "an import"), [str(person.betnr) for person in persons]
    return let_persons_be(harness.config, run_id or 0, keys, request, environment=harness.environment)


def run_and_wait(harness: FaultHarness) -> None:
    """A run that tells EspoCRM; what people save in that very second only the next sweep sees."""
    harness.run()
    harness.clock.advance(1)


def shown_status(harness: FaultHarness, person: PersonWithRows) -> tuple[str, str | None]:
    fields = harness.sync_fields(person)
    return fields["syncStatus"], fields["syncErrorMessage"]


def test_whom_an_operator_lets_be_stays_as_it_is(harness: FaultHarness, people: list[PersonWithRows]) -> None:
    """All others are approved; nothing of this person is written, nor read, however often a run comes by."""
    person = people[0]
    held_run = harness.run_without_writes().run_id
    assert [record["entity_id"] for record in let_be(harness, held_run, person)] == [person.entity_id]
    report = harness.run(approve_run=held_run, operator="anna")
    assert (report.outcome, report.persons.held) == ("done", 1)
    assert [len(harness.advo_values(other)) for other in people[:4]] == [5, 2, 2, 2]
    assert shown_status(harness, person) == ("conflict", GERMAN_ERRORS[LET_BE_MESSAGE])
    for sweep in (False, True, False):
        assert harness.run_without_writes(sweep=sweep).persons.held == 1
    harness.espo.edit(person.entity_id, birthday="1970-01-01")
    assert harness.run_without_writes().persons.held == 1
    with pytest.raises(ConfigError, match="holds nobody back but whom you let be"):
        harness.run(approve_run=held_run, operator="anna")
    (hold,) = list_held_persons(harness.config)
    assert hold["reason"] == "anna leaves it as it is, until an entry of it changes"
    assert len(hold["steps"]) == 3
    assert harness.query_store("select operator, reason, about from runs where trigger = 'let_be'") == [
        ("anna", "an import", held_run)
    ]
    named = harness.run(approve_run=held_run, operator="anna", persons=(person.entity_id,))
    assert (named.outcome, len(harness.advo_values(person))) == ("done", 2)
    assert shown_status(harness, person) == ("clean", None)


def test_whom_an_operator_lets_be_while_another_approves_stays_as_it_is(
    harness: FaultHarness, people: list[PersonWithRows]
) -> None:
    held_run = harness.run_without_writes().run_id
    waiting = people[:1]

    def let_be_once(request: SimRequest) -> None:
        if waiting and waiting[0].espo_path in request.path:
            let_be(harness, held_run, waiting.pop())

    with harness.hook_before(harness.espo, let_be_once):
        report = harness.run(approve_run=held_run, operator="bert")
    assert (report.outcome, report.persons.held) == ("done", 1)
    assert [len(harness.advo_values(person)) for person in people[:4]] == [5, 2, 2, 2]
    assert [entity_id for _, entity_id, _ in harness.open_hold_rows()] == [people[0].entity_id]


@pytest.mark.parametrize("side", ["EspoCRM", "Advoware"])
def test_an_edit_ends_the_letting_be_and_what_would_be_taken_is_held_anew(
    harness: FaultHarness, people: list[PersonWithRows], side: str
) -> None:
    """Three removals are far below the limit; but an operator decided that they shall not be carried out."""
    person = people[0]
    held_run = harness.run_without_writes().run_id
    let_be(harness, held_run, *people[:4])
    run_and_wait(harness)
    if side == "EspoCRM":
        harness.add_phone(person, NEW_NUMBER)
    else:
        harness.advo.add_row(person.betnr, NEW_NUMBER)
    report = harness.run()
    assert (report.outcome, report.persons.held) == ("held", 4)
    assert len(harness.advo_values(person)) == (5 if side == "EspoCRM" else 6)
    hold = next(hold for hold in list_held_persons(harness.config) if hold["entity_id"] == person.entity_id)
    assert (hold["run_id"], hold["kind"]) == (report.run_id, "removals")
    assert hold["reason"].startswith("an operator let it be; an entry changed since")
    assert shown_status(harness, person) == ("conflict", GERMAN_ERRORS[HELD_MESSAGE])
    assert harness.run_without_writes().persons.held == 4
    assert harness.run(approve_run=report.run_id, operator="anna").outcome == "done"
    assert (NEW_NUMBER in harness.espo_phones(person)) == (side == "EspoCRM")  # both sides changed: EspoCRM wins
    lost = [value for (value,) in harness.query_store("select advo_value from conflicts where channel = 'phone'")]
    assert (NEW_NUMBER in lost) == (side == "Advoware")
    assert len(harness.advo_values(person)) == len(harness.espo_phones(person))
    assert shown_status(harness, person) == ("clean", None)


def test_an_edit_that_takes_nothing_away_is_synced_at_once(harness: FaultHarness, people: list[PersonWithRows]) -> None:
    """Somebody typed the numbers in again: both sides agree, and one number more goes over."""
    person, before = people[4], harness.espo_phones(people[4])
    harness.keep_first_phones(person, 2)
    let_be(harness, harness.run_without_writes().run_id, *people[:5])
    run_and_wait(harness)
    harness.espo.edit(person.entity_id, phones=[(number, "Office") for number in [*before, NEW_NUMBER]])
    report = harness.run()
    assert (report.outcome, report.persons.held) == ("done", 4)
    assert len(harness.advo_values(person)) == 6
    assert shown_status(harness, person) == ("clean", None)


def test_an_edit_that_an_outage_cut_off_still_ends_the_letting_be(
    harness: FaultHarness, people: list[PersonWithRows]
) -> None:
    """The run that saw it ended before it planned; the next one finds no difference to the look before."""
    person = people[0]
    let_be(harness, harness.run_without_writes().run_id, *people[:4])
    run_and_wait(harness)
    harness.advo.add_row(person.betnr, NEW_NUMBER)

    def go_down(call: SimRequest, _answer: SimResponse) -> None:
        if person.advo_path in call.path:
            harness.espo.store.settings["maintenanceMode"] = True

    with harness.hook_after(harness.advo, go_down):
        assert harness.run().outcome == "outage"
    harness.espo.store.settings["maintenanceMode"] = False
    assert harness.run(sweep=True).outcome == "held"
    assert len(harness.advo_values(person)) == 6


def test_a_vanished_side_is_not_taken_away_in_the_place_of_what_was_let_be(
    harness: FaultHarness, people: list[PersonWithRows]
) -> None:
    """The hold is open until the second look at the emptied side; what follows from that is held as well."""
    person = people[0]
    let_be(harness, harness.run_without_writes().run_id, *people[:4])
    run_and_wait(harness)
    harness.espo.edit(person.entity_id, phones=[])
    assert harness.run().persons.waiting == 1
    assert harness.run_later().outcome == "held"
    assert len(harness.advo_values(person)) == 5


def test_of_an_undo_letting_be_means_not_to_put_back(harness: FaultHarness) -> None:
    person, *others = harness.add_persons_in_sync(8, entries=5)
    for number, other in enumerate([person, *others]):
        harness.add_phone(other, f"+495117000{number}0")
        harness.add_phone(other, f"+495117000{number}1")
    undo = harness.run(trigger="undo", undo_run=harness.run().run_id, operator="anna")
    assert undo.persons.held == 8
    let_be(harness, undo.run_id, person)
    assert person.entity_id not in {hold["entity_id"] for hold in list_held_persons(harness.config)}
    harness.add_phone(person, NEW_NUMBER)
    harness.run()
    assert (len(harness.advo_values(person)), shown_status(harness, person)[0]) == (8, "clean")


def test_who_cannot_be_let_be_is_refused(harness: FaultHarness, people: list[PersonWithRows]) -> None:
    held_run = harness.run_without_writes().run_id
    with pytest.raises(ConfigError, match=f"holds nobody back who is named {people[6].betnr}"):
        let_be(harness, held_run, people[6])
    with pytest.raises(ConfigError, match="Run 99 holds nobody back"):
        let_be(harness, 99)
    assert harness.query_store("select count(*) from holds where let_be_at is not null") == [(0,)]


# What staff see -------------------------------------------------------------------------------------------------------


def lose_store(harness: FaultHarness) -> None:
    harness.config.state.path.unlink()


def test_staff_see_that_a_person_waits_for_a_decision_about_its_own_values(
    harness: FaultHarness, people: list[PersonWithRows]
) -> None:
    """After a lost store each person's removals wait; said once, in the firm's language, and taken back at the end."""
    lose_store(harness)
    report = harness.run()
    assert (report.outcome, report.persons.held) == ("held", 4)
    assert [shown_status(harness, person) for person in people[:4]] == [("conflict", GERMAN_ERRORS[HELD_MESSAGE])] * 4
    assert [shown_status(harness, person)[0] for person in people[4:]] == ["clean"] * 4
    for sweep in (False, True, False):
        assert harness.run_without_writes(sweep=sweep).persons.held == 4
    assert harness.run(approve_run=report.run_id, operator="anna").outcome == "done"
    assert {shown_status(harness, person) for person in people} == {("clean", None)}


def test_a_mass_deletion_that_is_held_as_a_whole_changes_no_record(
    harness: FaultHarness, people: list[PersonWithRows]
) -> None:
    assert harness.run_without_writes().persons.held == 4
    assert {shown_status(harness, person)[0] for person in people} == {"clean"}


def test_one_person_that_loses_more_than_a_run_may_take_is_shown(harness: FaultHarness) -> None:
    person, *others = [harness.add_person(12), harness.add_person(2)]
    harness.run()
    harness.keep_first_phones(person, 1)
    assert harness.run().outcome == "held"
    assert shown_status(harness, person) == ("conflict", GERMAN_ERRORS[HELD_MESSAGE])
    assert shown_status(harness, others[0])[0] == "clean"


def test_a_locked_record_is_told_once_it_is_unlocked(harness: FaultHarness, people: list[PersonWithRows]) -> None:
    let_be(harness, harness.run_without_writes().run_id, people[0])
    harness.espo.store.entity.lockable = True
    harness.espo.lock(people[0].entity_id)
    harness.run_without_writes(sweep=True)
    harness.espo.lock(people[0].entity_id, is_locked=False)
    harness.run(sweep=True)
    assert shown_status(harness, people[0]) == ("conflict", GERMAN_ERRORS[LET_BE_MESSAGE])
    harness.run_without_writes(sweep=True)
