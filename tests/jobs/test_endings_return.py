"""Who returns with the betnr it had is recovered by its markers: no number stands twice, none comes back by itself."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.desk import Desk, Person
from tests.jobs.test_endings import KINDS, delete_in_advoware, unlink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Answer, Call


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def ended(desk: Desk, kind: str = "no_betnr", entries: int = 3) -> tuple[Person, Callable[[], None]]:
    """A person among others whose baseline ended, and what brings it back."""
    person, *_ = desk.crowd(20, entries)
    comes_back = KINDS[kind](desk, person)
    desk.run(sweep=True)
    desk.later(sweep=True)
    assert desk.ask("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    return person, comes_back


def carried_out(desk: Desk, person: Person) -> RunReport:
    """The first run holds what takes something away; approved, the very same is carried out, and then all is quiet."""
    report = desk.run(sweep=True)
    assert (report.exit_code(), report.writes.advoware) == (3, 0)
    assert (report.run_id, person.entity_id, "recovery") in desk.held()
    taken = desk.run(approve_run=report.run_id, operator="anna")
    assert (taken.exit_code(), desk.held()) == (0, [])
    assert desk.quiet(sweep=True).outcome == "done"
    return taken


@pytest.mark.parametrize("kind", KINDS)
def test_who_returns_untouched_is_in_agreement_at_once(desk: Desk, kind: str) -> None:
    person, comes_back = ended(desk, kind)
    stood = desk.phones(person), desk.advo.rows(person.betnr) if kind != "gone_in_advoware" else None
    comes_back()
    for _ in range(2):
        report = desk.later(sweep=True)
        assert (report.exit_code(), report.writes.advoware) == (0, 0)
    assert desk.kept(person, "status", "synced_betnr") == ("clean", person.betnr)
    assert desk.ask("select count(*) from baseline where entity_id = ?", person.entity_id) == [(3,)]
    assert (desk.phones(person), desk.advo.rows(person.betnr) if stood[1] else None) == stood
    assert desk.quiet(sweep=True).outcome == "done"
    desk.keep_phones(person, 2)  # and goes on from there
    assert desk.run().variants == {"var2": 1}


def test_what_people_did_in_espocrm_meanwhile_is_carried_out_once_approved(desk: Desk) -> None:
    """The fingerprint still equals the rows, so the markers are what was agreed."""
    person, comes_back = ended(desk)
    kept, replaced, _ = desk.phones(person)
    desk.espo.edit(person.entity_id, phones=[(kept, "Office"), (replaced[:-1] + "7", "Office")])
    comes_back()
    taken = carried_out(desk, person)
    assert taken.variants == {"var1": 1, "var2": 2}
    assert len(desk.values(person)) == len(desk.phones(person)) == 2


def test_a_number_new_in_espocrm_meanwhile_needs_no_approval(desk: Desk) -> None:
    person, comes_back = ended(desk)
    desk.add_phone(person, "+4951188888888")
    comes_back()
    report = desk.run()
    assert (report.exit_code(), report.variants) == (0, {"var1": 1})
    assert len(desk.values(person)) == len(desk.phones(person)) == 4
    assert desk.quiet(sweep=True).outcome == "done"


def test_what_people_did_in_advoware_meanwhile_loses_nothing(desk: Desk) -> None:
    """The fingerprint is another: a row retyped is a change, a deletion comes back, a new number is new."""
    person, comes_back = ended(desk)
    first, second, _ = person.rows
    desk.advo.edit_row(person.betnr, first, value="0511 77777777")
    desk.advo.remove_row(person.betnr, second)
    desk.advo.add_row(person.betnr, "0511 88888888", "Empfang")
    comes_back()
    taken = carried_out(desk, person)
    assert taken.variants == {"var1": 1, "var4": 1, "var6": 1}
    assert sorted(one[-8:] for one in desk.values(person)) == sorted(one[-8:] for one in desk.phones(person))
    assert len(desk.values(person)) == 4
    assert "Empfang" in desk.advo.rows(person.betnr)[2]["bemerkung"]


def test_edits_of_both_sides_meanwhile_lose_nothing(desk: Desk) -> None:
    person, comes_back = ended(desk)
    desk.keep_phones(person, 2)
    desk.add_phone(person, "+4951188888888")
    desk.advo.add_row(person.betnr, "0511 77777777")
    comes_back()
    assert desk.run().exit_code() == 0
    assert len(desk.values(person)) == len(desk.phones(person)) == 5  # what EspoCRM deleted meanwhile came back
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_restored_advoware_whose_row_ids_are_given_out_again_gives_nobody_a_strangers_number(desk: Desk) -> None:
    """The ids of the rows are those of the pairs that ended, and none of them is one of these pairs."""
    before = copy.deepcopy(desk.advo.beteiligte)
    person, *_ = desk.crowd(20, 3)
    numbers, others = desk.phones(person), copy.deepcopy(desk.advo.beteiligte)
    desk.advo.delete_person(person.betnr)
    desk.run(sweep=True)
    desk.later(sweep=True)
    assert desk.kept(person, "status") == ("deleted_in_advoware",)
    desk.advo.beteiligte = before
    desk.advo.add_person(person.betnr, "Jemand Neues")
    again = [desk.advo.add_row(person.betnr, f"0511 9999999{n}", "Gegner") for n in range(3)]
    assert tuple(again) == person.rows
    rows = desk.advo.rows(person.betnr)
    for betnr in others.persons.keys() - {person.betnr}:
        desk.advo.beteiligte.persons[betnr] = others.persons[betnr]
    report = desk.run(sweep=True)
    assert report.variants.keys() <= {"var1", "var4", "link"}
    assert set(desk.phones(person)) >= set(numbers)
    values = {row["id"]: row["tlf"] for row in desk.advo.rows(person.betnr)}
    assert {row["id"]: row["tlf"] for row in rows}.items() <= values.items()
    assert len(values) == 6
    assert desk.quiet(sweep=True).outcome == "done"


def test_after_another_betnr_in_between_the_first_one_is_recovered_and_the_other_was_a_first_sync(desk: Desk) -> None:
    person, *_ = desk.crowd(20, 3)
    other = person.betnr + 1000
    desk.advo.add_person(other, "Erika Fremd")
    desk.advo.add_row(other, "0511 99999999")
    desk.espo.edit(person.entity_id, betnr=other)
    desk.run()
    desk.later()
    assert desk.run().variants == {"var1": 3, "var4": 1}
    assert desk.held() == []
    desk.espo.edit(person.entity_id, betnr=person.betnr)
    desk.run()
    desk.later()
    desk.run()
    assert len(desk.phones(person)) == len(desk.values(person)) == 4
    assert desk.kept(person, "synced_betnr") == (person.betnr,)
    assert desk.quiet(sweep=True).outcome == "done"


@pytest.mark.parametrize("leaves", [unlink, delete_in_advoware])
def test_what_a_run_left_unfinished_when_a_person_ended_is_no_part_of_its_recovery(
    desk: Desk, leaves: Callable[[Desk, Person], Callable[[], None]]
) -> None:
    """A write that was never confirmed, of a link that ended: judged by the markers, not by the journal."""
    person, *_ = desk.crowd(20, 3)
    desk.add_phone(person, "+4951188888888")

    class Died(BaseException):
        pass

    def dies(call: Call, _answer: Answer) -> None:
        if call.method == "POST" and person.in_advo in call.path:
            raise Died

    with desk.spoiled(desk.advo, dies), pytest.raises(Died):
        desk.run()
    comes_back = leaves(desk, person)
    desk.later(sweep=True)
    desk.later(sweep=True)
    assert desk.ask("select count(*) from changes where settled = 0 and entity_id = ?", person.entity_id) == [(0,)]
    comes_back()
    assert desk.run(sweep=True).exit_code() == 0
    assert len(desk.values(person)) == len(desk.phones(person)) == 4
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_text_that_advoware_cut_before_a_person_ended_is_whole_again_once_it_returns(desk: Desk) -> None:
    """The run died between the cut and its mending; nothing but its journal knows the text."""
    desk.advo.switches.max_bemerkung = 40
    person, *_ = desk.crowd(20, 3)
    text = "nur vormittags, Gegner, nicht anrufen"
    row = desk.advo.add_row(person.betnr, "0511 88888888", text)

    class Died(BaseException):
        pass

    def dies(call: Call, _answer: Answer) -> None:
        if call.method == "PUT" and person.in_advo in call.path:
            raise Died

    with desk.spoiled(desk.advo, dies), pytest.raises(Died):
        desk.run()
    shown = {one["id"]: one["bemerkung"] for one in desk.advo.rows(person.betnr)}
    assert text not in shown[row]
    comes_back = unlink(desk, person)
    desk.later(sweep=True)
    desk.later(sweep=True)
    comes_back()
    for _ in range(3):
        assert desk.run(sweep=True).exit_code() == 0
    shown = {one["id"]: one["bemerkung"] for one in desk.advo.rows(person.betnr)}
    assert shown[row].endswith(text)
    assert desk.quiet(sweep=True).outcome == "done"
