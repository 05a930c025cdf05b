"""What a plan says while a guard holds persons: nothing claims agreement, and held steps are told from the others."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.run.plan_file import plan_markdown
from jobs.run.report import RunReport, render_plan, render_summary
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


def plan_texts(report: RunReport) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    render_plan(report, console)
    render_summary(report, console)
    return [screen.getvalue(), plan_markdown(report)]


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
