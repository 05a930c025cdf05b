"""What a run says of itself, to scripts and to people."""

from __future__ import annotations

import io
import json
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.pipeline import RESTORED_COPY_NOTICE
from jobs.run.plan_file import plan_markdown
from jobs.run.report import (
    CallCounts,
    PersonCounts,
    PersonFailure,
    PlannedChange,
    RunReport,
    WriteCounts,
    render_plan,
    render_summary,
)
from jobs.screen import ZONE

CHANGE: PlannedChange = {
    "entity_id": "a1",
    "betnr": 104860,
    "variant": "var5",
    "side": "advo",
    "action": "put",
    "komm_id": 88002,
    "komm_kz": 1,
    "old_value": "0511/1",
    "new_value": "[red]+49 511 2",
    "reason": "changed in EspoCRM",
    "held": None,
}


def report_screen(report: RunReport, *, plan: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    (render_plan if plan else render_summary)(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_document_has_the_keys_scripts_rely_on() -> None:
    document = json.loads(RunReport(run_id=7, started_at="2026-02-08 10:00:00").to_json())
    assert set(document) >= {
        "run_id", "outcome", "trigger", "direction", "started_at", "finished_at", "persons", "variants", "conflicts",
        "writes", "calls", "errors",
    }  # fmt: skip
    assert list(document["persons"]) == [
        "seen", "changed", "clean", "failed", "held", "waiting", "locked", "skipped", "left_alone",
    ]  # fmt: skip
    assert document["writes"] == {"espocrm": 0, "advoware": 0}
    assert "changes" not in document


def test_a_plan_lists_its_changes() -> None:
    assert json.loads(RunReport(trigger="plan", changes=[CHANGE]).to_json())["changes"] == [CHANGE]


@pytest.mark.parametrize(
    ("trigger", "outcome", "changes", "code"),
    [
        ("plan", CommandOutcome.DONE, [CHANGE], ExitCode.CHANGES_PLANNED),
        ("plan", CommandOutcome.DONE, [], ExitCode.DONE),
        ("plan", CommandOutcome.HELD, [CHANGE], ExitCode.HELD),
        ("plan", CommandOutcome.OUTAGE, [CHANGE], ExitCode.OUTAGE),
        ("sync", CommandOutcome.DONE, [CHANGE], ExitCode.DONE),
        ("sync", CommandOutcome.FAILED_PERSONS, [], ExitCode.FAILED_PERSONS),
    ],
)
def test_the_exit_code_follows_from_the_outcome(
    trigger: str, outcome: CommandOutcome, changes: list[PlannedChange], code: ExitCode
) -> None:
    assert RunReport(trigger=trigger, outcome=outcome, changes=changes).exit_code() is code


def change_with(**changes: str | None) -> PlannedChange:
    return {**CHANGE, **changes}  # type: ignore[typeddict-item]


def test_a_plan_names_each_person_once_and_reads_from_old_to_new() -> None:
    changes = [
        change_with(name="Max [Muster]", reason='changed in EspoCRM; the remark "Büro" is kept'),
        change_with(name="Max [Muster]", variant="var1", reason="new in EspoCRM", action="create", old_value=None),
        change_with(name="Max [Muster]", variant="var2", reason="deleted in EspoCRM", action="empty", new_value=""),
        change_with(
            entity_id="b2", variant="link", reason="the same value on both sides", action="mark", new_value="0511/1"
        ),
    ]
    text = report_screen(RunReport(trigger="plan", changes=changes), plan=True)
    assert [line.rstrip() for line in text.splitlines()] == [
        "Max [Muster] · 104860 · a1",
        "  changed in EspoCRM  Advoware  put      0511/1 → [red]+49 511 2",
        '                                         the remark "Büro" is kept',
        "  new in EspoCRM      Advoware  create   [red]+49 511 2",
        "  deleted in EspoCRM  Advoware  empty    0511/1 → –",
        "104860 · b2",
        "  same on both sides  Advoware  mark     0511/1",
    ]


def test_a_plan_says_why_where_the_variant_does_not_say_it() -> None:
    revert = change_with(variant="var6", reason="changed in Advoware; EspoCRM wins")
    repair = change_with(variant="repair", reason="the values agree, the marker did not")
    text = report_screen(RunReport(trigger="plan", changes=[revert, repair]), plan=True)
    assert "EspoCRM wins" in text
    assert "the values agree, the marker did not" in text


def test_a_plan_without_steps_says_so() -> None:
    assert "nothing to do" in report_screen(RunReport(trigger="plan"), plan=True)


def test_a_summary_tells_how_it_ended_who_took_part_and_what_it_cost() -> None:
    failure: PersonFailure = {"entity_id": "a1", "betnr": None, "error": "EspoCRM refused [phone]."}
    text = report_screen(
        RunReport(
            run_id=3,
            outcome=CommandOutcome.FAILED_PERSONS,
            persons=PersonCounts(seen=5, clean=4, failed=1, left_alone=2),
            variants={"var1": 2, "link": 0},
            conflicts=1,
            writes=WriteCounts(espocrm=1, advoware=2),
            calls=CallCounts(espocrm={"GET": 5, "PUT": 1}),
            errors=[failure],
            notices=["another sync, or a hook, writes here"],
        )
    )
    assert text.splitlines() == [
        "Run 3 · Done, but some persons failed; they are tried again by themselves.",
        "Persons: 5 seen, 4 clean, 1 failed",
        "Entries: 2 new in EspoCRM; 1 lost, and kept in `conflicts`; 2 left alone",
        "Calls: EspoCRM 5 GET 1 PUT",
        "  failed: a1 / no betnr: EspoCRM refused [phone].",
        "  note: another sync, or a hook, writes here",
    ]


def test_times_in_notes_are_those_of_the_firm() -> None:
    copied = RESTORED_COPY_NOTICE.format("2026-02-08 10:00:00")
    report = RunReport(notices=[copied], finished_at="2026-02-08 10:00:00")
    token = ZONE.set(ZoneInfo("Europe/Berlin"))
    try:
        text = report_screen(report)
    finally:
        ZONE.reset(token)
    page = plan_markdown(report, ZoneInfo("Europe/Berlin"))
    for shown in (text, page):
        assert "put back from a copy of 2026-02-08 11:00:00: persons" in shown
    assert copied in report.to_json()


def test_a_run_that_ended_early_does_not_say_that_there_was_nothing_to_do() -> None:
    text = report_screen(RunReport(outcome=CommandOutcome.OUTAGE, error="EspoCRM is out: no answer in time"))
    assert "nothing to do" not in text
    assert "EspoCRM is out: no answer in time" in text
