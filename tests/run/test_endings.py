"""Whoever is not there as agreed waits a run: no work is undone by what was seen once (rules §1, Endings)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobs.commands.explain import explain_persons, format_event
from jobs.commands.held import hold_advice, list_held_persons
from jobs.commands.status import collect_status
from jobs.commands.status import status_rows as standing_lines
from jobs.sandbox.simulator import SimResponse
from tests.harness import NOT_FOUND, FaultHarness, PersonWithRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.simulator import SimRequest


def wait_rows(harness: FaultHarness) -> list[tuple[Any, ...]]:
    """Who waits, and for what."""
    condition = "ended_at is null and returned_at is null"
    return harness.query_store(f"select entity_id, kind, betnr, seen_betnr from endings where {condition} order by id")


def delete_person_in_advoware(harness: FaultHarness, person: PersonWithRows) -> Callable[[], None]:
    person_rows = harness.advo.beteiligte.persons[person.betnr]
    harness.advo.delete_person(person.betnr)
    return lambda: harness.advo.beteiligte.persons.__setitem__(person.betnr, person_rows)


def delete_person_in_espocrm(harness: FaultHarness, person: PersonWithRows) -> Callable[[], None]:
    harness.espo.delete(person.entity_id)
    return lambda: harness.espo.restore(person.entity_id)


def unlink(harness: FaultHarness, person: PersonWithRows) -> Callable[[], None]:
    harness.espo.edit(person.entity_id, betnr=None)
    return lambda: harness.espo.edit(person.entity_id, betnr=person.betnr)


def link_elsewhere(harness: FaultHarness, person: PersonWithRows) -> Callable[[], None]:
    """To somebody in Advoware whom no record knows."""
    betnr = person.betnr + 1000
    harness.advo.add_person(betnr, "Erika Fremd")
    harness.advo.add_row(betnr, f"0511 9{betnr}")
    harness.espo.edit(person.entity_id, betnr=betnr)
    return lambda: harness.espo.edit(person.entity_id, betnr=person.betnr)


def share_betnr(harness: FaultHarness, person: PersonWithRows) -> Callable[[], None]:
    """A second record with its betnr."""
    second_id = harness.espo.add_person("Max Muster zum zweiten", person.betnr, phones=[("+4951177777777", "Office")])
    return lambda: harness.espo.edit(second_id, betnr=None)


ABSENCE_MAKERS = {
    "gone_in_advoware": delete_person_in_advoware,
    "gone_in_espocrm": delete_person_in_espocrm,
    "no_betnr": unlink,
    "other_betnr": link_elsewhere,
    "shared_betnr": share_betnr,
}


# Once, and again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ABSENCE_MAKERS)
def test_who_is_not_there_waits_and_goes_on_from_its_baseline(harness: FaultHarness, kind: str) -> None:
    """A number deleted meanwhile is deleted, one replaced is replaced: nothing comes back and nothing is doubled."""
    person, *_ = harness.add_persons_in_sync(20)
    before, values = harness.pairs_and_statuses(), harness.advo_values(person)
    undo_absence = ABSENCE_MAKERS[kind](harness, person)
    for _ in range(3):  # too soon after one another to believe it
        report = harness.run_without_writes(sweep=True)
        counts = report.persons
        assert (report.outcome, counts.waiting, counts.skipped) == ("done", 1 + (kind == "shared_betnr"), 0)
    assert harness.pairs_and_statuses()[: len(before)] == before
    assert wait_rows(harness)[0][:3] == (person.entity_id, kind, person.betnr)
    assert harness.person_columns(person, "due_since is not null", "gone_at") == (1, None)
    undo_absence()
    harness.espo.edit(person.entity_id, phones=[harness.espo_phones(person)[1], ("+4951188888888", "Mobile")])
    assert harness.run(sweep=True).variants == {"var1": 1, "var2": 1}
    assert person.entity_id not in [entity_id for entity_id, *_ in wait_rows(harness)]
    assert sorted(harness.advo_values(person)) == ["+4951188888888", values[1]]
    assert harness.run_without_writes(sweep=True).outcome == "done"


@pytest.mark.parametrize("kind", ABSENCE_MAKERS)
def test_who_is_still_not_there_ten_minutes_later_ends(harness: FaultHarness, kind: str) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    items, rows, record_before = (
        harness.espo_phones(person),
        harness.advo.rows(person.betnr),
        harness.espo.record(person.entity_id),
    )
    ABSENCE_MAKERS[kind](harness, person)
    assert harness.run_without_writes(sweep=True).persons.waiting
    report = harness.run_later()
    assert (report.outcome, report.exit_code(), report.writes.advoware) == ("done", 0, 0)
    assert (report.persons.skipped, report.persons.waiting) == (1 + (kind == "shared_betnr"), 0)
    assert harness.query_store("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    assert harness.query_store("select kind, approved from endings where ended_at is not null") == [
        (kind, 0), *[(kind, 0)] * (kind == "shared_betnr"),
    ]  # fmt: skip
    if kind != "gone_in_espocrm":
        assert harness.espo_phones(person) == items
        assert harness.espo.record(person.entity_id)["kommunikationHash"] == record_before["kommunikationHash"]
    if kind != "gone_in_advoware":
        assert harness.advo.rows(person.betnr) == rows
    states = {"gone_in_advoware": "deleted_in_advoware", "shared_betnr": "conflict"}
    if kind in states:
        assert harness.sync_fields(person)["syncStatus"] == states[kind]
    if kind != "other_betnr":
        assert harness.run_later(sweep=True).writes.advoware == 0
        assert wait_rows(harness) == []


def test_a_person_linked_elsewhere_is_synced_with_that_betnr_once_the_old_link_ended(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    link_elsewhere(harness, person)
    assert harness.run_without_writes().persons.waiting == 1
    harness.run_later()
    assert harness.run().variants == {"var1": 2, "var4": 1}
    assert len(harness.espo_phones(person)) == 3
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_another_kind_or_another_betnr_begins_the_wait_anew(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    unlink(harness, person)
    harness.run_without_writes()
    link_elsewhere(harness, person)
    assert harness.run_later().persons.waiting == 1
    assert wait_rows(harness) == [(person.entity_id, "other_betnr", person.betnr, person.betnr + 1000)]
    harness.advo.add_person(person.betnr + 2000, "Noch jemand")
    harness.espo.edit(person.entity_id, betnr=person.betnr + 2000)
    assert harness.run_later().persons.waiting == 1
    assert harness.run_later().persons.skipped == 1


def test_a_person_that_was_there_in_between_waits_anew(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    undo_absence = unlink(harness, person)
    harness.run_without_writes()
    undo_absence()
    harness.run()
    unlink(harness, person)
    assert harness.run_later().persons.waiting == 1
    assert harness.person_columns(person, "synced_betnr") == (person.betnr,)


def test_without_a_time_between_them_two_runs_in_a_row_end_a_person(harness: FaultHarness) -> None:
    harness.settings["sync"] = {"endings_after_minutes": 0}
    person, *_ = harness.add_persons_in_sync(20)
    unlink(harness, person)
    harness.seconds_between = 10
    assert harness.run_without_writes().persons.waiting == 1
    assert harness.run_without_writes().persons.skipped == 1


def test_a_person_that_was_never_synced_waits_too(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(20)
    person = harness.add_person()
    harness.advo.delete_person(person.betnr)
    assert harness.run_without_writes().persons.waiting == 1
    assert harness.person_columns(person, "status") == (None,)
    assert harness.run_later().persons.skipped == 1
    assert harness.person_columns(person, "status") == ("deleted_in_advoware",)
    assert harness.run_later(sweep=True).persons.waiting == 0


def test_a_record_that_never_had_a_betnr_waits_for_nothing(harness: FaultHarness) -> None:
    harness.add_persons_in_sync(20)
    entity_id = harness.espo.add_person("Otto Ohne", None, phones=["+4951188888888"])
    for options in ({}, {"persons": (entity_id,)}, {"sweep": True}):
        assert harness.run_without_writes(**options).persons.waiting == 0
    harness.espo.edit(entity_id, firstName="Otto Karl")
    assert harness.run_without_writes().persons.waiting == 0
    assert harness.query_store("select due_since from persons where entity_id = ?", entity_id) == [(None,)]


# Who only reports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ABSENCE_MAKERS)
@pytest.mark.parametrize("kind_of_run", ["plan", "person"])
def test_plan_and_person_neither_begin_nor_end_a_wait(harness: FaultHarness, kind: str, kind_of_run: str) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    ABSENCE_MAKERS[kind](harness, person)
    options: dict[str, Any] = {"persons": (person.entity_id,)}
    options = {"trigger": "plan", "write": False, "sweep": True} if kind_of_run == "plan" else options
    before = harness.pairs_and_statuses()

    def notices_of_run() -> list[str]:
        report = harness.run_later(**options)
        assert (report.outcome, report.changes, harness.write_requests()) == ("done", [], [])
        return report.notices

    assert any(notice.startswith(person.entity_id) and "a regular run decides" in notice for notice in notices_of_run())
    assert wait_rows(harness) == []
    harness.run_without_writes(sweep=True)
    first = harness.query_store("select seen_at, run_id from endings")
    notices_of_run()
    notices_of_run()
    assert harness.query_store("select seen_at, run_id from endings") == first
    assert harness.pairs_and_statuses()[: len(before)] == before
    assert harness.run_later(sweep=True).persons.skipped


def test_a_person_asked_for_by_name_that_is_there_again_waits_no_more(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    undo_absence = delete_person_in_advoware(harness, person)
    harness.run_without_writes(sweep=True)
    undo_absence()
    harness.add_phone(person, "+4951188888888")
    assert harness.run(persons=(person.entity_id,)).variants == {"var1": 1}
    assert wait_rows(harness) == []


# What people are told -------------------------------------------------------------------------------------------------


def test_status_and_explain_tell_who_is_not_there_and_what_became_of_it(harness: FaultHarness) -> None:
    person, other, third, *_ = harness.add_persons_in_sync(40, entries=1)
    undo_absence = unlink(harness, person)
    delete_person_in_advoware(harness, other)
    harness.run_without_writes()
    absences = collect_status(harness.config, harness.clock())["not_there"]
    since = harness.environment.now()
    assert absences == [
        {"kind": "gone_in_advoware", "persons": 1, "held": 0, "since": since},
        {"kind": "no_betnr", "persons": 1, "held": 0, "since": since},
    ]
    undo_absence()
    harness.run_later()
    kinds = [
        event["kind"]
        for event in explain_persons(harness.config, person.entity_id, environment=harness.environment)[0]["events"]
    ]
    assert kinds == ["decided", "absent", "returned"]
    events = explain_persons(harness.config, other.entity_id, environment=harness.environment)[0]["events"]
    assert [event["kind"] for event in events] == ["decided", "absent", "ended"]
    assert format_event(events[1]) == "not found in Advoware: it waits, and all that was agreed stays"
    harness.settings["guards"] = {"max_removals": 0}
    unlink(harness, third)
    report = harness.run_without_writes()
    assert (report.persons.held, report.persons.waiting) == (1, 1)
    (absences,) = collect_status(harness.config, harness.clock())["not_there"]
    assert (absences["kind"], absences["persons"], absences["held"]) == ("no_betnr", 1, 1)
    now = harness.clock()
    lines = dict(standing_lines(collect_status(harness.config, now), now, harness.config.schedule.zone))
    assert lines["Not there"].endswith("(1 held)")
    assert "(endings)" in lines["Held"]
    assert hold_advice(list_held_persons(harness.config)).startswith("Put right why they are not there")


# Where a 404 may come -------------------------------------------------------------------------------------------------


def is_about(call: SimRequest, person: PersonWithRows) -> bool:
    """Whether a request is about one person."""
    return person.advo_path in call.path or person.espo_path in call.path


def answer_404_once(person: PersonWithRows, moment_of_404: str) -> Callable[[SimRequest], SimResponse | None]:
    """One 404 for somebody who is there: at the first read, at the first write, or at the first read after one."""
    counts = {"writes": 0, "told": 0}

    def answer(call: SimRequest) -> SimResponse | None:
        if not is_about(call, person) or counts["told"]:
            return None
        counts["writes"] += call.is_write
        counts["told"] += {"look": True, "write": call.is_write, "verify": counts["writes"] > 0 and not call.is_write}[
            moment_of_404
        ]
        return NOT_FOUND if counts["told"] else None

    return answer


def vanish_at_first_write(
    person: PersonWithRows,
) -> tuple[Callable[[SimRequest], None], Callable[[SimRequest], SimResponse | None]]:
    """Hooks for two systems: once the first write about the person was begun, the second one does not know it."""
    writes: list[SimRequest] = []

    def note_write(call: SimRequest) -> None:
        writes.extend([call] if call.is_write and is_about(call, person) else [])

    def answer(call: SimRequest) -> SimResponse | None:
        answer_given = NOT_FOUND if writes and is_about(call, person) else None
        note_write(call)
        return answer_given

    return note_write, answer


@pytest.mark.parametrize("system", ["advo", "espo"])
@pytest.mark.parametrize("moment_of_404", ["look", "write", "verify"])
def test_one_transient_404_of_one_person_undoes_nothing(harness: FaultHarness, system: str, moment_of_404: str) -> None:
    """The table's row 2: a number replaced and one deleted meanwhile stood twice, and again, on both sides."""
    person, *_ = harness.add_persons_in_sync(20)
    harness.espo.edit(person.entity_id, phones=[harness.espo_phones(person)[1], ("+4951188888888", "Mobile")])
    harness.advo.add_row(person.betnr, "0511 77777777")
    sim = harness.advo if system == "advo" else harness.espo
    with harness.hook_before(sim, answer_404_once(person, moment_of_404)):
        assert harness.run(sweep=True).outcome == "done"
    assert harness.person_columns(person, "status", "retry_count") == ("clean", 0)
    harness.run_later(sweep=True)
    assert {len(harness.advo_values(person)), len(harness.espo_phones(person))} <= {2, 3}
    assert "+4951188888888" in harness.advo_values(person)
    assert sorted(number[-8:] for number in harness.advo_values(person)) == sorted(
        number[-8:] for number in harness.espo_phones(person)
    )
    assert harness.query_store("select count(*) from endings where ended_at is not null") == [(0,)]
    assert harness.run_without_writes(sweep=True).outcome == "done"


@pytest.mark.parametrize("system", ["advo", "espo"])
def test_a_person_that_vanishes_while_it_is_written_waits_with_what_was_done(
    harness: FaultHarness, system: str
) -> None:
    """By a 404 at the re-read before the next write, at that write, or at the GET that is to verify it."""
    person, *_ = harness.add_persons_in_sync(20)
    harness.add_phone(person, "+4951188888888")
    harness.advo.edit_row(person.betnr, person.rows[0], value="0511 77777777")
    notes, answers = vanish_at_first_write(person)
    hooks = {"advo": (notes, answers), "espo": (answers, notes)}[system]
    with harness.hook_before(harness.espo, hooks[0]), harness.hook_before(harness.advo, hooks[1]):
        report = harness.run()
        assert (report.outcome, report.persons.waiting, report.persons.failed) == ("done", 1, 0)
        assert wait_rows(harness)[0][:2] == (
            person.entity_id,
            f"gone_in_{'advoware' if system == 'advo' else 'espocrm'}",
        )
    assert harness.run_later().outcome == "done"
    assert sorted(number[-8:] for number in harness.advo_values(person)) == sorted(
        number[-8:] for number in harness.espo_phones(person)
    )
    assert len(harness.advo_values(person)) == 3
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_404_in_the_rolling_look_begins_a_wait(harness: FaultHarness) -> None:
    person, *_ = harness.add_persons_in_sync(20)
    delete_person_in_advoware(harness, person)
    assert harness.run_without_writes().persons.waiting == 1  # nobody is due: it was polled
    assert wait_rows(harness) == [(person.entity_id, "gone_in_advoware", person.betnr, person.betnr)]
    assert harness.requests_about(person) == ["A:GET"]


def test_the_second_record_with_a_betnr_is_looked_at_twice_before_it_is_gone(harness: FaultHarness) -> None:
    """No list shows a deletion: a 404 of the double is an absence like any other."""
    person, *_ = harness.add_persons_in_sync(20)
    second_id = harness.espo.add_person("Max Muster zum zweiten", person.betnr)
    harness.run_without_writes()
    harness.run_later()
    harness.espo.delete(second_id)
    assert harness.run_without_writes().persons.waiting == 1
    assert harness.sync_fields(person)["syncStatus"] == "conflict"
    harness.run_later()
    assert harness.run().outcome == "done"
    assert harness.sync_fields(person)["syncStatus"] == "clean"


# Nobody is synced with a stranger -------------------------------------------------------------------------------------


def test_while_a_record_waits_nobody_else_is_synced_with_the_betnr_it_had(harness: FaultHarness) -> None:
    """Three records exchange their betnr in a circle, and a new one is given the first one's: the half of an import."""
    a, b, third, *_ = harness.add_persons_in_sync(40)
    new = harness.espo.add_person("Neu Hier", None, phones=["+4951188888888"])
    before = [(harness.espo_phones(person), harness.advo.rows(person.betnr)) for person in (a, b, third)]
    harness.espo.edit(a.entity_id, betnr=b.betnr)
    harness.espo.edit(b.entity_id, betnr=third.betnr)
    harness.espo.edit(third.entity_id, betnr=third.betnr + 5000)
    harness.advo.add_person(third.betnr + 5000, "Fremd")
    harness.espo.edit(new, betnr=a.betnr)
    for _ in range(3):
        assert harness.run_without_writes(sweep=True).persons.waiting == 4
    for person in (a, b, third):
        harness.espo.edit(person.entity_id, betnr=person.betnr)
    harness.espo.edit(new, betnr=None)
    assert harness.run_later(sweep=True).outcome == "done"
    assert harness.run().outcome == "done"
    assert [(harness.espo_phones(person), harness.advo.rows(person.betnr)) for person in (a, b, third)] == before
    assert wait_rows(harness) == [(new, "no_betnr", None, None)]
