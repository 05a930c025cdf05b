"""What a plan says while a guard holds persons: nothing claims agreement, and held steps are told from the others."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from etl.errors import ConfigError
from jobs.commands.held import list_held_persons, render_holds
from jobs.run.plan_file import plan_markdown
from jobs.run.report import PlannedChange, RunReport, render_plan, render_summary
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

AGREEMENT = "Both sides agree"


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    """A firm in which all numbers of all persons but one were deleted in EspoCRM, more than a run may take away."""
    harness = SyncHarness(tmp_path, 30, guards={"max_removals": 20})
    harness.run()
    links = list(harness.person_links())
    for entity_id, _ in links[1:]:
        harness.espo.edit(entity_id, phones=[])
    first = links[0][0]
    phones = [item for item in harness.espo.items(first) if "phoneNumber" in item]
    harness.espo.edit(first, phones=[*phones, {"phoneNumber": "+49511299999", "type": "Office"}])
    return harness


def sorted_items(change: PlannedChange) -> list[tuple[str, str]]:
    return sorted((name, str(value)) for name, value in change.items())


def plan_texts(report: RunReport) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    render_plan(report, console)
    render_summary(report, console)
    return [screen.getvalue(), plan_markdown(report, ZoneInfo("Europe/Berlin"))]


def test_a_plan_tells_held_steps_from_those_that_will_be_written(harness: SyncHarness) -> None:
    report = harness.run(trigger="plan", write=False)
    held_ids = {change["entity_id"] for change in report.changes if change["held"]}
    kinds = Counter(change["held"] for change in report.changes)
    assert set(kinds) == {"removals", None}
    assert len(held_ids) == report.persons.held > 1
    written = Counter(change["variant"] for change in report.changes if not change["held"])
    assert dict(written) == report.variants
    removing = sum(change["held"] == "removals" for change in report.changes)
    (notice,) = report.notices
    figures = re.fullmatch(
        r"(\d+) values would be removed, emptied or overwritten; (\d+) are allowed without approval", notice
    )
    assert figures is not None
    assert int(figures[1]) == removing > 20 >= int(figures[2]) >= 10
    for text in plan_texts(report):
        assert AGREEMENT not in text
        assert "To write: 1 step of 1 person; would be held: " in text
        assert text.count("too much would be taken away") == len(held_ids)


def test_with_persons_held_nothing_claims_that_both_sides_agree(harness: SyncHarness) -> None:
    held = harness.run().persons.held
    report = harness.run(trigger="plan", write=False)
    assert (report.changes, report.persons.held, report.exit_code()) == ([], held, 0)
    for text in plan_texts(report):
        assert AGREEMENT not in text
        assert f"Nothing new to write; held already: {held} persons, see `advosync held`; left alone: " in text


@pytest.mark.parametrize("named", [False, True])
def test_the_steps_of_the_held_are_planned_when_asked_for(harness: SyncHarness, *, named: bool) -> None:
    """Each step a run held, and what moved since; a sync of such a person would write none of them."""
    held_run = harness.run()
    holds = [hold for hold in list_held_persons(harness.config) if hold["run_id"] == held_run.run_id]
    first = holds[0]
    held_steps = [step for hold in holds for step in hold["steps"]][: len(first["steps"]) if named else None]
    assert harness.run(trigger="plan", write=False).changes == []
    persons = (str(first["betnr"]),) if named else ()
    report = harness.run(trigger="plan", write=False, held=True, persons=persons)
    assert sorted(map(sorted_items, report.changes)) == sorted(map(sorted_items, held_steps))
    assert (report.exit_code(), report.persons.held) == (0, held_run.persons.held)
    by_name = harness.run(trigger="plan", write=False, persons=(first["entity_id"],))
    assert (by_name.changes, by_name.exit_code()) == (first["steps"], 0)
    for text in plan_texts(report):
        assert f"Nothing new to write; held: {len(report.changes)} steps of {1 if named else len(holds)} person" in text
    harness.advo.edit_row(first["betnr"], first["steps"][0]["komm_id"], value="0511 7654321")
    moved = harness.run(trigger="plan", write=False, held=True, persons=persons)
    assert "0511 7654321" in {change["old_value"] for change in moved.changes if change["held"] == "removals"}
    with pytest.raises(ConfigError, match="Nobody is held who is named 4711"):
        harness.run(trigger="plan", write=False, held=True, persons=("4711",))


def test_what_an_undo_wants_to_put_back_is_planned_as_the_undo_plans_it(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 30, guards={"max_removals": 20})
    harness.run()
    undo = harness.run(trigger="undo", undo_run=1, operator="anna")
    plan = harness.run(trigger="plan", write=False, held=True)
    assert {change["variant"] for change in plan.changes} == {"undo"}
    assert len({change["entity_id"] for change in plan.changes}) == undo.persons.held > 0


def held_screen(harness: SyncHarness) -> str:
    screen = io.StringIO()
    render_holds(list_held_persons(harness.config), Console(file=screen, width=200), ZoneInfo("Europe/Berlin"))
    return screen.getvalue()


def test_held_shows_a_block_for_each_run_and_reason_with_all_persons_and_steps(harness: SyncHarness) -> None:
    report = harness.run()
    (first_block, *others), advice = re.split(r"\n\n", held_screen(harness).strip())[:-1], held_screen(harness)
    assert (others, report.persons.held) == ([], len(list_held_persons(harness.config)))
    title, *lines = first_block.splitlines()
    figures = re.fullmatch(
        rf"Run {report.run_id} holds {report.persons.held} persons since 2026-08-30 10:30:00: (\d+) values would be "
        r"removed, emptied or overwritten; 11 are allowed without approval\.",
        title,
    )
    assert figures is not None
    steps = [line for line in lines if line.startswith("  deleted in EspoCRM")]
    assert len(steps) == int(figures[1]) > 20
    for hold in list_held_persons(harness.config):
        person = f"{hold['name']} · {hold['betnr']} · {hold['entity_id']}"
        after_title = first_block.partition(f"{person}\n")[2].splitlines()
        of_person = [line for line in after_title if "deleted in EspoCRM" in line][: len(hold["steps"])]
        values = [f"{step['old_value']} → –" for step in hold["steps"]]
        assert all(line.rstrip().endswith(value) for line, value in zip(of_person, values, strict=True))
    assert f"`advosync plan --held`. Take the steps: `advosync approve {report.run_id}`" in advice
    moved = list_held_persons(harness.config)[0]
    harness.advo.edit_row(moved["betnr"], moved["steps"][0]["komm_id"], value="0511 7654321")
    approval = harness.run(approve_run=report.run_id, operator="anna", persons=(moved["entity_id"],))
    blocks = re.findall(r"^Run (\d+) holds (\d+) persons? since .{19}: (.*)$", held_screen(harness), flags=re.MULTILINE)
    assert [block[:2] for block in blocks] == [
        (str(report.run_id), str(report.persons.held - 1)), (str(approval.run_id), "1")
    ]  # fmt: skip
    assert blocks[1][2] == f"its steps are not those any more that run {report.run_id} held."


def test_steps_are_held_as_long_as_their_hold_is_open(harness: SyncHarness) -> None:
    held_run = harness.run().run_id
    states = "select state, count(*) from changes where run_id = ? group by state"
    count = sum(len(hold["steps"]) for hold in list_held_persons(harness.config))
    assert ("held", count) in harness.query_store(states, held_run)
    harness.run(sweep=True)
    assert ("held", count) in harness.query_store(states, held_run)
    harness.run(approve_run=held_run, operator="anna")
    assert ("dropped", count) in harness.query_store(states, held_run)
    assert harness.query_store("select count(*) from changes where state = 'held'") == [(0,)]
    assert held_screen(harness) == "Nobody is held back.\n"


def test_a_firm_in_agreement_says_so(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 0)
    entity_id = harness.espo.add_person("Max Muster", 1, phones=["+495111234560"])
    harness.advo.add_person(1, "Max Muster")
    harness.run()
    for text in plan_texts(harness.run(trigger="plan", write=False)):
        assert f"{AGREEMENT}; there is nothing to do." in text
    harness.espo.store.entity.lockable = True
    harness.espo.lock(entity_id)
    for text in plan_texts(harness.run(trigger="plan", write=False)):
        assert AGREEMENT not in text
        assert "locked in EspoCRM: 1 person" in text


def test_with_a_value_left_alone_nothing_claims_that_both_sides_agree(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 0)
    harness.espo.add_person("Max Muster", 1, phones=["+495111234560"])
    harness.advo.add_person(1, "Max Muster")
    harness.advo.add_row(1, "siehe Akte")
    assert harness.run().persons.left_alone == 1
    report = harness.run(trigger="plan", write=False)
    assert report.changes == []
    for text in plan_texts(report):
        assert AGREEMENT not in text
        assert "Nothing new to write; left alone: 1 value." in text
