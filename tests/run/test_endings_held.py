"""Many who vanish at once, or a 404 that says nothing, are held: a mistyped address, an import, a restored backup."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from jobs.sandbox.simulator import SimResponse
from tests.harness import NOT_FOUND, FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimRequest

def side_contents(harness: FaultHarness) -> list[tuple[list[str], list[dict[str, Any]]]]:
    """Everything people see."""
    return [(harness.espo_phones(person), harness.advo.rows(person.betnr)) for person in harness.persons]


def assert_all_on_hold(harness: FaultHarness, report: RunReport) -> None:
    """All persons are held for that kind, by the run that says so; nothing was written."""
    assert (report.outcome, report.exit_code(), report.persons.held) == ("held", 3, len(harness.persons))
    assert {(entity_id, kind) for _, entity_id, kind in harness.open_hold_rows()} == {
        (person.entity_id, "endings") for person in harness.persons
    }


def edit_during_fault(harness: FaultHarness) -> list[str]:
    """Two persons are edited while nobody is found: one number replaced, one deleted; what must stand then."""
    first, second, *_ = harness.persons
    harness.espo.edit(first.entity_id, phones=[harness.espo_phones(first)[1], ("+4951188888888", "Mobile")])
    harness.keep_first_phones(second, 1)
    return [harness.advo_values(first)[1], "+4951188888888"]


def assert_edits_arrive(harness: FaultHarness, expected: list[str]) -> None:
    """The next runs carry out what people did, once, and nothing else."""
    first, second, *others = harness.persons
    assert harness.run().outcome == "done"
    assert harness.run(sweep=True).outcome == "done"
    assert harness.open_hold_rows() == []
    assert sorted(harness.advo_values(first)) == sorted(expected)
    assert len(harness.advo_values(second)) == len(harness.espo_phones(second)) == 1
    assert (
        {len(harness.advo_values(person)) for person in others}
        == {len(harness.espo_phones(person)) for person in others}
        == {2}
    )
    ended_rows = harness.query_store("select entity_id from endings where ended_at is not null")
    assert {entity_id for (entity_id,) in ended_rows}.isdisjoint(person.entity_id for person in harness.persons)
    assert harness.run_without_writes(sweep=True).outcome == "done"


# A 404 that says nothing of the person --------------------------------------------------------------------------------


def test_a_mistyped_path_prefix_undoes_nobodys_work(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(12)
    before = harness.pairs_and_statuses()
    harness.settings["advoware"] = {"path_prefix": "api/v2/advonet"}

    def answer_404_in_json(call: SimRequest) -> SimResponse | None:
        return NOT_FOUND if "/v2/" in call.path else None

    with harness.hook_before(harness.advo, answer_404_in_json):
        assert harness.run_without_writes(trigger="plan", write=False).exit_code() == 3
        report = harness.run_without_writes()
        assert_all_on_hold(harness, report)
        assert any("check advoware.path_prefix" in notice for notice in report.notices)
        assert harness.query_store("select count(*) from holds where reason like '%check advoware.path_prefix%'") == [
            (12,)
        ]
        expected = edit_during_fault(harness)
        for sweep in (False, True, False):
            assert harness.run_later(sweep=sweep).exit_code() == 0
        assert harness.pairs_and_statuses() == before
        assert (
            harness.run_without_writes(approve_run=report.run_id, operator="anna").exit_code() == 3
        )  # not even so it ends anybody
        assert harness.pairs_and_statuses() == before
    del harness.settings["advoware"]
    assert_edits_arrive(harness, expected)


def test_a_404_for_everybody_undoes_nobodys_work(harness: FaultHarness) -> None:
    """The database was moved, or another one is shown: the configuration is the agreed one."""
    harness.add_persons_in_sync(12)
    before = harness.pairs_and_statuses()

    def answer_404_for_all(call: SimRequest) -> SimResponse | None:
        return NOT_FOUND if "/Beteiligte/" in call.path else None

    with harness.hook_before(harness.advo, answer_404_for_all):
        assert_all_on_hold(harness, harness.run_without_writes())
        expected = edit_during_fault(harness)
        assert harness.run_later(sweep=True).exit_code() == 0
    assert harness.pairs_and_statuses() == before
    assert_edits_arrive(harness, expected)


def test_a_404_page_for_everybody_is_an_outage_and_undoes_nobodys_work(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(12)
    before = harness.pairs_and_statuses()

    def answer_404_page(call: SimRequest) -> SimResponse | None:
        return (
            SimResponse(404, {"Content-Type": "text/html"}, b"<html>404</html>")
            if "/Beteiligte/" in call.path
            else None
        )

    with harness.hook_before(harness.advo, answer_404_page):
        for _ in range(3):
            assert harness.run_later(sweep=True).exit_code() == 4
        expected = edit_during_fault(harness)
    assert (harness.pairs_and_statuses(), harness.open_hold_rows()) == (before, [])
    assert_edits_arrive(harness, expected)


def test_a_404_for_every_record_in_espocrm_undoes_nobodys_work(harness: FaultHarness) -> None:
    """A role that may not read any more, or another entity."""
    harness.add_persons_in_sync(12)
    before = harness.pairs_and_statuses()

    def answer_404_for_all(call: SimRequest) -> SimResponse | None:
        return NOT_FOUND if "/CBeteiligte/" in call.path else None

    with harness.hook_before(harness.espo, answer_404_for_all):
        report = harness.run_without_writes(sweep=True)
        assert_all_on_hold(harness, report)
        assert any("check espocrm.url and entity" in notice for notice in report.notices)
        assert harness.run_later(sweep=True).exit_code() == 0
        expected = edit_during_fault(harness)
    assert harness.pairs_and_statuses() == before
    assert_edits_arrive(harness, expected)


def test_without_anybody_to_ask_a_404_is_held(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    person_rows = harness.advo.beteiligte.persons[person.betnr]
    harness.advo.delete_person(person.betnr)
    report = harness.run_without_writes()
    assert (report.exit_code(), harness.open_hold_rows()) == (3, [(report.run_id, person.entity_id, "endings")])
    assert "nobody whom it ever showed" in report.notices[0]
    assert harness.run_later(sweep=True).exit_code() == 0
    harness.advo.beteiligte.persons[person.betnr] = person_rows
    assert harness.run_without_writes().persons.held == 0
    assert harness.query_store("select released_by from holds") == [("it is there again",)]


def test_the_first_404_of_a_run_costs_one_request_and_three_at_most(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(40)
    harness.settings["advoware"] = {"poll_budget": 0}
    assert harness.run_without_writes().calls.advoware == {}
    for person in people[:2]:
        harness.add_phone(person, f"+495118888{person.betnr}")
        harness.advo.delete_person(person.betnr)
    assert harness.run_without_writes().calls.advoware == {"GET": 3}  # two persons, and one that answers
    assert harness.run_later().calls.advoware == {"GET": 3}
    harness.add_phone(people[2], "+4951177777777")

    def answer_404_for_all(call: SimRequest) -> SimResponse | None:
        return NOT_FOUND if "/Beteiligte/" in call.path else None

    with harness.hook_before(harness.advo, answer_404_for_all):
        assert harness.run_without_writes().calls.advoware == {"GET": 4}


def test_who_was_read_last_and_does_not_wait_is_asked(harness: FaultHarness) -> None:
    """Three persons deleted in one go, read last of all, must not make the 404 of a fourth look like nobody's."""
    people = harness.add_persons_in_sync(40)
    harness.run(persons=tuple(person.entity_id for person in people[:3]))
    for person in people[:3]:
        harness.advo.delete_person(person.betnr)
    harness.settings["advoware"] = {"poll_budget": 40}
    assert (harness.run_without_writes().exit_code(), harness.open_hold_rows()) == (0, [])
    harness.advo.delete_person(people[3].betnr)
    harness.add_phone(people[3], "+4951177777777")
    assert harness.run_without_writes().persons.waiting == 4


# Too many -------------------------------------------------------------------------------------------------------------


def test_an_import_that_blanks_betnr_undoes_nobodys_work(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(12)
    before, contents_before = harness.pairs_and_statuses(), side_contents(harness)
    for person in people:
        harness.espo.edit(person.entity_id, betnr=None)
    assert harness.run_without_writes(trigger="plan", write=False).exit_code() == 3
    assert_all_on_hold(harness, harness.run_without_writes())
    for sweep in (False, True):
        assert harness.run_later(sweep=sweep).exit_code() == 0
    assert (harness.pairs_and_statuses(), side_contents(harness)) == (before, contents_before)
    expected = edit_during_fault(harness)
    for person in people:
        harness.espo.edit(person.entity_id, betnr=person.betnr)
    assert_edits_arrive(harness, expected)


def test_an_import_that_shifts_betnr_by_one_line_syncs_nobody_with_a_stranger(harness: FaultHarness) -> None:
    """Everybody has the betnr of somebody else, also who has no entry at all, and who was new that day."""
    people = harness.add_persons_in_sync(12)
    empty = PersonWithRows(harness.espo.add_person("Ohne Nummern", 399_999), 399_999, ())
    harness.advo.add_person(399_999, "Ohne Nummern")
    assert harness.run().outcome == "done"
    people.append(empty)
    harness.persons.append(empty)
    new = harness.espo.add_person("Neu Hier", None, phones=["+4951188888888"])
    before, contents_before = harness.pairs_and_statuses(), side_contents(harness)
    next_persons = [*people[1:], None]
    for person, other in zip(people, next_persons, strict=True):
        harness.espo.edit(person.entity_id, betnr=other.betnr if other else 400_000)
    harness.advo.add_person(400_000, "Noch ein Fremder")
    harness.espo.edit(new, betnr=people[0].betnr)
    assert harness.run_without_writes(trigger="plan", write=False).exit_code() == 3
    assert_all_on_hold(harness, harness.run_without_writes())
    for sweep in (False, True, False, True):
        assert harness.run_later(sweep=sweep).writes.advoware == 0
    assert (harness.pairs_and_statuses()[:24], side_contents(harness)) == (before[:24], contents_before)
    expected = edit_during_fault(harness)
    harness.espo.edit(new, betnr=None)
    for person in people:
        harness.espo.edit(person.entity_id, betnr=person.betnr)
    harness.persons.pop()
    assert_edits_arrive(harness, expected)
    assert harness.espo_phones(empty) == []


def test_a_column_shifted_back_in_two_halves_syncs_nobody_with_a_stranger(harness: FaultHarness) -> None:
    """While half the firm is put right, betnr are shared; nobody is merged with anybody."""
    people = harness.add_persons_in_sync(12)
    contents_before = side_contents(harness)
    for person, other in zip(people, [*people[1:], people[0]], strict=True):
        harness.espo.edit(person.entity_id, betnr=other.betnr)
    assert_all_on_hold(harness, harness.run_without_writes())
    for person in people[:6]:
        harness.espo.edit(person.entity_id, betnr=person.betnr)
    for _ in range(3):
        assert harness.run_later(sweep=True).writes.advoware == 0
    for person in people[6:]:
        harness.espo.edit(person.entity_id, betnr=person.betnr)
    expected = edit_during_fault(harness)
    assert_edits_arrive(harness, expected)
    assert side_contents(harness)[2:] == contents_before[2:]


def test_under_the_share_a_large_firm_is_held_by_the_number(harness: FaultHarness) -> None:
    """As 1,900 of 20,000 would be, which is under a tenth: 9 of 100, where 5 may be."""
    harness.settings["guards"] = {"max_removals": 5}
    people = harness.add_persons_in_sync(100, entries=1)
    for person in people[:9]:
        harness.espo.edit(person.entity_id, betnr=None)
    report = harness.run_without_writes()
    assert (report.exit_code(), report.persons.held) == (3, 9)
    assert "9 persons were not there" in report.notices[0]


def test_a_slow_trickle_over_several_runs_is_held_too(harness: FaultHarness) -> None:
    """Two an hour: who ended within a day counts with who waits, whichever runs saw them."""
    people = harness.add_persons_in_sync(40, entries=1)
    hold_counts: list[int] = []
    for hour in range(4):
        for person in people[2 * hour : 2 * hour + 2]:
            harness.espo.edit(person.entity_id, betnr=None)
        hold_counts.append(harness.run_later().persons.held)
        harness.run_later()
        harness.clock.advance(3000)
    assert hold_counts == [0, 0, 2, 4]  # of 40 persons more than four in a day
    assert harness.query_store("select count(*) from endings where ended_at is not null") == [(4,)]


def test_what_ended_yesterday_does_not_count_today(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(50, entries=1)
    for day in range(3):
        for person in people[4 * day : 4 * day + 4]:
            harness.espo.edit(person.entity_id, betnr=None)
        assert harness.run().exit_code() == 0
        assert harness.run_later().persons.skipped == 4
        harness.clock.advance(86_400)
        harness.run(sweep=True)


def test_three_may_vanish_in_the_smallest_firm(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(5)
    for person in people[:3]:
        harness.espo.edit(person.entity_id, betnr=None)
    assert harness.run_without_writes().exit_code() == 0
    assert harness.run_later().persons.skipped == 3


# Another configuration ------------------------------------------------------------------------------------------------


def test_another_firms_configuration_on_this_store_undoes_nobodys_work(harness: FaultHarness, tmp_path: Path) -> None:
    """Its EspoCRM knows nobody of ours, and its Advoware has strangers under the same numbers."""
    harness.add_persons_in_sync(12)
    before, contents_before = harness.pairs_and_statuses(), side_contents(harness)
    other = FaultHarness(tmp_path / "other", clock=harness.clock)
    for person in [other.add_person(3) for _ in range(8)]:
        other.add_phone(person, f"+495119999{person.betnr}")
    other_contents = side_contents(other)
    own_systems = (harness.espo, harness.advo, harness.environment)
    harness.espo, harness.advo, harness.environment = other.espo, other.advo, other.environment
    harness.settings["espocrm"] = {"url": "http://andere.test"}
    for sweep in (True, False, True, True):
        report = harness.run_later(sweep=sweep)
        assert report.writes.advoware == report.writes.espocrm == 0
    assert {entity_id for _, entity_id, _ in harness.open_hold_rows()} >= {
        person.entity_id for person in harness.persons
    }
    assert side_contents(other) == other_contents
    harness.espo, harness.advo, harness.environment = own_systems
    del harness.settings["espocrm"]
    assert (harness.pairs_and_statuses()[:24], side_contents(harness)) == (before[:24], contents_before)
    expected = edit_during_fault(harness)
    harness.run(sweep=True)
    for run_id in {
        run_id for run_id, *_ in harness.open_hold_rows()
    }:  # the other firm's records, which nobody finds here
        harness.run(approve_run=run_id, operator="anna")
    assert_edits_arrive(harness, expected)
    assert side_contents(harness)[2:] == contents_before[2:]


def test_a_single_ending_is_held_while_the_configuration_is_another(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(40, entries=1)
    harness.settings["sync"] = {"region": "AT"}
    harness.espo.edit(person.entity_id, betnr=None)
    report = harness.run_without_writes()
    assert (report.exit_code(), harness.open_hold_rows()) == (3, [(report.run_id, person.entity_id, "endings")])
    assert "the configuration is not the agreed one" in report.notices[0]
    assert harness.run_later(sweep=True).exit_code() == 0
    assert harness.run(approve_run=report.run_id, operator="anna").exit_code() == 0
    assert harness.query_store("select ended_at is not null, approved from endings") == [(1, 1)]


# What becomes of those held -------------------------------------------------------------------------------------------


def test_an_approval_ends_those_still_absent_and_the_others_go_on(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(12)
    for person in people[:6]:
        harness.espo.edit(person.entity_id, betnr=None)
    holding_run = harness.run_without_writes().run_id
    harness.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    harness.espo.edit(people[1].entity_id, betnr=people[1].betnr, phones=harness.espo_phones(people[1])[:1])
    report = harness.run(approve_run=holding_run, operator="anna", reason="they left")
    assert (report.exit_code(), report.persons.skipped, harness.open_hold_rows()) == (0, 4, [])
    assert harness.query_store("select count(*) from endings where approved = 1") == [(4,)]
    assert harness.query_store("select released_by, count(*) from holds group by 1 order by 1") == [
        ("anna", 4), ("it is there again", 2),
    ]  # fmt: skip
    assert harness.run().variants == {"var2": 1}
    assert harness.run_without_writes(sweep=True).exit_code() == 0
    harness.espo.edit(people[7].entity_id, betnr=None)
    assert harness.run_without_writes().exit_code() == 0  # what was approved does not count against the next one


def test_who_is_deleted_in_advoware_is_held_no_more_once_its_record_is_there_again(harness: FaultHarness) -> None:
    """World 233: nobody could release it, for its 404 in Advoware was known and no absence of this run."""
    people = harness.add_persons_in_sync(12)
    harness.advo.delete_person(people[0].betnr)
    harness.run(sweep=True)
    harness.run_later(sweep=True)
    assert harness.person_columns(people[0], "status") == ("deleted_in_advoware",)
    with harness.hook_before(harness.espo, lambda call: NOT_FOUND if "/CBeteiligte/" in call.path else None):
        harness.run_without_writes(sweep=True)
    assert len(harness.open_hold_rows()) == 12
    assert harness.run(sweep=True).outcome == "done"
    assert harness.open_hold_rows() == []
    assert harness.query_store("select count(*) from endings where ended_at is null and returned_at is null") == [(0,)]
    assert harness.person_columns(people[0], "status") == ("deleted_in_advoware",)


def test_who_is_corrected_while_held_goes_on_with_the_next_sync(harness: FaultHarness) -> None:
    """Nobody waits for the nightly sweep: a list shows the correction, and the look that follows releases it."""
    people = harness.add_persons_in_sync(12)
    for person in people[:6]:
        harness.espo.edit(person.entity_id, betnr=None)
    harness.run_without_writes()
    assert harness.requests_about(people[0]) == ["E:GET"]
    harness.run_without_writes()
    assert harness.requests_about(people[0]) == []
    harness.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    harness.add_phone(people[0], "+4951188888888")
    assert harness.run().variants == {"var1": 1}
    assert people[0].entity_id not in [entity_id for _, entity_id, _ in harness.open_hold_rows()]


def test_a_person_who_is_held_and_asked_for_by_name_goes_on_if_it_is_there(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(12)
    for person in people[:6]:
        harness.espo.edit(person.entity_id, betnr=None)
    harness.run_without_writes()
    assert harness.run_without_writes(persons=(people[0].entity_id,)).persons.held == 6
    harness.espo.edit(people[0].entity_id, betnr=people[0].betnr)
    harness.add_phone(people[0], "+4951188888888")
    report = harness.run(persons=(people[0].entity_id,))
    assert (report.variants, report.persons.held) == ({"var1": 1}, 5)


def test_a_restored_backup_of_advoware_is_held_until_the_persons_are_there_again(harness: FaultHarness) -> None:
    """Whoever was entered since the copy is gone there, and comes back once it is entered again."""
    rows_before = copy.deepcopy(harness.advo.beteiligte)
    harness.add_persons_in_sync(12)
    before, rows_after = harness.pairs_and_statuses(), harness.advo.beteiligte
    harness.advo.beteiligte = rows_before
    harness.run_without_writes()
    assert len(harness.open_hold_rows()) == 12
    harness.run_later(sweep=True)
    assert harness.pairs_and_statuses() == before
    harness.advo.beteiligte = rows_after
    assert harness.run_without_writes().persons.held == 0
    assert harness.run_without_writes(sweep=True).exit_code() == 0


def test_a_backup_of_espocrm_put_back_is_held_where_records_are_missing(harness: FaultHarness) -> None:
    people = harness.add_persons_in_sync(12)
    for person in people[:6]:
        harness.espo.delete(person.entity_id)
    assert harness.run_without_writes(sweep=True).exit_code() == 3
    assert harness.run_later(sweep=True).exit_code() == 0
    for person in people[:6]:
        harness.espo.restore(person.entity_id)
    assert harness.run_without_writes(sweep=True).persons.held == 0
    assert harness.run_without_writes(sweep=True).exit_code() == 0
