"""Guards, before the first write: who is held and why, what goes on meanwhile, and what an approval carries out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from jobs.sandbox.simulator import Answer, Call, json_answer
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def thin_out(desk: Desk, people: list[Person], kept: int = 2) -> None:
    """Somebody deletes numbers in EspoCRM."""
    for person in people:
        desk.keep_phones(person, kept)


# Too many removals ---------------------------------------------------------------------------------------------------


def test_the_persons_with_removals_are_held_and_all_others_go_on(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])  # 12 of 40
    desk.add_phone(people[5], "+4951188888888")
    report = desk.run()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, 4)
    assert [len(desk.values(one)) for one in people] == [5, 5, 5, 5, 5, 6, 5, 5]
    desk.add_phone(people[6], "+4951177777777")
    desk.advo.add_row(people[0].betnr, "0511 66666666")  # of a held person
    report = desk.run()
    assert (report.outcome, report.exit_code(), report.persons.held) == ("done", 0, 4)
    assert [len(desk.values(one)) for one in people] == [6, 5, 5, 5, 5, 6, 6, 5]
    assert desk.quiet(sweep=True).exit_code() == 0
    assert desk.quiet(persons=(people[1].entity_id,)).exit_code() == 0


def test_an_approval_carries_out_the_same_steps(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    report = desk.run(approve_run=held_by, operator="anna", reason="they moved")
    assert (report.outcome, report.exit_code()) == ("done", 0)
    assert [len(desk.values(one)) for one in people] == [2] * 4 + [5] * 4
    assert desk.ask("select distinct released_by from holds") == [("anna",)]
    assert desk.quiet(sweep=True).outcome == "done"
    with pytest.raises(ConfigError, match="holds nobody"):
        desk.run(approve_run=held_by, operator="anna")


def test_after_an_approval_those_that_moved_stay_held_and_are_listed(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    desk.keep_phones(people[0], 1)
    desk.advo.edit_row(people[1].betnr, people[1].rows[4], value="0511 77777777")
    report = desk.run(approve_run=held_by, operator="anna")
    assert (report.exit_code(), report.persons.held) == (3, 2)
    assert [len(desk.values(one)) for one in people[:4]] == [5, 5, 2, 2]
    assert desk.held() == [(report.run_id, one.entity_id, "removals") for one in people[:2]]
    assert desk.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert desk.held() == []


def test_a_person_put_back_as_it_was_needs_no_approval_any_more(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    before = {one: desk.phones(one) for one in people}
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    for person in people[:4]:
        desk.espo.edit(person.entity_id, phones=[(number, "Office") for number in before[person]])
    report = desk.run(approve_run=held_by, operator="anna")
    assert (report.outcome, report.writes.advoware, desk.held()) == ("done", 0, [])


def test_who_is_deleted_meanwhile_is_held_until_that_was_seen_twice(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    desk.espo.delete(people[0].entity_id)
    desk.advo.delete_person(people[1].betnr)
    desk.espo.edit(people[2].entity_id, betnr=None)
    assert desk.run(approve_run=held_by, operator="anna").exit_code() == 0
    assert {entity_id for _, entity_id, _ in desk.held()} == {one.entity_id for one in people[:3]}
    desk.clock.advance(600)
    desk.run(approve_run=held_by, operator="anna")  # an approval ends nobody
    assert desk.ask("select count(*) from endings where ended_at is null") == [(3,)]
    assert desk.run().persons.skipped == 3
    assert desk.held() == []
    assert [len(desk.values(one)) for one in (people[0], people[3])] == [5, 2]


def test_who_shares_its_betnr_meanwhile_is_held_no_longer(desk: Desk) -> None:
    """Seed 20002: nobody could approve it, and its hold never ended."""
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    desk.espo.edit(people[7].entity_id, betnr=people[0].betnr)
    desk.run()
    desk.later()
    assert desk.run(approve_run=held_by, operator="anna").exit_code() == 0
    assert desk.held() == []
    desk.espo.edit(people[7].entity_id, betnr=people[7].betnr)
    report = desk.run()
    assert [len(desk.values(one)) for one in people[:2]] == [5, 2]
    assert desk.held() == [(report.run_id, people[0].entity_id, "recovery")]  # what it deleted is still to be approved


def test_an_approval_sees_that_a_betnr_is_shared_since_the_last_run(desk: Desk) -> None:
    """Neither of the two is synced, whatever was held of one of them before (rules.md §6)."""
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    desk.espo.edit(people[7].entity_id, betnr=people[0].betnr)
    rows = desk.advo.rows(people[0].betnr)
    assert desk.run(approve_run=held_by, operator="anna").persons.changed == 3
    assert desk.advo.rows(people[0].betnr) == rows


def test_a_small_firm_of_twelve_entries_is_not_silly(desk: Desk) -> None:
    people = desk.crowd(4, entries=3)
    thin_out(desk, people[:3], kept=1)
    assert desk.run().outcome == "done"  # 6 of 12
    assert [len(desk.values(one)) for one in people] == [1, 1, 1, 3]


def test_nor_does_it_lose_nearly_everything(desk: Desk) -> None:
    people = desk.crowd(4, entries=3)
    for person in people:
        desk.espo.edit(person.entity_id, phones=[(f"+495117777{person.betnr}", "Office")])
    assert desk.quiet().persons.waiting == 4  # all they had vanished: a run is waited, then the guard counts 12 of 12
    assert desk.quiet().exit_code() == 3


def test_a_plan_holds_too_and_leaves_no_trace(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    assert desk.quiet(trigger="plan", write=False).exit_code() == 3
    assert desk.held() == []
    assert desk.quiet().exit_code() == 3


def test_what_a_mid_run_replan_takes_counts_together_with_the_run(desk: Desk) -> None:
    desk.settings["guards"] = {"max_removals": 50, "max_removal_share": 0.10}
    people = desk.crowd(6, entries=5)
    thin_out(desk, people[:3])  # 9: let through

    def meanwhile(call: Call) -> None:
        others = [one for one in people[:3] if one.in_advo not in call.path and len(desk.phones(one)) == 2]
        if call.is_write and len(others) == 2:
            thin_out(desk, others, kept=1)  # two more: 11 in all

    desk.settings["espocrm"] = {"settle_seconds": 0}
    with desk.broken(desk.advo, meanwhile):
        report = desk.run()
    assert report.exit_code() == 3
    assert sorted(len(desk.values(one)) for one in people) == [1, 2, 5, 5, 5, 5]
    assert [kind for *_, kind in desk.held()] == ["removals"]


# Another configuration -----------------------------------------------------------------------------------------------


def test_a_changed_configuration_holds_every_person_with_steps(desk: Desk) -> None:
    people = desk.crowd(3)
    desk.settings["sync"] = {"conflict_scope": "entry"}
    assert desk.quiet(sweep=True).exit_code() == 0  # nobody has anything to write
    desk.add_phone(people[0], "+4951188888888")
    first = desk.quiet()
    assert first.exit_code() == 3
    desk.add_phone(people[1], "+4951177777777")
    assert desk.quiet().exit_code() == 3  # another person is newly held
    assert desk.quiet().exit_code() == 0
    assert desk.run(approve_run=first.run_id, operator="anna").exit_code() == 0
    assert [len(desk.values(one)) for one in people] == [3, 2, 2]
    desk.add_phone(people[2], "+4951166666666")
    assert desk.run().exit_code() == 0  # the configuration is the agreed one now
    assert len(desk.values(people[2])) == 3
    assert len(desk.values(people[1])) == 3  # nor is anybody held for it any more
    assert desk.held() == []


def test_a_configuration_put_back_releases_whom_it_held(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.settings["sync"] = {"region": "AT"}
    desk.add_phone(person, "+4951188888888")
    assert desk.quiet().exit_code() == 3
    del desk.settings["sync"]
    assert desk.run().exit_code() == 0
    assert len(desk.values(person)) == 3
    assert desk.held() == []


def test_an_approval_does_not_accept_yet_another_configuration(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.settings["sync"] = {"conflict_scope": "entry"}
    desk.add_phone(person, "+4951188888888")
    held_by = desk.quiet().run_id
    desk.settings["sync"] = {"conflict_scope": "entry", "direction": "to_advoware"}
    report = desk.quiet(approve_run=held_by, operator="anna")
    assert report.exit_code() == 3
    assert desk.held() == [(report.run_id, person.entity_id, "configuration")]
    assert desk.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert len(desk.values(person)) == 3


def test_a_switch_on_the_command_line_is_no_changed_configuration(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    desk.add_phone(person, "+4951188888888")
    from etl.records import Direction, Scope  # noqa: PLC0415 - for this one test

    assert desk.run(direction=Direction.TO_ADVOWARE, scope=Scope.ENTRY).exit_code() == 0
    assert len(desk.values(person)) == 3


# Recovery ------------------------------------------------------------------------------------------------------------


def lost_store(desk: Desk) -> None:
    """The state store is gone."""
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (desk.folder / name).unlink(missing_ok=True)


def test_after_the_loss_of_the_store_what_takes_something_away_waits_for_approval(desk: Desk) -> None:
    people = desk.crowd(3)
    desk.espo.edit(people[0].entity_id, phones=[("+4951188888888", "Office"), desk.phones(people[0])[1]])
    desk.add_phone(people[1], "+4951177777777")
    lost_store(desk)
    report = desk.run()
    assert report.exit_code() == 3
    assert desk.held() == [(report.run_id, people[0].entity_id, "recovery")]
    assert len(desk.values(people[1])) == 3
    assert desk.quiet().exit_code() == 0
    assert desk.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert "+4951188888888" in desk.values(people[0])
    assert desk.quiet(sweep=True).exit_code() == 0


# Lists ---------------------------------------------------------------------------------------------------------------


def lists(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Call, Answer], Answer | None]:
    """Every list of EspoCRM comes changed."""

    def spoiled(call: Call, answer: Answer) -> Answer | None:
        if call.path.endswith("/CBeteiligte") and call.method == "GET" and answer.status == 200:
            return json_answer(200, change(json.loads(answer.body)))
        return None

    return spoiled


def half(records: list[Any]) -> list[Any]:
    return records[: len(records) // 2]


BAD_LISTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "truncated": lambda page: {**page, "list": half(page["list"])},
    "truncated, and lying about it": lambda page: {"total": len(half(page["list"])), "list": half(page["list"])},
    "empty": lambda page: {**page, "list": []},
    "empty, and lying about it": lambda _: {"total": 0, "list": []},
    "repeated": lambda page: {**page, "list": page["list"] + page["list"]},
    "reordered": lambda page: {**page, "list": page["list"][::-1]},
    "without a total": lambda page: {"list": page["list"]},
    "no list at all": lambda _: {},
}


@pytest.mark.parametrize("kind", BAD_LISTS)
@pytest.mark.parametrize("sweep", [False, True])
def test_no_list_leads_to_a_removal(desk: Desk, kind: str, *, sweep: bool) -> None:
    people = desk.crowd(6)
    for person in people:
        desk.espo.edit(person.entity_id, firstName="Moritz")
    with desk.spoiled(desk.espo, lists(BAD_LISTS[kind])):
        report = desk.run(sweep=sweep)
    assert report.outcome in {"done", "outage"}
    assert report.writes.advoware == 0
    assert [(len(desk.phones(one)), len(desk.values(one))) for one in people] == [(2, 2)] * 6
    assert desk.ask("select count(*) from baseline") == [(12,)]
    assert desk.run(sweep=True).outcome == "done"
    assert [(len(desk.phones(one)), len(desk.values(one))) for one in people] == [(2, 2)] * 6


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_an_edit_behind_a_bad_list_is_not_lost(desk: Desk, kind: str) -> None:
    people = desk.crowd(6)
    for person in people:
        desk.add_phone(person, f"+495118888{person.betnr}")
    with desk.spoiled(desk.espo, lists(BAD_LISTS[kind])):
        desk.run()
    desk.run()
    desk.run(sweep=True)
    assert [(len(desk.phones(one)), len(desk.values(one))) for one in people] == [(3, 3)] * 6


# A person whose entries all vanished ----------------------------------------------------------------------------------


def test_a_person_whose_items_all_vanished_waits_for_a_second_run(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.espo.edit(person.entity_id, phones=[])
    report = desk.quiet()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert desk.run().writes.advoware == 2
    assert desk.values(person) == []


def test_of_a_person_whose_items_all_vanished_a_run_that_names_it_neither_begins_nor_ends_the_wait(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    desk.espo.edit(person.entity_id, phones=[])
    asked = {"persons": (person.entity_id,)}
    for _ in range(2):
        assert desk.quiet(**asked).persons.waiting == 1
    assert desk.quiet().persons.waiting == 1
    assert desk.quiet(**asked).persons.waiting == 1
    assert desk.run().writes.advoware == 2


def test_a_person_whose_rows_all_vanished_waits_for_a_second_run(desk: Desk) -> None:
    person, _ = desk.crowd(2)
    for row in person.rows:
        desk.advo.remove_row(person.betnr, row)
    report = desk.quiet()
    assert (report.outcome, report.persons.waiting) == ("done", 1)
    assert desk.run().outcome == "done"
    assert desk.phones(person) == []


def test_rows_that_are_back_at_the_second_look_lose_nothing(desk: Desk) -> None:
    person, _ = desk.crowd(2)

    def empty(call: Call, answer: Answer) -> Answer | None:
        if call.method != "GET" or person.in_advo not in call.path:
            return None
        return json_answer(200, {**json.loads(answer.body), "kommunikation": []})

    with desk.spoiled(desk.advo, empty):
        assert desk.quiet().persons.waiting == 1
    assert desk.quiet().outcome == "done"
    with desk.spoiled(desk.advo, empty):
        assert desk.quiet().persons.waiting == 1  # counted anew
    assert desk.quiet().outcome == "done"
    assert (len(desk.phones(person)), len(desk.values(person))) == (2, 2)


# A pilot group -------------------------------------------------------------------------------------------------------


def about_others(desk: Desk, pilot: Person) -> list[str]:
    """Requests of the last run for a record that is not the pilot's; lists are nobody's."""
    calls = [call for sim in (desk.espo, desk.advo) for call in sim.journal if not call.is_login]
    single = [call.path for call in calls if "/CBeteiligte/" in call.path or "/Beteiligte/" in call.path]
    return [path for path in single if pilot.in_espo not in path and pilot.in_advo not in path]


@pytest.mark.parametrize("by", ["entity_id", "betnr"])
def test_a_pilot_group_limits_everything_that_is_touched(desk: Desk, by: str) -> None:
    people = [desk.hire() for _ in range(4)]
    twins = [desk.hire(), desk.hire()]
    desk.espo.edit(twins[1].entity_id, betnr=twins[0].betnr)
    pilot = people[1]
    desk.settings["sync"] = {"only": [getattr(pilot, by)]}
    for asked in ({}, {"sweep": True}, {"persons": (people[0].entity_id, pilot.entity_id)}):
        desk.add_phone(pilot, f"+49511{len(desk.phones(pilot))}8888888")
        desk.add_phone(people[2], f"+49511{len(desk.phones(people[2]))}7777777")
        assert desk.run(**asked).outcome == "done"
        assert about_others(desk, pilot) == []
    assert len(desk.values(pilot)) == 5
    assert len(desk.values(people[2])) == 2
    del desk.settings["sync"]
    assert desk.run().outcome == "done"
    assert len(desk.values(people[2])) == 5


def test_an_approval_keeps_to_the_pilot_group(desk: Desk) -> None:
    people = desk.crowd(8, entries=5)
    thin_out(desk, people[:4])
    held_by = desk.quiet().run_id
    desk.settings["sync"] = {"only": [people[0].betnr]}
    assert desk.run(approve_run=held_by, operator="anna").outcome == "done"
    assert about_others(desk, people[0]) == []
    assert [len(desk.values(one)) for one in people[:4]] == [2, 5, 5, 5]
    assert len(desk.held()) == 3
