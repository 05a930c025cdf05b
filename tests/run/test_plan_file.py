"""`plan --output`: the plan as a file for review."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from etl.errors import ConfigError
from jobs.run.plan_file import writer_for
from jobs.run.report import PLAN_TRIGGER, PersonCounts, PlannedChange, RunReport

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")
STEP: PlannedChange = {
    "entity_id": "e1",
    "betnr": 104711,
    "variant": "var5",
    "side": "advo",
    "action": "update",
    "komm_id": 88001,
    "komm_kz": 1,
    "old_value": "0511 | 123",
    "new_value": "+49511124",
    "reason": 'changed in EspoCRM; the remark "[x]\nzwei" is kept',
    "held": None,
    "name": "Max *Muster*",
}


def plan_report(*changes: PlannedChange) -> RunReport:
    return RunReport(
        run_id=7,
        trigger=PLAN_TRIGGER,
        finished_at="2026-08-30 10:00:00",
        persons=PersonCounts(seen=1, changed=1),
        variants={"var5": len(changes)},
        changes=list(changes),
    )


def test_markdown_shows_each_person_and_whatever_people_wrote_as_text(tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    writer_for(path, BERLIN)(plan_report(STEP))
    page = path.read_text("utf-8")
    made = "Made 2026-08-30 12:00:00 (Europe/Berlin), direction both. Nothing was written."
    assert page.startswith(f"# Plan 7\n\n{made}\n")
    assert "## Max \\*Muster\\* · 104711 · e1" in page
    reason = r'the remark "\[x\] zwei" is kept'
    assert rf"| changed in EspoCRM | Advoware | update | 0511 \| 123 → +49511124 | {reason} |" in page
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_plan_with_nothing_to_do_says_so(tmp_path: Path) -> None:
    writer_for(tmp_path / "plan.md", BERLIN)(plan_report())
    assert "there is nothing to do" in (tmp_path / "plan.md").read_text("utf-8")


def test_json_is_the_document_of_plan_json(tmp_path: Path) -> None:
    writer_for(tmp_path / "plan.json", BERLIN)(plan_report(STEP))
    assert json.loads((tmp_path / "plan.json").read_text("utf-8")) == json.loads(plan_report(STEP).to_json())


def test_another_ending_or_a_missing_folder_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"written as \.md or \.json"):
        writer_for(tmp_path / "plan.pdf", BERLIN)
    with pytest.raises(ConfigError, match="there is no folder"):
        writer_for(tmp_path / "nowhere" / "plan.md", BERLIN)
