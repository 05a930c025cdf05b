"""Who returns with the betnr it had is recovered by its markers: no number stands twice, none comes back by itself."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.harness import FaultHarness, PersonWithRows
from tests.run.test_endings import ABSENCE_MAKERS, delete_person_in_advoware, unlink

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimRequest, SimResponse


def end_person(
    harness: FaultHarness, kind: str = "no_betnr", entries: int = 3
) -> tuple[PersonWithRows, Callable[[], None]]:
    """A person among others whose baseline ended, and what brings it back."""
    person, *_ = harness.add_persons_in_sync(20, entries)
    undo_absence = ABSENCE_MAKERS[kind](harness, person)
    harness.run(sweep=True)
    harness.run_later(sweep=True)
    assert harness.query_store("select count(*) from baseline where entity_id = ?", person.entity_id) == [(0,)]
    return person, undo_absence


def approve_recovery(harness: FaultHarness, person: PersonWithRows) -> RunReport:
    """The first run holds what takes something away; approved, the very same is carried out, and then all is quiet."""
    report = harness.run(sweep=True)
    assert (report.exit_code(), report.writes.advoware) == (3, 0)
    assert (report.run_id, person.entity_id, "recovery") in harness.open_hold_rows()
    approved_report = harness.run(approve_run=report.run_id, operator="anna")
    assert (approved_report.exit_code(), harness.open_hold_rows()) == (0, [])
    assert harness.run_without_writes(sweep=True).outcome == "done"
    return approved_report


@pytest.mark.parametrize("kind", ABSENCE_MAKERS)
def test_who_returns_untouched_is_in_agreement_at_once(harness: FaultHarness, kind: str) -> None:
    person, undo_absence = end_person(harness, kind)
    contents_before = (
        harness.espo_phones(person),
        harness.advo.rows(person.betnr) if kind != "gone_in_advoware" else None,
    )
    undo_absence()
    for _ in range(2):
        report = harness.run_later(sweep=True)
        assert (report.exit_code(), report.writes.advoware) == (0, 0)
    assert harness.person_columns(person, "status", "synced_betnr") == ("clean", person.betnr)
    assert harness.query_store("select count(*) from baseline where entity_id = ?", person.entity_id) == [(3,)]
    assert (
        harness.espo_phones(person),
        harness.advo.rows(person.betnr) if contents_before[1] else None,
    ) == contents_before
    assert harness.run_without_writes(sweep=True).outcome == "done"
    harness.keep_first_phones(person, 2)  # and goes on from there
    assert harness.run().variants == {"var2": 1}


def test_what_people_did_in_espocrm_meanwhile_is_carried_out_once_approved(harness: FaultHarness) -> None:
    """The fingerprint still equals the rows, so the markers are what was agreed."""
    person, undo_absence = end_person(harness)
    kept_number, changed_number, _ = harness.espo_phones(person)
    harness.espo.edit(person.entity_id, phones=[(kept_number, "Office"), (changed_number[:-1] + "7", "Office")])
    undo_absence()
    approved_report = approve_recovery(harness, person)
    assert approved_report.variants == {"var1": 1, "var2": 2}
    assert len(harness.advo_values(person)) == len(harness.espo_phones(person)) == 2


def test_a_number_new_in_espocrm_meanwhile_needs_no_approval(harness: FaultHarness) -> None:
    person, undo_absence = end_person(harness)
    harness.add_phone(person, "+4951188888888")
    undo_absence()
    report = harness.run()
    assert (report.exit_code(), report.variants) == (0, {"var1": 1})
    assert len(harness.advo_values(person)) == len(harness.espo_phones(person)) == 4
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_what_people_did_in_advoware_meanwhile_loses_nothing(harness: FaultHarness) -> None:
    """The fingerprint is another: a row retyped is a change, a deletion comes back, a new number is new."""
    person, undo_absence = end_person(harness)
    first, second, _ = person.rows
    harness.advo.edit_row(person.betnr, first, value="0511 77777777")
    harness.advo.remove_row(person.betnr, second)
    harness.advo.add_row(person.betnr, "0511 88888888", "Empfang")
    undo_absence()
    approved_report = approve_recovery(harness, person)
    assert approved_report.variants == {"var1": 1, "var4": 1, "var6": 1}
    assert sorted(number[-8:] for number in harness.advo_values(person)) == sorted(
        number[-8:] for number in harness.espo_phones(person)
    )
    assert len(harness.advo_values(person)) == 4
    assert "Empfang" in harness.advo.rows(person.betnr)[2]["bemerkung"]


def test_edits_of_both_sides_meanwhile_lose_nothing(harness: FaultHarness) -> None:
    person, undo_absence = end_person(harness)
    harness.keep_first_phones(person, 2)
    harness.add_phone(person, "+4951188888888")
    harness.advo.add_row(person.betnr, "0511 77777777")
    undo_absence()
    assert harness.run().exit_code() == 0
    assert (
        len(harness.advo_values(person)) == len(harness.espo_phones(person)) == 5
    )  # what EspoCRM deleted meanwhile came back
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_restored_advoware_whose_row_ids_are_given_out_again_gives_nobody_a_strangers_number(
    harness: FaultHarness,
) -> None:
    """The ids of the rows are those of the pairs that ended, and none of them is one of these pairs."""
    before = copy.deepcopy(harness.advo.beteiligte)
    person, *_ = harness.add_persons_in_sync(20, 3)
    numbers, others = harness.espo_phones(person), copy.deepcopy(harness.advo.beteiligte)
    harness.advo.delete_person(person.betnr)
    harness.run(sweep=True)
    harness.run_later(sweep=True)
    assert harness.person_columns(person, "status") == ("deleted_in_advoware",)
    harness.advo.beteiligte = before
    harness.advo.add_person(person.betnr, "Jemand Neues")
    new_rows = [harness.advo.add_row(person.betnr, f"0511 9999999{n}", "Gegner") for n in range(3)]
    assert tuple(new_rows) == person.rows
    rows = harness.advo.rows(person.betnr)
    for betnr in others.persons.keys() - {person.betnr}:
        harness.advo.beteiligte.persons[betnr] = others.persons[betnr]
    report = harness.run(sweep=True)
    assert report.variants.keys() <= {"var1", "var4", "link"}
    assert set(harness.espo_phones(person)) >= set(numbers)
    values = {row["id"]: row["tlf"] for row in harness.advo.rows(person.betnr)}
    assert {row["id"]: row["tlf"] for row in rows}.items() <= values.items()
    assert len(values) == 6
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_after_another_betnr_in_between_the_first_one_is_recovered_and_the_other_was_a_first_sync(
    harness: FaultHarness,
) -> None:
    person, *_ = harness.add_persons_in_sync(20, 3)
    other = person.betnr + 1000
    harness.advo.add_person(other, "Erika Fremd")
    harness.advo.add_row(other, "0511 99999999")
    harness.espo.edit(person.entity_id, betnr=other)
    harness.run()
    harness.run_later()
    assert harness.run().variants == {"var1": 3, "var4": 1}
    assert harness.open_hold_rows() == []
    harness.espo.edit(person.entity_id, betnr=person.betnr)
    harness.run()
    harness.run_later()
    harness.run()
    assert len(harness.espo_phones(person)) == len(harness.advo_values(person)) == 4
    assert harness.person_columns(person, "synced_betnr") == (person.betnr,)
    assert harness.run_without_writes(sweep=True).outcome == "done"


@pytest.mark.parametrize("make_absent", [unlink, delete_person_in_advoware])
def test_what_a_run_left_unfinished_when_a_person_ended_is_no_part_of_its_recovery(
    harness: FaultHarness, make_absent: Callable[[FaultHarness, PersonWithRows], Callable[[], None]]
) -> None:
    """A write that was never confirmed, of a link that ended: judged by the markers, not by the journal."""
    person, *_ = harness.add_persons_in_sync(20, 3)
    harness.add_phone(person, "+4951188888888")

    class ProcessDeath(BaseException):
        pass

    def die(call: SimRequest, _answer: SimResponse) -> None:
        if call.method == "POST" and person.advo_path in call.path:
            raise ProcessDeath

    with harness.hook_after(harness.advo, die), pytest.raises(ProcessDeath):
        harness.run()
    undo_absence = make_absent(harness, person)
    harness.run_later(sweep=True)
    harness.run_later(sweep=True)
    assert harness.query_store(
        "select count(*) from changes where settled = 0 and entity_id = ?", person.entity_id
    ) == [(0,)]
    undo_absence()
    assert harness.run(sweep=True).exit_code() == 0
    assert len(harness.advo_values(person)) == len(harness.espo_phones(person)) == 4
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_text_that_advoware_cut_before_a_person_ended_is_whole_again_once_it_returns(harness: FaultHarness) -> None:
    """The run died between the cut and its mending; nothing but its journal knows the text."""
    harness.advo.behaviour.max_bemerkung = 40
    person, *_ = harness.add_persons_in_sync(20, 3)
    text = "nur vormittags, Gegner, nicht anrufen"
    row = harness.advo.add_row(person.betnr, "0511 88888888", text)

    class ProcessDeath(BaseException):
        pass

    def die(call: SimRequest, _answer: SimResponse) -> None:
        if call.method == "PUT" and person.advo_path in call.path:
            raise ProcessDeath

    with harness.hook_after(harness.advo, die), pytest.raises(ProcessDeath):
        harness.run()
    remarks = {row_json["id"]: row_json["bemerkung"] for row_json in harness.advo.rows(person.betnr)}
    assert text not in remarks[row]
    undo_absence = unlink(harness, person)
    harness.run_later(sweep=True)
    harness.run_later(sweep=True)
    undo_absence()
    for _ in range(3):
        assert harness.run(sweep=True).exit_code() == 0
    remarks = {row_json["id"]: row_json["bemerkung"] for row_json in harness.advo.rows(person.betnr)}
    assert remarks[row].endswith(text)
    assert harness.run_without_writes(sweep=True).outcome == "done"
