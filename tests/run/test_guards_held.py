"""Guards, before the first write: who is held and why, what goes on meanwhile, and what an approval carries out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from jobs.run.approve import select_holds
from jobs.sandbox.simulator import SimRequest, SimResponse, make_json_response
from tests.harness import FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from collections.abc import Callable


def thin_out(harness: FaultHarness, people: list[PersonWithRows], count: int = 2) -> None:
    """Somebody deletes numbers in EspoCRM."""
    for person in people:
        harness.keep_first_phones(person, count)


# Too many removals ---------------------------------------------------------------------------------------------------


def test_the_persons_with_removals_are_held_and_all_others_go_on(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])  # 12 of 40
    harness.add_phone(people[5], "+4951188888888")
    report = harness.run()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, 4)
    assert [len(harness.advo_values(person)) for person in people] == [5, 5, 5, 5, 5, 6, 5, 5]
    harness.add_phone(people[6], "+4951177777777")
    harness.advo.add_row(people[0].betnr, "0511 66666666")  # of a held person
    report = harness.run()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("done", 0, 4)
    assert [len(harness.advo_values(person)) for person in people] == [6, 5, 5, 5, 5, 6, 6, 5]
    assert harness.run_without_writes(sweep=True).exit_code() == 0
    assert harness.run_without_writes(persons=(people[1].entity_id,)).exit_code() == 0


def test_an_approval_carries_out_the_same_steps(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    report = harness.run(approve_run=holding_run, operator="anna", reason="they moved")
    assert (report.outcome, report.exit_code()) == ("done", 0)
    assert [len(harness.advo_values(person)) for person in people] == [2] * 4 + [5] * 4
    assert harness.query_store("select distinct released_by from holds") == [("anna",)]
    assert harness.run_without_writes(sweep=True).outcome == "done"
    with pytest.raises(ConfigError, match="holds nobody"):
        harness.run(approve_run=holding_run, operator="anna")


@pytest.mark.parametrize("key", ["entity_id", "betnr"])
def test_an_approval_of_named_persons_leaves_all_others_held(harness: FaultHarness, key: str) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    named = (str(getattr(people[1], key)),)
    report = harness.run(approve_run=holding_run, persons=named, operator="anna")
    assert (report.outcome, report.persons.held) == ("done", 3)
    assert [len(harness.advo_values(person)) for person in people[:4]] == [5, 2, 5, 5]
    assert {entity_id for _, entity_id, _ in harness.open_hold_rows()} == {
        people[number].entity_id for number in (0, 2, 3)
    }
    with pytest.raises(ConfigError, match=f"holds nobody back who is named {people[6].betnr}"):
        harness.run(approve_run=holding_run, persons=(str(people[6].betnr),), operator="anna")
    assert harness.run(approve_run=holding_run, operator="anna").outcome == "done"
    assert harness.open_hold_rows() == []


def test_an_approval_of_a_named_person_takes_away_all_its_entries(harness: FaultHarness) -> None:
    """A run that names persons never ends the wait of an emptied side; an approval is none of these."""
    people = harness.add_persons_in_sync(8, entries=5)
    for person in people[:4]:
        harness.espo.edit(person.entity_id, phones=[])
    harness.run_without_writes()
    holding_run = harness.run_without_writes().run_id
    assert len(harness.open_hold_rows()) == 4
    report = harness.run(approve_run=holding_run, persons=(people[1].entity_id,), operator="anna")
    assert (report.outcome, report.persons.held) == ("done", 3)
    assert [len(harness.advo_values(person)) for person in people[:4]] == [5, 0, 5, 5]


def test_after_an_approval_those_that_moved_stay_held_and_are_listed(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    harness.keep_first_phones(people[0], 1)
    harness.advo.edit_row(people[1].betnr, people[1].rows[4], value="0511 77777777")
    report = harness.run(approve_run=holding_run, operator="anna")
    assert (report.exit_code(), report.persons.held) == (3, 2)
    assert [len(harness.advo_values(person)) for person in people[:4]] == [5, 5, 2, 2]
    assert harness.open_hold_rows() == [(report.run_id, person.entity_id, "removals") for person in people[:2]]
    assert harness.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert harness.open_hold_rows() == []


def test_a_person_put_back_as_it_was_needs_no_approval_any_more(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    before = {person: harness.espo_phones(person) for person in people}
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    for person in people[:4]:
        harness.espo.edit(person.entity_id, phones=[(number, "Office") for number in before[person]])
    report = harness.run(approve_run=holding_run, operator="anna")
    assert (report.outcome, report.writes.advoware, harness.open_hold_rows()) == ("done", 0, [])


def test_who_is_deleted_meanwhile_is_held_until_that_was_seen_twice(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    harness.espo.delete(people[0].entity_id)
    harness.advo.delete_person(people[1].betnr)
    harness.espo.edit(people[2].entity_id, betnr=None)
    assert harness.run(approve_run=holding_run, operator="anna").exit_code() == 0
    assert {entity_id for _, entity_id, _ in harness.open_hold_rows()} == {person.entity_id for person in people[:3]}
    harness.clock.advance(600)
    harness.run(approve_run=holding_run, operator="anna")  # an approval ends nobody
    assert harness.query_store("select count(*) from endings where ended_at is null") == [(3,)]
    assert harness.run().persons.skipped == 3
    assert harness.open_hold_rows() == []
    assert [len(harness.advo_values(person)) for person in (people[0], people[3])] == [5, 2]


def test_who_shares_its_betnr_meanwhile_is_held_no_longer(harness: FaultHarness) -> None:
    """Seed 20002: nobody could approve it, and its hold never ended."""
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    harness.espo.edit(people[7].entity_id, betnr=people[0].betnr)
    harness.run()
    harness.run_later()
    assert harness.run(approve_run=holding_run, operator="anna").exit_code() == 0
    assert harness.open_hold_rows() == []
    harness.espo.edit(people[7].entity_id, betnr=people[7].betnr)
    report = harness.run()
    assert [len(harness.advo_values(person)) for person in people[:2]] == [5, 2]
    assert harness.open_hold_rows() == [
        (report.run_id, people[0].entity_id, "recovery")
    ]  # what it deleted is still to be approved


def test_an_approval_sees_that_a_betnr_is_shared_since_the_last_run(harness: FaultHarness) -> None:
    """Neither of the two is synced, whatever was held of one of them before (rules §6)."""
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    harness.espo.edit(people[7].entity_id, betnr=people[0].betnr)
    rows = harness.advo.rows(people[0].betnr)
    assert harness.run(approve_run=holding_run, operator="anna").persons.changed == 3
    assert harness.advo.rows(people[0].betnr) == rows


def test_a_small_firm_of_twelve_entries_is_not_silly(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(4, entries=3)
    thin_out(harness, people[:3], count=1)
    assert harness.run().outcome == "done"  # 6 of 12
    assert [len(harness.advo_values(person)) for person in people] == [1, 1, 1, 3]


def test_a_small_firm_does_not_lose_nearly_everything(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(4, entries=3)
    for person in people:
        harness.espo.edit(person.entity_id, phones=[(f"+495117777{person.betnr}", "Office")])
    assert (
        harness.run_without_writes().persons.waiting == 4
    )  # all they had vanished: a run is waited, then the guard counts 12 of 12
    assert harness.run_without_writes().exit_code() == 3


def test_a_plan_holds_too_and_leaves_no_trace(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    assert harness.run_without_writes(trigger="plan", write=False).exit_code() == 3
    assert harness.open_hold_rows() == []
    assert harness.run_without_writes().exit_code() == 3


def test_what_a_mid_run_replan_takes_counts_together_with_the_run(harness: FaultHarness) -> None:
    harness.settings["guards"] = {"max_removals": 50, "max_removal_share": 0.10}
    people = harness.add_persons_in_sync(6, entries=5)
    thin_out(harness, people[:3])  # 9: let through

    def edit_meanwhile(call: SimRequest) -> None:
        others = [
            person
            for person in people[:3]
            if person.advo_path not in call.path and len(harness.espo_phones(person)) == 2
        ]
        if call.is_write and len(others) == 2:
            thin_out(harness, others, count=1)  # two more: 11 in all

    harness.settings["espocrm"] = {"settle_seconds": 0}
    with harness.hook_before(harness.advo, edit_meanwhile):
        report = harness.run()
    assert report.exit_code() == 3
    assert sorted(len(harness.advo_values(person)) for person in people) == [1, 2, 5, 5, 5, 5]
    assert [kind for *_, kind in harness.open_hold_rows()] == ["removals"]


# Another configuration -----------------------------------------------------------------------------------------------


def test_a_changed_configuration_holds_every_person_with_steps(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(3)
    harness.settings["sync"] = {"conflict_scope": "entry"}
    assert harness.run_without_writes(sweep=True).exit_code() == 0  # nobody has anything to write
    harness.add_phone(people[0], "+4951188888888")
    first = harness.run_without_writes()
    assert first.exit_code() == 3
    harness.add_phone(people[1], "+4951177777777")
    assert harness.run_without_writes().exit_code() == 3  # another person is newly held
    assert harness.run_without_writes().exit_code() == 0
    assert harness.run(approve_run=first.run_id, operator="anna").exit_code() == 0
    assert [len(harness.advo_values(person)) for person in people] == [3, 2, 2]
    harness.add_phone(people[2], "+4951166666666")
    assert harness.run().exit_code() == 0  # the configuration is the agreed one now
    assert len(harness.advo_values(people[2])) == 3
    assert len(harness.advo_values(people[1])) == 3  # nor is anybody held for it any more
    assert harness.open_hold_rows() == []


def test_who_has_no_betnr_is_not_named_by_a_word_for_that() -> None:
    hold = {"entity_id": "e1", "betnr": None}
    with pytest.raises(ConfigError, match="nobody who is named None"):
        select_holds([hold], "nobody who is", ["None"])
    assert select_holds([hold], "nobody who is", ["e1"]) == [hold]


def test_an_approval_of_some_releases_nobody_else_held_for_a_configuration(harness: FaultHarness) -> None:
    """Only the last of them accepts it: with the agreed configuration nobody is held for it any more."""
    people = harness.add_persons_in_sync(3)
    harness.settings["sync"] = {"conflict_scope": "entry"}
    for person in people:
        harness.add_phone(person, "+4951188888888")
    held_run = harness.run_without_writes().run_id
    for number, person in enumerate(people, 1):
        assert harness.run(approve_run=held_run, operator="anna", persons=(person.entity_id,)).exit_code() == 0
        assert harness.run_without_writes().exit_code() == 0
        assert [len(harness.advo_values(other)) for other in people] == [3] * number + [2] * (3 - number)
        assert len(harness.open_hold_rows()) == 3 - number
    harness.add_phone(people[0], "+4951177777777")
    assert harness.run().exit_code() == 0
    assert len(harness.advo_values(people[0])) == 4


def test_a_configuration_put_back_releases_whom_it_held(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.settings["sync"] = {"region": "AT"}
    harness.add_phone(person, "+4951188888888")
    assert harness.run_without_writes().exit_code() == 3
    del harness.settings["sync"]
    assert harness.run().exit_code() == 0
    assert len(harness.advo_values(person)) == 3
    assert harness.open_hold_rows() == []


def test_an_approval_does_not_accept_yet_another_configuration(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.settings["sync"] = {"conflict_scope": "entry"}
    harness.add_phone(person, "+4951188888888")
    holding_run = harness.run_without_writes().run_id
    harness.settings["sync"] = {"conflict_scope": "entry", "direction": "to_advoware"}
    report = harness.run_without_writes(approve_run=holding_run, operator="anna")
    assert report.exit_code() == 3
    assert harness.open_hold_rows() == [(report.run_id, person.entity_id, "configuration")]
    assert harness.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert len(harness.advo_values(person)) == 3


def test_a_switch_on_the_command_line_is_no_changed_configuration(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.add_phone(person, "+4951188888888")
    from etl.records import Direction, Scope  # noqa: PLC0415 - for this one test

    assert harness.run(direction=Direction.TO_ADVOWARE, scope=Scope.ENTRY).exit_code() == 0
    assert len(harness.advo_values(person)) == 3


# Recovery ------------------------------------------------------------------------------------------------------------


def delete_store(harness: FaultHarness) -> None:
    """The state store is gone."""
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (harness.folder / name).unlink(missing_ok=True)


def test_after_the_loss_of_the_store_what_takes_something_away_waits_for_approval(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(3)
    harness.espo.edit(people[0].entity_id, phones=[("+4951188888888", "Office"), harness.espo_phones(people[0])[1]])
    harness.add_phone(people[1], "+4951177777777")
    delete_store(harness)
    report = harness.run()
    assert report.exit_code() == 3
    assert harness.open_hold_rows() == [(report.run_id, people[0].entity_id, "recovery")]
    assert len(harness.advo_values(people[1])) == 3
    assert harness.run_without_writes().exit_code() == 0
    assert harness.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert "+4951188888888" in harness.advo_values(people[0])
    assert harness.run_without_writes(sweep=True).exit_code() == 0


# Lists ---------------------------------------------------------------------------------------------------------------


def change_lists(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[SimRequest, SimResponse], SimResponse | None]:
    """Every list of EspoCRM comes changed."""

    def spoil_list(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        if call.path.endswith("/CBeteiligte") and call.method == "GET" and answer.status == 200:
            return make_json_response(200, change(json.loads(answer.body)))
        return None

    return spoil_list


def first_half(records: list[Any]) -> list[Any]:
    return records[: len(records) // 2]


BAD_LISTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "truncated": lambda page: {**page, "list": first_half(page["list"])},
    "truncated, and lying about it": lambda page: {
        "total": len(first_half(page["list"])),
        "list": first_half(page["list"]),
    },
    "empty": lambda page: {**page, "list": []},
    "empty, and lying about it": lambda _: {"total": 0, "list": []},
    "repeated": lambda page: {**page, "list": page["list"] + page["list"]},
    "reordered": lambda page: {**page, "list": page["list"][::-1]},
    "without a total": lambda page: {"list": page["list"]},
    "no list at all": lambda _: {},
}


@pytest.mark.parametrize("kind", BAD_LISTS)
@pytest.mark.parametrize("sweep", [False, True])
def test_no_list_leads_to_a_removal(harness: FaultHarness, kind: str, *, sweep: bool) -> None:
    people = harness.add_persons_in_sync(6)
    for person in people:
        harness.espo.edit(person.entity_id, firstName="Moritz")
    with harness.hook_after(harness.espo, change_lists(BAD_LISTS[kind])):
        report = harness.run(sweep=sweep)
    assert report.outcome in {"done", "outage"}
    assert report.writes.advoware == 0
    assert [(len(harness.espo_phones(person)), len(harness.advo_values(person))) for person in people] == [(2, 2)] * 6
    assert harness.query_store("select count(*) from baseline") == [(12,)]
    assert harness.run(sweep=True).outcome == "done"
    assert [(len(harness.espo_phones(person)), len(harness.advo_values(person))) for person in people] == [(2, 2)] * 6


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_an_edit_behind_a_bad_list_is_not_lost(harness: FaultHarness, kind: str) -> None:
    people = harness.add_persons_in_sync(6)
    for person in people:
        harness.add_phone(person, f"+495118888{person.betnr}")
    with harness.hook_after(harness.espo, change_lists(BAD_LISTS[kind])):
        harness.run()
    harness.run()
    harness.run(sweep=True)
    assert [(len(harness.espo_phones(person)), len(harness.advo_values(person))) for person in people] == [(3, 3)] * 6


# A person whose entries all vanished ----------------------------------------------------------------------------------


def test_a_person_whose_items_all_vanished_waits_for_a_second_run(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.espo.edit(person.entity_id, phones=[])
    report = harness.run_without_writes()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert harness.run().writes.advoware == 2
    assert harness.advo_values(person) == []


def test_of_a_person_whose_items_all_vanished_a_run_that_names_it_neither_begins_nor_ends_the_wait(
    harness: FaultHarness,
) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.espo.edit(person.entity_id, phones=[])
    options = {"persons": (person.entity_id,)}
    for _ in range(2):
        assert harness.run_without_writes(**options).persons.waiting == 1
    assert harness.run_without_writes().persons.waiting == 1
    assert harness.run_without_writes(**options).persons.waiting == 1
    assert harness.run().writes.advoware == 2


def test_a_person_whose_rows_all_vanished_waits_for_a_second_run(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    for row in person.rows:
        harness.advo.remove_row(person.betnr, row)
    report = harness.run_without_writes()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert harness.run().outcome == "done"
    assert harness.espo_phones(person) == []


def test_rows_that_are_back_at_the_second_look_lose_nothing(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)

    def answer_no_rows(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        if call.method != "GET" or person.advo_path not in call.path:
            return None
        return make_json_response(200, {**json.loads(answer.body), "kommunikation": []})

    with harness.hook_after(harness.advo, answer_no_rows):
        assert harness.run_without_writes().persons.waiting == 1
    assert harness.run_without_writes().outcome == "done"
    with harness.hook_after(harness.advo, answer_no_rows):
        assert harness.run_without_writes().persons.waiting == 1  # counted anew
    assert harness.run_without_writes().outcome == "done"
    assert (len(harness.espo_phones(person)), len(harness.advo_values(person))) == (2, 2)


# A pilot group -------------------------------------------------------------------------------------------------------


def requests_about_others(harness: FaultHarness, pilot: PersonWithRows) -> list[str]:
    """Requests of the last run for a record that is not the pilot's; lists are nobody's."""
    calls = [call for sim in (harness.espo, harness.advo) for call in sim.request_log if not call.is_login]
    single = [call.path for call in calls if "/CBeteiligte/" in call.path or "/Beteiligte/" in call.path]
    return [path for path in single if pilot.espo_path not in path and pilot.advo_path not in path]


@pytest.mark.parametrize("key", ["entity_id", "betnr"])
def test_a_pilot_group_limits_everything_that_is_touched(harness: FaultHarness, key: str) -> None:
    people = [harness.add_person() for _ in range(4)]
    sharing_persons = [harness.add_person(), harness.add_person()]
    harness.espo.edit(sharing_persons[1].entity_id, betnr=sharing_persons[0].betnr)
    pilot = people[1]
    harness.settings["sync"] = {"only": [getattr(pilot, key)]}
    for options in ({}, {"sweep": True}, {"persons": (people[0].entity_id, pilot.entity_id)}):
        harness.add_phone(pilot, f"+49511{len(harness.espo_phones(pilot))}8888888")
        harness.add_phone(people[2], f"+49511{len(harness.espo_phones(people[2]))}7777777")
        assert harness.run(**options).outcome == "done"
        assert requests_about_others(harness, pilot) == []
    assert len(harness.advo_values(pilot)) == 5
    assert len(harness.advo_values(people[2])) == 2
    del harness.settings["sync"]
    assert harness.run().outcome == "done"
    assert len(harness.advo_values(people[2])) == 5


def test_an_approval_keeps_to_the_pilot_group(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(8, entries=5)
    thin_out(harness, people[:4])
    holding_run = harness.run_without_writes().run_id
    harness.settings["sync"] = {"only": [people[0].betnr]}
    assert harness.run(approve_run=holding_run, operator="anna").outcome == "done"
    assert requests_about_others(harness, people[0]) == []
    assert [len(harness.advo_values(person)) for person in people[:4]] == [2, 5, 5, 5]
    assert len(harness.open_hold_rows()) == 3
