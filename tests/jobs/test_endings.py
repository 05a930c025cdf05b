"""Whoever is not there as agreed waits a run: no work is undone by what was seen once (rules.md §1, Endings)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobs.explain import explained, told_of
from jobs.holds import waiting, what_to_do
from jobs.sandbox.simulator import Answer
from jobs.standing import how_it_stands
from jobs.standing import lines as standing_lines
from tests.desk import Desk, Person

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def waits(desk: Desk) -> list[tuple[Any, ...]]:
    """Who waits, and for what."""
    asked = "ended_at is null and returned_at is null"
    return desk.ask(f"select entity_id, kind, betnr, seen_betnr from endings where {asked} order by id")


def delete_in_advoware(desk: Desk, person: Person) -> Callable[[], None]:
    gone = desk.advo.beteiligte.persons[person.betnr]
    desk.advo.delete_person(person.betnr)
    return lambda: desk.advo.beteiligte.persons.__setitem__(person.betnr, gone)


def delete_in_espocrm(desk: Desk, person: Person) -> Callable[[], None]:
    desk.espo.delete(person.entity_id)
    return lambda: desk.espo.restore(person.entity_id)


def unlink(desk: Desk, person: Person) -> Callable[[], None]:
    desk.espo.edit(person.entity_id, betnr=None)
    return lambda: desk.espo.edit(person.entity_id, betnr=person.betnr)


def link_elsewhere(desk: Desk, person: Person) -> Callable[[], None]:
    """To somebody in Advoware whom no record knows."""
    betnr = person.betnr + 1000
    desk.advo.add_person(betnr, "Erika Fremd")
    desk.advo.add_row(betnr, f"0511 9{betnr}")
    desk.espo.edit(person.entity_id, betnr=betnr)
    return lambda: desk.espo.edit(person.entity_id, betnr=person.betnr)


def share(desk: Desk, person: Person) -> Callable[[], None]:
    """A second record with its betnr."""
    twin = desk.espo.add_person("Max Muster zum zweiten", person.betnr, phones=[("+4951177777777", "Office")])
    return lambda: desk.espo.edit(twin, betnr=None)


KINDS = {
    "gone_in_advoware": delete_in_advoware,
    "gone_in_espocrm": delete_in_espocrm,
    "no_betnr": unlink,
    "other_betnr": link_elsewhere,
    "shared_betnr": share,
}


# Once, and again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_not_there_waits_and_goes_on_from_its_baseline(desk: Desk, kind: str) -> None:
    """A number deleted meanwhile is deleted, one replaced is replaced: nothing comes back and nothing is doubled."""
    person, *_ = desk.crowd(20)
    before, values = agreed(desk), desk.values(person)
    comes_back = KINDS[kind](desk, person)
    for _ in range(3):  # too soon after one another to believe it
        report = desk.quiet(sweep=True)
        counts = report.persons
        assert (report.outcome, counts.waiting, counts.skipped) == ("done", 1 + (kind == "shared_betnr"), 0)
    assert agreed(desk)[: len(before)] == before
    assert waits(desk)[0][:3] == (person.entity_id, kind, person.betnr)
    assert desk.kept(person, "due_since is not null", "gone_at") == (1, None)
    comes_back()
    desk.espo.edit(person.entity_id, phones=[desk.phones(person)[1], ("+4951188888888", "Mobile")])
    assert desk.run(sweep=True).variants == {"var1": 1, "var2": 1}
    assert person.entity_id not in [entity_id for entity_id, *_ in waits(desk)]
    assert sorted(desk.values(person)) == ["+4951188888888", values[1]]
    assert desk.quiet(sweep=True).outcome == "done"


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_still_not_there_ten_minutes_later_ends(desk: Desk, kind: str) -> None:
    person, *_ = desk.crowd(20)
    items, rows, written = desk.phones(person), desk.advo.rows(person.betnr), desk.espo.record(person.entity_id)
    KINDS[kind](desk, person)
    assert desk.quiet(sweep=True).persons.waiting
    report = desk.later()
    assert (report.outcome, report.exit_code(), report.writes.advoware) == ("done", 0, 0)
    assert (report.persons.skipped, report.persons.waiting) == (1 + (kind == "shared_betnr"), 0)
    assert desk.ask("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    assert desk.ask("select kind, approved from endings where ended_at is not null") == [
        (kind, 0), *[(kind, 0)] * (kind == "shared_betnr"),
    ]  # fmt: skip
    if kind != "gone_in_espocrm":
        assert desk.phones(person) == items
        assert desk.espo.record(person.entity_id)["kommunikationHash"] == written["kommunikationHash"]
    if kind != "gone_in_advoware":
        assert desk.advo.rows(person.betnr) == rows
    states = {"gone_in_advoware": "deleted_in_advoware", "shared_betnr": "conflict"}
    if kind in states:
        assert desk.shown(person)["syncStatus"] == states[kind]
    if kind != "other_betnr":
        assert desk.later(sweep=True).writes.advoware == 0
        assert waits(desk) == []


def test_a_person_linked_elsewhere_is_synced_with_that_betnr_once_the_old_link_ended(desk: Desk) -> None:
    person, *_ = desk.crowd(20)
    link_elsewhere(desk, person)
    assert desk.quiet().persons.waiting == 1
    desk.later()
    assert desk.run().variants == {"var1": 2, "var4": 1}
    assert len(desk.phones(person)) == 3
    assert desk.quiet(sweep=True).outcome == "done"


def test_another_kind_or_another_betnr_begins_the_wait_anew(desk: Desk) -> None:
    person, *_ = desk.crowd(20)
    unlink(desk, person)
    desk.quiet()
    link_elsewhere(desk, person)
    assert desk.later().persons.waiting == 1
    assert waits(desk) == [(person.entity_id, "other_betnr", person.betnr, person.betnr + 1000)]
    desk.advo.add_person(person.betnr + 2000, "Noch jemand")
    desk.espo.edit(person.entity_id, betnr=person.betnr + 2000)
    assert desk.later().persons.waiting == 1
    assert desk.later().persons.skipped == 1


def test_a_person_that_was_there_in_between_waits_anew(desk: Desk) -> None:
    person, *_ = desk.crowd(20)
    comes_back = unlink(desk, person)
    desk.quiet()
    comes_back()
    desk.run()
    unlink(desk, person)
    assert desk.later().persons.waiting == 1
    assert desk.kept(person, "synced_betnr") == (person.betnr,)


def test_without_a_time_between_them_two_runs_in_a_row_end_a_person(desk: Desk) -> None:
    desk.settings["sync"] = {"endings_after_minutes": 0}
    person, *_ = desk.crowd(20)
    unlink(desk, person)
    desk.seconds_between = 10
    assert desk.quiet().persons.waiting == 1
    assert desk.quiet().persons.skipped == 1


def test_a_person_that_was_never_synced_waits_too(desk: Desk) -> None:
    desk.crowd(20)
    person = desk.hire()
    desk.advo.delete_person(person.betnr)
    assert desk.quiet().persons.waiting == 1
    assert desk.kept(person, "status") == (None,)
    assert desk.later().persons.skipped == 1
    assert desk.kept(person, "status") == ("deleted_in_advoware",)
    assert desk.later(sweep=True).persons.waiting == 0


def test_a_record_that_never_had_a_betnr_waits_for_nothing(desk: Desk) -> None:
    desk.crowd(20)
    entity_id = desk.espo.add_person("Otto Ohne", None, phones=["+4951188888888"])
    for options in ({}, {"persons": (entity_id,)}, {"sweep": True}):
        assert desk.quiet(**options).persons.waiting == 0
    desk.espo.edit(entity_id, firstName="Otto Karl")
    assert desk.quiet().persons.waiting == 0
    assert desk.ask("select due_since from persons where entity_id = ?", entity_id) == [(None,)]


# Who only reports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", ["plan", "person"])
def test_plan_and_person_neither_begin_nor_end_a_wait(desk: Desk, kind: str, asked: str) -> None:
    person, *_ = desk.crowd(20)
    KINDS[kind](desk, person)
    options: dict[str, Any] = {"persons": (person.entity_id,)}
    options = {"trigger": "plan", "write": False, "sweep": True} if asked == "plan" else options
    before = agreed(desk)

    def looks() -> list[str]:
        report = desk.later(**options)
        assert (report.outcome, report.changes, desk.written()) == ("done", [], [])
        return report.notices

    assert any(one.startswith(person.entity_id) and "a regular run decides" in one for one in looks())
    assert waits(desk) == []
    desk.quiet(sweep=True)
    first = desk.ask("select seen_at, run_id from endings")
    looks()
    looks()
    assert desk.ask("select seen_at, run_id from endings") == first
    assert agreed(desk)[: len(before)] == before
    assert desk.later(sweep=True).persons.skipped


def test_a_person_asked_for_by_name_that_is_there_again_waits_no_more(desk: Desk) -> None:
    person, *_ = desk.crowd(20)
    comes_back = delete_in_advoware(desk, person)
    desk.quiet(sweep=True)
    comes_back()
    desk.add_phone(person, "+4951188888888")
    assert desk.run(persons=(person.entity_id,)).variants == {"var1": 1}
    assert waits(desk) == []


# What people are told -------------------------------------------------------------------------------------------------


def test_status_and_explain_tell_who_is_not_there_and_what_became_of_it(desk: Desk) -> None:
    person, other, third, *_ = desk.crowd(40, entries=1)
    comes_back = unlink(desk, person)
    delete_in_advoware(desk, other)
    desk.quiet()
    found = how_it_stands(desk.config, desk.clock())["not_there"]
    since = desk.world.now()
    assert found == [
        {"kind": "gone_in_advoware", "persons": 1, "held": 0, "since": since},
        {"kind": "no_betnr", "persons": 1, "held": 0, "since": since},
    ]
    comes_back()
    desk.later()
    told = [one["kind"] for one in explained(desk.config, person.entity_id, world=desk.world)[0]["events"]]
    assert told == ["decided", "absent", "returned"]
    events = explained(desk.config, other.entity_id, world=desk.world)[0]["events"]
    assert [one["kind"] for one in events] == ["decided", "absent", "ended"]
    assert told_of(events[1]) == "not found in Advoware: it waits, and all that was agreed stays"
    desk.settings["guards"] = {"max_removals": 0}
    unlink(desk, third)
    report = desk.quiet()
    assert (report.persons.held, report.persons.waiting) == (1, 1)
    (found,) = how_it_stands(desk.config, desk.clock())["not_there"]
    assert (found["kind"], found["persons"], found["held"]) == ("no_betnr", 1, 1)
    lines = dict(standing_lines(how_it_stands(desk.config, desk.clock()), desk.clock()))
    assert lines["Not there"].endswith("(1 held)")
    assert "(endings)" in lines["Held"]
    assert what_to_do(waiting(desk.config)).startswith("Put right why they are not there")


# Where a 404 may come -------------------------------------------------------------------------------------------------


def is_about(call: Call, person: Person) -> bool:
    """Whether a request is about one person."""
    return person.in_advo in call.path or person.in_espo in call.path


def not_there_once(person: Person, at: str) -> Callable[[Call], Answer | None]:
    """One 404 for somebody who is there: at the first read, at the first write, or at the first read after one."""
    seen = {"writes": 0, "told": 0}

    def answers(call: Call) -> Answer | None:
        if not is_about(call, person) or seen["told"]:
            return None
        seen["writes"] += call.is_write
        seen["told"] += {"look": True, "write": call.is_write, "verify": seen["writes"] > 0 and not call.is_write}[at]
        return NOT_FOUND if seen["told"] else None

    return answers


def vanishing(person: Person) -> tuple[Callable[[Call], None], Callable[[Call], Answer | None]]:
    """Hooks for two systems: once the first write about the person was begun, the second one does not know it."""
    begun: list[Call] = []

    def notes(call: Call) -> None:
        begun.extend([call] if call.is_write and is_about(call, person) else [])

    def answers(call: Call) -> Answer | None:
        told = NOT_FOUND if begun and is_about(call, person) else None
        notes(call)
        return told

    return notes, answers


@pytest.mark.parametrize("system", ["advo", "espo"])
@pytest.mark.parametrize("at", ["look", "write", "verify"])
def test_one_transient_404_of_one_person_undoes_nothing(desk: Desk, system: str, at: str) -> None:
    """The table's row 2: a number replaced and one deleted meanwhile stood twice, and again, on both sides."""
    person, *_ = desk.crowd(20)
    desk.espo.edit(person.entity_id, phones=[desk.phones(person)[1], ("+4951188888888", "Mobile")])
    desk.advo.add_row(person.betnr, "0511 77777777")
    sim = desk.advo if system == "advo" else desk.espo
    with desk.broken(sim, not_there_once(person, at)):
        assert desk.run(sweep=True).outcome == "done"
    assert desk.kept(person, "status", "retry_count") == ("clean", 0)
    desk.later(sweep=True)
    assert {len(desk.values(person)), len(desk.phones(person))} <= {2, 3}
    assert "+4951188888888" in desk.values(person)
    assert sorted(one[-8:] for one in desk.values(person)) == sorted(one[-8:] for one in desk.phones(person))
    assert desk.ask("select count(*) from endings where ended_at is not null") == [(0,)]
    assert desk.quiet(sweep=True).outcome == "done"


@pytest.mark.parametrize("system", ["advo", "espo"])
def test_a_person_that_vanishes_while_it_is_written_waits_with_what_was_done(desk: Desk, system: str) -> None:
    """By a 404 at the re-read before the next write, at that write, or at the GET that is to verify it."""
    person, *_ = desk.crowd(20)
    desk.add_phone(person, "+4951188888888")
    desk.advo.edit_row(person.betnr, person.rows[0], value="0511 77777777")
    notes, answers = vanishing(person)
    hooks = {"advo": (notes, answers), "espo": (answers, notes)}[system]
    with desk.broken(desk.espo, hooks[0]), desk.broken(desk.advo, hooks[1]):
        report = desk.run()
        assert (report.outcome, report.persons.waiting, report.persons.failed) == ("done", 1, 0)
        assert waits(desk)[0][:2] == (person.entity_id, f"gone_in_{'advoware' if system == 'advo' else 'espocrm'}")
    assert desk.later().outcome == "done"
    assert sorted(one[-8:] for one in desk.values(person)) == sorted(one[-8:] for one in desk.phones(person))
    assert len(desk.values(person)) == 3
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_404_in_the_rolling_look_begins_a_wait(desk: Desk) -> None:
    person, *_ = desk.crowd(20)
    delete_in_advoware(desk, person)
    assert desk.quiet().persons.waiting == 1  # nobody is due: it was polled
    assert waits(desk) == [(person.entity_id, "gone_in_advoware", person.betnr, person.betnr)]
    assert desk.asked_about(person) == ["A:GET"]


def test_the_second_record_with_a_betnr_is_looked_at_twice_before_it_is_gone(desk: Desk) -> None:
    """No list shows a deletion: a 404 of the double is an absence like any other."""
    person, *_ = desk.crowd(20)
    twin = desk.espo.add_person("Max Muster zum zweiten", person.betnr)
    desk.quiet()
    desk.later()
    desk.espo.delete(twin)
    assert desk.quiet().persons.waiting == 1
    assert desk.shown(person)["syncStatus"] == "conflict"
    desk.later()
    assert desk.run().outcome == "done"
    assert desk.shown(person)["syncStatus"] == "clean"


# Nobody is synced with a stranger -------------------------------------------------------------------------------------


def test_while_a_record_waits_nobody_else_is_synced_with_the_betnr_it_had(desk: Desk) -> None:
    """Three records exchange their betnr in a circle, and a new one is given the first one's: the half of an import."""
    a, b, c, *_ = desk.crowd(40)
    new = desk.espo.add_person("Neu Hier", None, phones=["+4951188888888"])
    stood = [(desk.phones(one), desk.advo.rows(one.betnr)) for one in (a, b, c)]
    desk.espo.edit(a.entity_id, betnr=b.betnr)
    desk.espo.edit(b.entity_id, betnr=c.betnr)
    desk.espo.edit(c.entity_id, betnr=c.betnr + 5000)
    desk.advo.add_person(c.betnr + 5000, "Fremd")
    desk.espo.edit(new, betnr=a.betnr)
    for _ in range(3):
        assert desk.quiet(sweep=True).persons.waiting == 4
    for person in (a, b, c):
        desk.espo.edit(person.entity_id, betnr=person.betnr)
    desk.espo.edit(new, betnr=None)
    assert desk.later(sweep=True).outcome == "done"
    assert desk.run().outcome == "done"
    assert [(desk.phones(one), desk.advo.rows(one.betnr)) for one in (a, b, c)] == stood
    assert waits(desk) == [(new, "no_betnr", None, None)]
