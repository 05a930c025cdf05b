"""`sync --plan`: of a plan that somebody reviewed, exactly the steps that are still the same are carried out."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from etl.errors import ConfigError, Outage
from etl.records import Direction
from jobs.commands.explain import event_lines, explain_persons
from jobs.run.plan_file import read_reviewed_plan, writer_for
from jobs.run.report import PersonLeftAsIs, lines_of_reviewed_plan
from tests.harness import FaultHarness

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimRequest, SimResponse

FIRST, SECOND, THIRD = "+49511777001", "+49511777002", "+49511777003"
IN_ADVOWARE = {FIRST: "0511777001", SECOND: "0511777002", THIRD: "0511777003"}


def make_plan(harness: FaultHarness, **options: Any) -> Path:
    """A plan in a file, as `plan --output` writes it."""
    path = harness.folder / "plan.json"
    writer_for(path, UTC)(harness.run(trigger="plan", write=False, **options))
    return path


def carry_out(harness: FaultHarness, path: Path) -> RunReport:
    return harness.run(reviewed=read_reviewed_plan(path))


def left(report: RunReport) -> dict[str, str]:
    """Who was left as it is, and why."""
    assert report.reviewed is not None
    return {person["entity_id"]: person["reason"] for person in report.reviewed["left"]}


def paths_written(harness: FaultHarness) -> set[str]:
    return {path for request in harness.write_requests() for path in [request.partition(" ")[2]]}


def test_the_steps_of_the_plan_are_carried_out_and_a_second_time_nothing_is_left(harness: FaultHarness) -> None:
    one, other = harness.add_persons_in_sync(2)
    harness.add_phone(one, FIRST)
    harness.espo.edit(other.entity_id, phones=[(SECOND, "Office"), *harness.espo_phones(other)[1:]])
    path = make_plan(harness)
    assert path.stat().st_mode & 0o777 == 0o600
    (stored_report,) = harness.query_store("select report from runs where trigger = 'plan'")[0]
    assert one.entity_id not in stored_report  # what is erased of a person has to be erased there, too
    report = carry_out(harness, path)
    assert (report.outcome, report.exit_code(), left(report)) == ("done", 0, {})
    assert report.reviewed is not None
    assert report.reviewed["carried_out"] == report.persons.changed == 2
    assert IN_ADVOWARE[FIRST][1:] in "".join(harness.advo_values(one)).replace("+49", "")
    assert IN_ADVOWARE[SECOND][1:] in "".join(harness.advo_values(other)).replace("+49", "")
    (history,) = explain_persons(harness.config, one.entity_id, environment=harness.environment)
    assert "run 3, person of plan 2" in "\n".join(event_lines(history["events"], UTC))
    again = carry_out(harness, path)
    assert harness.write_requests() == []
    assert left(again) == dict.fromkeys((one.entity_id, other.entity_id), "nothing left to do")
    assert harness.run_without_writes().persons.changed == 0


def test_whoever_changed_since_and_whoever_is_not_in_it_is_left_as_it_is_until_the_next_sync(
    harness: FaultHarness,
) -> None:
    same, changed, changed_in_advoware, done, new = harness.add_persons_in_sync(5)
    for person in (same, changed, changed_in_advoware, done):
        harness.add_phone(person, FIRST)
    path = make_plan(harness)
    harness.add_phone(changed, SECOND)
    harness.advo.edit_row(changed_in_advoware.betnr, changed_in_advoware.rows[0], value="0511 7770099")
    harness.espo.edit(done.entity_id, phones=[number for number in harness.espo_phones(done) if number != FIRST])
    harness.add_phone(new, THIRD)
    report = carry_out(harness, path)
    assert left(report) == {
        changed.entity_id: "changed since the plan",
        changed_in_advoware.entity_id: "changed since the plan",
        done.entity_id: "nothing left to do",
        new.entity_id: "not in the plan",
    }
    assert {
        next((key for key in (same.entity_id, str(same.betnr)) if key in path), path) for path in paths_written(harness)
    } == {same.entity_id, str(same.betnr)}
    assert report.persons.changed == 1
    # nothing is lost: the next sync takes them up
    assert harness.run().persons.changed == 3
    for person in (changed, new):
        assert len(harness.advo_values(person)) == len(harness.espo_phones(person))
    assert harness.run_without_writes().persons.changed == 0


def test_a_person_edited_between_the_reading_and_the_writing_is_left_as_it_is(harness: FaultHarness) -> None:
    slow, edited = harness.add_persons_in_sync(2)
    harness.add_phone(slow, FIRST)
    harness.keep_first_phones(edited, 1)
    path = make_plan(harness)
    edits = iter([edited])

    def edit_row(request: SimRequest, _answer: SimResponse) -> None:
        """While the other person is written, somebody edits the row that the plan empties."""
        if request.method == "POST" and str(slow.betnr) in request.path:
            for person in edits:
                harness.clock.advance(60)
                harness.advo.edit_row(person.betnr, person.rows[1], value="0511 7770088")

    with harness.hook_after(harness.advo, edit_row):
        report = carry_out(harness, path)
    assert next(edits, None) is None
    assert left(report) == {edited.entity_id: "changed since the plan"}
    assert report.persons.changed == 1
    assert "0511 7770088" in harness.advo_values(edited)
    assert not any(str(edited.betnr) in path for path in paths_written(harness))
    assert harness.person_columns(edited, "due_since") != (None,)


def test_an_answer_that_was_lost_between_two_writes_lets_the_rest_of_the_plan_go_on(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1)
    harness.espo.edit(person.entity_id, phones=[harness.espo_phones(person)[0], (FIRST, "Mobile"), (SECOND, "Office")])
    path = make_plan(harness)
    lost = iter([httpx.ReadTimeout("lost")])

    def lose_answer(request: SimRequest, _answer: SimResponse) -> None:
        if request.method in {"POST", "PUT"} and "/Kommunikationen" in request.path:
            for error in lost:
                raise error

    with harness.hook_after(harness.advo, lose_answer):
        report = carry_out(harness, path)
    assert next(lost, None) is None
    assert left(report) == {}
    assert len(harness.advo_values(person)) == 3
    assert harness.run_without_writes().persons.changed == 0


def test_an_edit_while_an_answer_was_lost_ends_the_plan_of_the_person(harness: FaultHarness) -> None:
    (person,) = harness.add_persons_in_sync(1, entries=3)
    harness.espo.edit(person.entity_id, phones=[harness.espo_phones(person)[0], (FIRST, "Mobile")])
    path = make_plan(harness)
    edited_rows = iter([person.rows[0]])

    def lose_answer(request: SimRequest, _answer: SimResponse) -> None:
        if request.method in {"POST", "PUT"} and "/Kommunikationen" in request.path:
            for row in edited_rows:
                harness.advo.edit_row(person.betnr, row, value="0511 7770077")
                message = "lost"
                raise httpx.ReadTimeout(message)

    with harness.hook_after(harness.advo, lose_answer):
        report = carry_out(harness, path)
    assert left(report) == {person.entity_id: "changed since the plan"}
    assert "0511 7770077" in harness.advo_values(person)
    assert len([request for request in harness.write_requests() if "Kommunikationen" in request]) == 1
    assert harness.person_columns(person, "due_since") != (None,)
    harness.run()
    assert harness.run_without_writes().persons.changed == 0


def test_an_outage_in_the_middle_leaves_the_rest_to_the_next_sync(harness: FaultHarness) -> None:
    one, other = harness.add_persons_in_sync(2)
    for person in (one, other):
        harness.add_phone(person, FIRST)
    path = make_plan(harness)

    def no_answer(request: SimRequest) -> None:
        if request.method == "POST" and f"/Beteiligte/{other.betnr}/" in request.path:
            raise Outage("Advoware", "no answer")

    with harness.hook_before(harness.advo, no_answer):
        report = carry_out(harness, path)
    assert report.outcome == "outage"
    assert set(left(report)) == {other.entity_id}
    harness.run()
    assert len(harness.advo_values(other)) == 3


def test_what_the_plan_says_would_be_held_is_not_written_and_is_held_by_the_next_sync(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path, guards={"max_removals": 0})
    emptied, added = harness.add_persons_in_sync(2, entries=6)
    harness.keep_first_phones(emptied, 2)
    harness.add_phone(added, FIRST)
    path = make_plan(harness)
    report = carry_out(harness, path)
    assert left(report) == {emptied.entity_id: "held in the plan: a sync holds it, then it can be approved"}
    assert (report.outcome, report.persons.changed) == ("done", 1)
    assert harness.run().outcome == "held"
    report = carry_out(harness, path)
    assert left(report)[emptied.entity_id] == "held by a guard, see `advosync held`"
    assert harness.write_requests() == []


def test_a_guard_that_holds_more_than_when_the_plan_was_made_holds_a_reviewed_person_too(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path, guards={"max_removals": 50, "max_removal_share": 1.0})
    (emptied,) = harness.add_persons_in_sync(1, entries=6)
    harness.keep_first_phones(emptied, 2)
    path = make_plan(harness)
    harness.configure(guards={"max_removals": 0, "max_removal_share": 0.0})
    report = carry_out(harness, path)
    assert (report.outcome, report.exit_code()) == ("held", 3)
    assert left(report) == {emptied.entity_id: "held by a guard, see `advosync held`"}
    (status_put,) = harness.espo.writes
    assert status_put.json.keys().isdisjoint({"phoneNumberData", "emailAddressData"})
    assert (status_put.json["syncStatus"], harness.advo.writes) == ("conflict", [])


def test_a_locked_record_and_one_that_is_linked_no_more_are_listed(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path)
    locked, unlinked = harness.add_persons_in_sync(2)
    for person in (locked, unlinked):
        harness.add_phone(person, FIRST)
    path = make_plan(harness)
    harness.espo.store.entity.lockable = True
    harness.espo.lock(locked.entity_id)
    harness.espo.edit(unlinked.entity_id, betnr=None)
    report = carry_out(harness, path)
    assert set(left(report)) == {locked.entity_id, unlinked.entity_id}
    assert left(report)[locked.entity_id] == "locked in EspoCRM"
    assert harness.write_requests() == []


def test_the_plan_says_which_way_and_for_whom(harness: FaultHarness) -> None:
    one, other = harness.add_persons_in_sync(2)
    harness.add_phone(one, FIRST)
    harness.advo.add_row(one.betnr, "0511 7770077")
    harness.add_phone(other, FIRST)
    path = make_plan(harness, direction=Direction.TO_ADVOWARE, persons=(str(one.betnr),))
    report = carry_out(harness, path)
    assert left(report) == {other.entity_id: "not in the plan"}
    assert report.direction == "to_advoware"
    assert len(harness.espo_phones(one)) == 3
    assert harness.query_store("select trigger, about from runs order by id desc limit 1") == [
        ("person", read_reviewed_plan(path).run_id)
    ]


# Files that are not carried out ---------------------------------------------------------------------------------------


@pytest.fixture
def plan_path(harness: FaultHarness) -> Path:
    harness.add_phone(harness.add_persons_in_sync(1)[0], FIRST)
    return make_plan(harness)


def refused(harness: FaultHarness, path: Path) -> str:
    """Why nothing was started; nothing was."""
    runs = harness.query_store("select count(*) from runs")
    with pytest.raises(ConfigError) as refusal:
        carry_out(harness, path)
    assert harness.write_requests() == []
    assert harness.query_store("select count(*) from runs") == runs
    return str(refusal.value)


def edit_document(path: Path, change: Any) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def test_an_edited_file_is_refused(harness: FaultHarness, plan_path: Path) -> None:
    edit_document(plan_path, lambda document: document["changes"][0].update(new_value=SECOND))
    assert "was edited since the plan was made" in refused(harness, plan_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"review": {}}', '{"changes": [', '{"review": 1}'])
def test_a_file_that_is_no_plan_is_refused(harness: FaultHarness, plan_path: Path, text: str) -> None:
    plan_path.write_text(text, "utf-8")
    assert "this is no plan to carry out" in refused(harness, plan_path)


def test_a_missing_file_and_the_plan_of_an_undo_are_refused(harness: FaultHarness, plan_path: Path) -> None:
    assert "cannot be read" in refused(harness, plan_path.with_name("nothing.json"))
    run_id = harness.run().run_id
    writer_for(plan_path, UTC)(harness.run(trigger="plan", write=False, undo_run=run_id))
    assert "this is no plan to carry out" in refused(harness, plan_path)


def test_a_plan_of_another_configuration_or_store_is_refused(
    harness: FaultHarness, plan_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    harness.configure(sync={"direction": "to_espocrm"})
    assert "made with another configuration" in refused(harness, plan_path)
    other_firm = FaultHarness(tmp_path_factory.mktemp("other"))
    other_firm.add_phone(other_firm.add_persons_in_sync(1)[0], SECOND)
    make_plan(other_firm)
    assert "does not know plan" in refused(other_firm, plan_path)


def test_a_plan_of_another_version_is_refused(
    harness: FaultHarness, plan_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.run.reviewed.package_version", lambda: "99.0")
    assert "this is 99.0; make a new plan" in refused(harness, plan_path)


def test_of_many_who_are_not_in_the_plan_the_screen_names_the_first() -> None:
    reasons = ["changed since the plan"] * 2 + ["not in the plan"] * 60_000
    persons = [
        PersonLeftAsIs(entity_id=f"e{number}", betnr=number, reason=reason) for number, reason in enumerate(reasons)
    ]
    lines = list(lines_of_reviewed_plan({"plan": 7, "carried_out": 1, "left": persons}))
    assert lines[0] == "Reviewed plan 7: carried out for 1 person, 60002 left as they are"
    assert [sum(reason in line for line in lines) for reason in ("changed since", "not in")] == [2, 51]
    assert lines[-1] == "  59950 more: not in the plan; the report in `runs` names them all"
