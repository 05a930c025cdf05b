"""Many who vanish at once, or a 404 that says nothing, are held: a mistyped address, an import, a restored backup."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from jobs.sandbox.simulator import Answer
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Call

JSON = {"Content-Type": "application/json"}
NOT_FOUND = Answer(404, JSON, b'{"message":"Nicht gefunden."}')


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def agreed(desk: Desk) -> list[tuple[Any, ...]]:
    """All pairs, and how the persons stand."""
    pairs = desk.ask("select entity_id, betnr, komm_id, espo_value, advo_value, row_id from baseline order by 1, 3")
    return pairs + desk.ask("select entity_id, status, fingerprint, synced_betnr from persons order by 1")


def stands(desk: Desk) -> list[tuple[list[str], list[dict[str, Any]]]]:
    """Everything people see."""
    return [(desk.phones(one), desk.advo.rows(one.betnr)) for one in desk.people]


def holds_everybody(desk: Desk, report: RunReport) -> None:
    """All persons are held for that kind, by the run that says so; nothing was written."""
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, len(desk.people))
    assert {(entity_id, kind) for _, entity_id, kind in desk.held()} == {
        (one.entity_id, "endings") for one in desk.people
    }


def edited_meanwhile(desk: Desk) -> list[str]:
    """Two persons are edited while nobody is found: one number replaced, one deleted; what must stand then."""
    first, second, *_ = desk.people
    desk.espo.edit(first.entity_id, phones=[desk.phones(first)[1], ("+4951188888888", "Mobile")])
    desk.keep_phones(second, 1)
    return [desk.values(first)[1], "+4951188888888"]


def comes_back_unharmed(desk: Desk, wanted: list[str]) -> None:
    """The next runs carry out what people did, once, and nothing else."""
    first, second, *others = desk.people
    assert desk.run().outcome == "done"
    assert desk.run(sweep=True).outcome == "done"
    assert desk.held() == []
    assert sorted(desk.values(first)) == sorted(wanted)
    assert len(desk.values(second)) == len(desk.phones(second)) == 1
    assert {len(desk.values(one)) for one in others} == {len(desk.phones(one)) for one in others} == {2}
    ended = desk.ask("select entity_id from endings where ended_at is not null")
    assert {entity_id for (entity_id,) in ended}.isdisjoint(one.entity_id for one in desk.people)
    assert desk.quiet(sweep=True).outcome == "done"


# A 404 that says nothing of the person --------------------------------------------------------------------------------


def test_a_mistyped_path_prefix_undoes_nobodys_work(desk: Desk) -> None:
    desk.crowd(12)
    before = agreed(desk)
    desk.settings["advoware"] = {"path_prefix": "api/v2/advonet"}

    def says_so_in_json(call: Call) -> Answer | None:
        return NOT_FOUND if "/v2/" in call.path else None

    with desk.broken(desk.advo, says_so_in_json):
        assert desk.quiet(trigger="plan", write=False).exit_code() == 3
        report = desk.quiet()
        holds_everybody(desk, report)
        assert any("check advoware.path_prefix" in one for one in report.notices)
        assert desk.ask("select count(*) from holds where reason like '%check advoware.path_prefix%'") == [(12,)]
        wanted = edited_meanwhile(desk)
        for sweep in (False, True, False):
            assert desk.later(sweep=sweep).exit_code() == 0
        assert agreed(desk) == before
        assert desk.quiet(approve_run=report.run_id, operator="anna").exit_code() == 3  # not even so it ends anybody
        assert agreed(desk) == before
    del desk.settings["advoware"]
    comes_back_unharmed(desk, wanted)


def test_a_404_for_everybody_undoes_nobodys_work(desk: Desk) -> None:
    """The database was moved, or another one is shown: the configuration is the agreed one."""
    desk.crowd(12)
    before = agreed(desk)

    def nobody(call: Call) -> Answer | None:
        return NOT_FOUND if "/Beteiligte/" in call.path else None

    with desk.broken(desk.advo, nobody):
        holds_everybody(desk, desk.quiet())
        wanted = edited_meanwhile(desk)
        assert desk.later(sweep=True).exit_code() == 0
    assert agreed(desk) == before
    comes_back_unharmed(desk, wanted)


def test_a_404_page_for_everybody_is_an_outage_and_undoes_nobodys_work(desk: Desk) -> None:
    desk.crowd(12)
    before = agreed(desk)

    def page(call: Call) -> Answer | None:
        return Answer(404, {"Content-Type": "text/html"}, b"<html>404</html>") if "/Beteiligte/" in call.path else None

    with desk.broken(desk.advo, page):
        for _ in range(3):
            assert desk.later(sweep=True).exit_code() == 4
        wanted = edited_meanwhile(desk)
    assert (agreed(desk), desk.held()) == (before, [])
    comes_back_unharmed(desk, wanted)


def test_a_404_for_every_record_in_espocrm_undoes_nobodys_work(desk: Desk) -> None:
    """A role that may not read any more, or another entity."""
    desk.crowd(12)
    before = agreed(desk)

    def nobody(call: Call) -> Answer | None:
        return NOT_FOUND if "/CBeteiligte/" in call.path else None

    with desk.broken(desk.espo, nobody):
        report = desk.quiet(sweep=True)
        holds_everybody(desk, report)
        assert any("check espocrm.url and entity" in one for one in report.notices)
        assert desk.later(sweep=True).exit_code() == 0
        wanted = edited_meanwhile(desk)
    assert agreed(desk) == before
    comes_back_unharmed(desk, wanted)


def test_without_anybody_to_ask_a_404_is_held(desk: Desk) -> None:
    (person,) = desk.crowd(1)
    gone = desk.advo.beteiligte.persons[person.betnr]
    desk.advo.delete_person(person.betnr)
    report = desk.quiet()
    assert (report.exit_code(), desk.held()) == (3, [(report.run_id, person.entity_id, "endings")])
    assert "nobody whom it ever showed" in report.notices[0]
    assert desk.later(sweep=True).exit_code() == 0
    desk.advo.beteiligte.persons[person.betnr] = gone
    assert desk.quiet().persons.held == 0
    assert desk.ask("select released_by from holds") == [("it is there again",)]


def test_the_first_404_of_a_run_costs_one_request_and_three_at_most(desk: Desk) -> None:
    people = desk.crowd(40)
    desk.settings["advoware"] = {"poll_budget": 0}
    assert desk.quiet().calls.advoware == {}
    for person in people[:2]:
        desk.add_phone(person, f"+495118888{person.betnr}")
        desk.advo.delete_person(person.betnr)
    assert desk.quiet().calls.advoware == {"GET": 3}  # two persons, and one that answers
    assert desk.later().calls.advoware == {"GET": 3}
    desk.add_phone(people[2], "+4951177777777")

    def nobody(call: Call) -> Answer | None:
        return NOT_FOUND if "/Beteiligte/" in call.path else None

    with desk.broken(desk.advo, nobody):
        assert desk.quiet().calls.advoware == {"GET": 4}


def test_who_was_read_last_and_does_not_wait_is_asked(desk: Desk) -> None:
    """Three persons deleted in one go, read last of all, must not make the 404 of a fourth look like nobody's."""
    people = desk.crowd(40)
    desk.run(persons=tuple(one.entity_id for one in people[:3]))
    for person in people[:3]:
        desk.advo.delete_person(person.betnr)
    desk.settings["advoware"] = {"poll_budget": 40}
    assert (desk.quiet().exit_code(), desk.held()) == (0, [])
    desk.advo.delete_person(people[3].betnr)
    desk.add_phone(people[3], "+4951177777777")
    assert desk.quiet().persons.waiting == 4


# Too many -------------------------------------------------------------------------------------------------------------


def test_an_import_that_blanks_betnr_undoes_nobodys_work(desk: Desk) -> None:
    people = desk.crowd(12)
    before, seen = agreed(desk), stands(desk)
    for person in people:
        desk.espo.edit(person.entity_id, betnr=None)
    assert desk.quiet(trigger="plan", write=False).exit_code() == 3
    holds_everybody(desk, desk.quiet())
    for sweep in (False, True):
        assert desk.later(sweep=sweep).exit_code() == 0
    assert (agreed(desk), stands(desk)) == (before, seen)
    wanted = edited_meanwhile(desk)
    for person in people:
        desk.espo.edit(person.entity_id, betnr=person.betnr)
    comes_back_unharmed(desk, wanted)


def test_an_import_that_shifts_betnr_by_one_line_syncs_nobody_with_a_stranger(desk: Desk) -> None:
    """Everybody has the betnr of somebody else, also who has no entry at all, and who was new that day."""
    people = desk.crowd(12)
    empty = Person(desk.espo.add_person("Ohne Nummern", 399_999), 399_999, ())
    desk.advo.add_person(399_999, "Ohne Nummern")
    assert desk.run().outcome == "done"
    people.append(empty)
    desk.people.append(empty)
    new = desk.espo.add_person("Neu Hier", None, phones=["+4951188888888"])
    before, seen = agreed(desk), stands(desk)
    shifted = [*people[1:], None]
    for person, other in zip(people, shifted, strict=True):
        desk.espo.edit(person.entity_id, betnr=other.betnr if other else 400_000)
    desk.advo.add_person(400_000, "Noch ein Fremder")
    desk.espo.edit(new, betnr=people[0].betnr)
    assert desk.quiet(trigger="plan", write=False).exit_code() == 3
    holds_everybody(desk, desk.quiet())
    for sweep in (False, True, False, True):
        assert desk.later(sweep=sweep).writes.advoware == 0
    assert (agreed(desk)[:24], stands(desk)) == (before[:24], seen)
    wanted = edited_meanwhile(desk)
    desk.espo.edit(new, betnr=None)
    for person in people:
        desk.espo.edit(person.entity_id, betnr=person.betnr)
    desk.people.pop()
    comes_back_unharmed(desk, wanted)
    assert desk.phones(empty) == []


def test_a_column_shifted_back_in_two_halves_syncs_nobody_with_a_stranger(desk: Desk) -> None:
    """While half the firm is put right, betnr are shared; nobody is merged with anybody."""
    people = desk.crowd(12)
    seen = stands(desk)
    for person, other in zip(people, [*people[1:], people[0]], strict=True):
        desk.espo.edit(person.entity_id, betnr=other.betnr)
    holds_everybody(desk, desk.quiet())
    for person in people[:6]:
        desk.espo.edit(person.entity_id, betnr=person.betnr)
    for _ in range(3):
        assert desk.later(sweep=True).writes.advoware == 0
    for person in people[6:]:
        desk.espo.edit(person.entity_id, betnr=person.betnr)
    wanted = edited_meanwhile(desk)
    comes_back_unharmed(desk, wanted)
    assert stands(desk)[2:] == seen[2:]


def test_under_the_share_a_large_firm_is_held_by_the_number(desk: Desk) -> None:
    """As 1,900 of 20,000 would be, which is under a tenth: 9 of 100, where 5 may be."""
    desk.settings["guards"] = {"max_removals": 5}
    people = desk.crowd(100, entries=1)
    for person in people[:9]:
        desk.espo.edit(person.entity_id, betnr=None)
    report = desk.quiet()
    assert (report.exit_code(), report.persons.held) == (3, 9)
    assert "9 persons were not there" in report.notices[0]


def test_a_slow_trickle_over_several_runs_is_held_too(desk: Desk) -> None:
    """Two an hour: who ended within a day counts with who waits, whichever runs saw them."""
    people = desk.crowd(40, entries=1)
    held: list[int] = []
    for hour in range(4):
        for person in people[2 * hour : 2 * hour + 2]:
            desk.espo.edit(person.entity_id, betnr=None)
        held.append(desk.later().persons.held)
        desk.later()
        desk.clock.advance(3000)
    assert held == [0, 0, 2, 4]  # of 40 persons more than four in a day
    assert desk.ask("select count(*) from endings where ended_at is not null") == [(4,)]


def test_what_ended_yesterday_does_not_count_today(desk: Desk) -> None:
    people = desk.crowd(50, entries=1)
    for day in range(3):
        for person in people[4 * day : 4 * day + 4]:
            desk.espo.edit(person.entity_id, betnr=None)
        assert desk.run().exit_code() == 0
        assert desk.later().persons.skipped == 4
        desk.clock.advance(86_400)
        desk.run(sweep=True)


def test_three_may_vanish_in_the_smallest_firm(desk: Desk) -> None:
    people = desk.crowd(5)
    for person in people[:3]:
        desk.espo.edit(person.entity_id, betnr=None)
    assert desk.quiet().exit_code() == 0
    assert desk.later().persons.skipped == 3


# Another configuration ------------------------------------------------------------------------------------------------


def test_another_firms_configuration_on_this_store_undoes_nobodys_work(desk: Desk, tmp_path: Path) -> None:
    """Its EspoCRM knows nobody of ours, and its Advoware has strangers under the same numbers."""
    desk.crowd(12)
    before, seen = agreed(desk), stands(desk)
    other = Desk(tmp_path / "other", clock=desk.clock)
    for person in [other.hire(3) for _ in range(8)]:
        other.add_phone(person, f"+495119999{person.betnr}")
    theirs = stands(other)
    ours = (desk.espo, desk.advo, desk.world)
    desk.espo, desk.advo, desk.world = other.espo, other.advo, other.world
    desk.settings["espocrm"] = {"url": "http://andere.test"}
    for sweep in (True, False, True, True):
        report = desk.later(sweep=sweep)
        assert report.writes.advoware == report.writes.espocrm == 0
    assert {entity_id for _, entity_id, _ in desk.held()} >= {one.entity_id for one in desk.people}
    assert stands(other) == theirs
    desk.espo, desk.advo, desk.world = ours
    del desk.settings["espocrm"]
    assert (agreed(desk)[:24], stands(desk)) == (before[:24], seen)
    wanted = edited_meanwhile(desk)
    desk.run(sweep=True)
    for run_id in {run_id for run_id, *_ in desk.held()}:  # the other firm's records, which nobody finds here
        desk.run(approve_run=run_id, operator="anna")
    comes_back_unharmed(desk, wanted)
    assert stands(desk)[2:] == seen[2:]


def test_a_single_ending_is_held_while_the_configuration_is_another(desk: Desk) -> None:
    person, *_ = desk.crowd(40, entries=1)
    desk.settings["sync"] = {"region": "AT"}
    desk.espo.edit(person.entity_id, betnr=None)
    report = desk.quiet()
    assert (report.exit_code(), desk.held()) == (3, [(report.run_id, person.entity_id, "endings")])
    assert "the configuration is not the agreed one" in report.notices[0]
    assert desk.later(sweep=True).exit_code() == 0
    assert desk.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert desk.ask("select ended_at is not null, approved from endings") == [(1, 1)]


# What becomes of those held -------------------------------------------------------------------------------------------


def test_an_approval_ends_those_still_absent_and_the_others_go_on(desk: Desk) -> None:
    people = desk.crowd(12)
    for person in people[:6]:
        desk.espo.edit(person.entity_id, betnr=None)
    held_by = desk.quiet().run_id
    desk.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    desk.espo.edit(people[1].entity_id, betnr=people[1].betnr, phones=desk.phones(people[1])[:1])
    report = desk.run(approve_run=held_by, operator="anna", reason="they left")
    assert (report.exit_code(), report.persons.skipped, desk.held()) == (0, 4, [])
    assert desk.ask("select count(*) from endings where approved = 1") == [(4,)]
    assert desk.ask("select released_by, count(*) from holds group by 1 order by 1") == [
        ("anna", 4), ("it is there again", 2),
    ]  # fmt: skip
    assert desk.run().variants == {"var2": 1}
    assert desk.quiet(sweep=True).exit_code() == 0
    desk.espo.edit(people[7].entity_id, betnr=None)
    assert desk.quiet().exit_code() == 0  # what was approved does not count against the next one


def test_who_is_deleted_in_advoware_is_held_no_more_once_its_record_is_there_again(desk: Desk) -> None:
    """World 233: nobody could release it, for its 404 in Advoware was known and no absence of this run."""
    people = desk.crowd(12)
    desk.advo.delete_person(people[0].betnr)
    desk.run(sweep=True)
    desk.later(sweep=True)
    assert desk.kept(people[0], "status") == ("deleted_in_advoware",)
    with desk.broken(desk.espo, lambda call: NOT_FOUND if "/CBeteiligte/" in call.path else None):
        desk.quiet(sweep=True)
    assert len(desk.held()) == 12
    assert desk.run(sweep=True).outcome == "done"
    assert desk.held() == []
    assert desk.ask("select count(*) from endings where ended_at is null and returned_at is null") == [(0,)]
    assert desk.kept(people[0], "status") == ("deleted_in_advoware",)


def test_who_is_corrected_while_held_goes_on_with_the_next_sync(desk: Desk) -> None:
    """Nobody waits for the nightly sweep: a list shows the correction, and the look that follows releases it."""
    people = desk.crowd(12)
    for person in people[:6]:
        desk.espo.edit(person.entity_id, betnr=None)
    desk.quiet()
    assert desk.asked_about(people[0]) == ["E:GET"]
    desk.quiet()
    assert desk.asked_about(people[0]) == []
    desk.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    desk.add_phone(people[0], "+4951188888888")
    assert desk.run().variants == {"var1": 1}
    assert people[0].entity_id not in [entity_id for _, entity_id, _ in desk.held()]


def test_a_person_who_is_held_and_asked_for_by_name_goes_on_if_it_is_there(desk: Desk) -> None:
    people = desk.crowd(12)
    for person in people[:6]:
        desk.espo.edit(person.entity_id, betnr=None)
    desk.quiet()
    assert desk.quiet(persons=(people[0].entity_id,)).persons.held == 6
    desk.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    desk.add_phone(people[0], "+4951188888888")
    report = desk.run(persons=(people[0].entity_id,))
    assert (report.variants, report.persons.held) == ({"var1": 1}, 5)


def test_a_restored_backup_of_advoware_is_held_until_the_persons_are_there_again(desk: Desk) -> None:
    """Whoever was entered since the copy is gone there, and comes back once it is entered again."""
    old = copy.deepcopy(desk.advo.beteiligte)
    desk.crowd(12)
    before, now = agreed(desk), desk.advo.beteiligte
    desk.advo.beteiligte = old
    desk.quiet()
    assert len(desk.held()) == 12
    desk.later(sweep=True)
    assert agreed(desk) == before
    desk.advo.beteiligte = now
    assert desk.quiet().persons.held == 0
    assert desk.quiet(sweep=True).exit_code() == 0


def test_a_backup_of_espocrm_put_back_is_held_where_records_are_missing(desk: Desk) -> None:
    people = desk.crowd(12)
    for person in people[:6]:
        desk.espo.delete(person.entity_id)
    assert desk.quiet(sweep=True).exit_code() == 3
    assert desk.later(sweep=True).exit_code() == 0
    for person in people[:6]:
        desk.espo.restore(person.entity_id)
    assert desk.quiet(sweep=True).persons.held == 0
    assert desk.quiet(sweep=True).exit_code() == 0
