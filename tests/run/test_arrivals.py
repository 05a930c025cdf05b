"""The promise measured: when people edited, and when that was read back on the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from etl.errors import Outage
from etl.times import add_seconds, format_utc
from tests.harness import FaultHarness

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest


NEW, NEWER = "+49511777001", "+49511777002"


@pytest.fixture
def harness(tmp_path: Path) -> FaultHarness:
    return FaultHarness(tmp_path)


def arrivals(harness: FaultHarness) -> list[tuple[str, str, str, str]]:
    """Whose edit in which system, and its two times."""
    return harness.query_store(
        "select entity_id, edited_in, edited_at, arrived_at from arrivals where arrived_at is not null order by id"
    )


def now(harness: FaultHarness) -> str:
    return format_utc(harness.clock())


def test_an_edit_in_espocrm_counts_from_its_save_to_the_read_back(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    assert arrivals(harness) == []  # a first sync brings nobody's edit
    edited_at = now(harness)
    harness.add_phone(person, NEW)
    harness.clock.advance(300)
    harness.run()
    assert arrivals(harness) == [(person.entity_id, "espo", edited_at, add_seconds(edited_at, 360))]
    harness.run()
    assert len(arrivals(harness)) == 1


def test_an_edit_in_advoware_counts_from_the_last_look_that_did_not_show_it(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    last_look = now(harness)
    harness.clock.advance(300)
    harness.advo.add_row(person.betnr, "0511 7770033")
    harness.clock.advance(300)
    harness.run()
    assert arrivals(harness) == [(person.entity_id, "advo", last_look, add_seconds(last_look, 660))]


def test_both_sides_edited_are_two_edits(harness: FaultHarness) -> None:
    harness.configure(sync={"conflict_scope": "entry"})
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    look = now(harness)
    harness.clock.advance(10)
    harness.add_phone(person, NEW)
    harness.advo.add_row(person.betnr, "0511 7770033")
    harness.run()
    assert [row[1:] for row in arrivals(harness)] == [
        ("espo", add_seconds(look, 10), add_seconds(look, 70)),
        ("advo", look, add_seconds(look, 70)),
    ]


def test_a_value_typed_on_both_sides_did_not_have_to_arrive(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    harness.add_phone(person, NEW)
    harness.advo.add_row(person.betnr, "0511 777001")
    harness.advo.add_row(person.betnr, "0511 7770033")
    harness.run()
    assert len(harness.espo_phones(person)) == 4
    assert [row[1] for row in arrivals(harness)] == ["advo"]


def test_a_value_that_advoware_cuts_never_arrived(harness: FaultHarness) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    harness.advo.behaviour.max_tlf = 9
    harness.add_phone(person, NEW)
    harness.run()
    harness.run()
    assert harness.query_store("select count(*) from changes where action = 'put_back'") == [(1,)]
    assert harness.query_store("select * from arrivals") == []


def test_an_outage_and_later_looks_do_not_shorten_what_is_measured(harness: FaultHarness) -> None:
    person, other = harness.add_persons_in_sync(2)
    harness.run()
    look = now(harness)
    harness.add_phone(person, NEW)
    harness.advo.add_row(other.betnr, "0511 7770033")

    def no_write(request: SimRequest) -> None:
        if request.method in {"POST", "PUT"} and ("/Kommunikationen" in request.path or "/CBeteiligte" in request.path):
            raise Outage("the test", "no writes")

    with harness.hook_before(harness.espo, no_write), harness.hook_before(harness.advo, no_write):
        assert harness.run().outcome == "outage"
        harness.clock.advance(3600)
        harness.add_phone(person, NEWER)
        harness.advo.add_row(other.betnr, "0511 7770044")
        assert harness.run().outcome == "outage"
    assert arrivals(harness) == []
    harness.clock.advance(86_400)
    harness.run()
    assert sorted(row[1:3] for row in arrivals(harness)) == [("advo", look), ("espo", look)]
    assert {row[3] for row in arrivals(harness)} == {now(harness)}


def test_an_undo_brings_nobodys_edit_and_one_made_just_before_it_is_measured_by_the_run_after_it(
    harness: FaultHarness,
) -> None:
    person, _ = harness.add_persons_in_sync(2)
    harness.run()
    harness.add_phone(person, NEW)
    run_id = harness.run().run_id
    assert len(arrivals(harness)) == 1
    edited_at = now(harness)
    harness.add_phone(person, NEWER)
    assert harness.run(undo_run=run_id).persons.changed == 1
    assert len(arrivals(harness)) == 1
    harness.run()
    assert NEWER in harness.advo_values(person)
    assert [row[1:3] for row in arrivals(harness)[1:]] == [("espo", edited_at)]


def test_what_waits_for_people_is_not_measured(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path, guards={"max_removals": 0})
    harness.espo.store.entity.lockable = True
    held, locked = harness.add_persons_in_sync(2, entries=6)
    harness.run()
    harness.add_phone(locked, NEW)
    harness.espo.lock(locked.entity_id)
    harness.keep_first_phones(held, 2)
    report = harness.run(sweep=True)  # a regular run does not read a record that its list says is locked
    assert (report.outcome, report.persons.locked) == ("held", 1)
    assert harness.query_store("select count(*) from arrivals") == [(0,)]
    harness.espo.lock(locked.entity_id, is_locked=False)
    assert harness.run(approve_run=report.run_id).persons.changed == 1
    harness.run()
    assert NEW in harness.advo_values(locked)
    assert arrivals(harness) == []
