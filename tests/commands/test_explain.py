"""``explain``: a person's story on one screen, from the database alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from etl.errors import ConfigError
from jobs.commands import explain
from jobs.commands.operator_log import OperatorRequest
from jobs.commands.retry import retry_persons
from jobs.pipeline import RunOptions, run_to_completion
from jobs.sandbox.simulator import SimRequest, SimResponse

if TYPE_CHECKING:
    from tests.http_harness import HttpHarness

GOLDEN = Path(__file__).parent / "explained.txt"
LINES_OF_A_SCREEN = 50
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def document(http_harness: HttpHarness) -> dict[str, Any]:
    """A person with a conflict, a failure with retries, an operator's retry and a restore."""
    espo, advo = http_harness.espo, http_harness.advo
    phones = [("+495111234561", "Office"), ("+494099887766", "Home"), ("+491712223334", "Mobile")]
    entity = espo.add_person("Max Muster", 104711, phones=[("+495111234560", "Office"), *phones[1:2]])
    advo.add_person(104711, "Max Muster")
    row = advo.add_row(104711, "0511/1234560", "Zentrale", komm_kz=1)
    advo.add_row(104711, "Mutter: 0511 123456", komm_kz=1)
    http_harness.run()
    espo.edit(entity, phones=phones[:2])
    advo.edit_row(104711, row, value="0511 1234562")
    http_harness.run()
    espo.edit(entity, phones=phones)
    hook_before, advo.before = advo.before, answer_without_rows
    http_harness.run()
    http_harness.run()
    advo.before = hook_before
    retry_persons(
        http_harness.config,
        ["104711"],
        OperatorRequest("olga", "Advoware is repaired"),
        environment=http_harness.environment,
    )
    http_harness.run()
    http_harness.clock.advance(300)
    options = RunOptions(trigger="restore", restore=1, operator="olga", reason="the client called")
    assert run_to_completion(http_harness.config, options, environment=http_harness.environment).outcome == "done"
    (document,) = explain.explain_persons(http_harness.config, "104711", environment=http_harness.environment)
    return document


def answer_without_rows(call: SimRequest) -> SimResponse | None:
    """A payload without its rows."""
    is_of_person = call.method == "GET" and call.path.endswith("/Beteiligte/104711")
    return SimResponse(200, {"Content-Type": "application/json"}, b'{"betNr": 104711}') if is_of_person else None


def screen_text(document: dict[str, Any], *, everything: bool = False) -> str:
    text = io.StringIO()
    explain.render_history(document, Console(file=text, width=120), BERLIN, everything=everything)
    return text.getvalue()


def test_a_conflict_a_failure_with_retries_and_a_restore_are_told_on_one_screen(document: dict[str, Any]) -> None:
    screen = screen_text(document)
    assert screen.replace(document["person"]["entity_id"], "ENTITY") == GOLDEN.read_text("utf-8")
    assert len(screen.splitlines()) <= LINES_OF_A_SCREEN


def test_the_document_tells_each_event_with_its_facts_and_run(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document
    kinds = [event["kind"] for event in document["events"]]
    assert kinds == [*["decided"] * 3, "lost", "failed", "failed", "retried", "decided", "decided", "restored"]
    clash = next(event for event in document["events"] if event.get("variant") == "clash")
    assert clash["facts"] == {
        "known": True, "in_espo": True, "in_advo": True, "espo_edit": True, "advo_edit": True, "type_edit": False,
        "marked": False,
    }  # fmt: skip
    assert [event["times_running"] for event in document["events"] if event["kind"] == "failed"] == [1, 2]
    assert [event["operator"] for event in document["events"] if event["kind"] == "retried"] == ["olga"]


def test_a_value_that_espocrm_never_had_lost_against_nothing() -> None:
    event = {"kind": "lost", "lost": "0511 3000004", "kept": None, "conflict": 1}
    assert explain.format_event(event) == "0511 3000004 lost as EspoCRM does not have it: kept as conflict 1"


def test_a_release_stands_at_its_own_time_and_names_the_run_that_held() -> None:
    run = {"run_id": 10, "trigger": "sync", "operator": None, "run_reason": None, "about": None}
    held = {**run, "at": "2026-08-31 06:00:00", "kind": "held", "reason": "too much"}
    released = {**run, "at": "2026-08-31 07:30:00", "kind": "released", "by": "olga"}
    assert list(explain.event_lines([held, released], BERLIN)) == [
        "2026-08-31 08:00:00  run 10, sync",
        "  held back: too much",
        "2026-08-31 09:30:00",
        "  what run 10 held was let go by olga",
    ]


def test_a_long_story_shows_its_end_and_says_how_much_came_before(document: dict[str, Any]) -> None:
    long_document = {**document, "events": document["events"] * 5}
    assert "earlier lines; --all shows them" in screen_text(long_document)
    assert "earlier lines" not in screen_text(long_document, everything=True)


def test_nobody_is_explained_by_a_key_nobody_has(http_harness: HttpHarness) -> None:
    http_harness.run()
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        explain.explain_persons(http_harness.config, "4711", environment=http_harness.environment)
