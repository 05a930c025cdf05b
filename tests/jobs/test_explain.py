"""``explain``: a person's story on one screen, from the database alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from etl.errors import ConfigError
from jobs import explain
from jobs.pipeline import Options, run
from jobs.recorded import Asked
from jobs.retry import retry
from jobs.sandbox.simulator import Answer, Call

if TYPE_CHECKING:
    from tests.office import Office

GOLDEN = Path(__file__).parent / "explained.txt"
LINES_OF_A_SCREEN = 50


@pytest.fixture
def told(office: Office) -> dict[str, Any]:
    """A person with a conflict, a failure with retries, an operator's retry and a restore."""
    espo, advo = office.espo, office.advo
    three = [("+495111234561", "Office"), ("+494099887766", "Home"), ("+491712223334", "Mobile")]
    entity = espo.add_person("Max Muster", 104711, phones=[("+495111234560", "Office"), *three[1:2]])
    advo.add_person(104711, "Max Muster")
    row = advo.add_row(104711, "0511/1234560", "Zentrale", komm_kz=1)
    advo.add_row(104711, "Mutter: 0511 123456", komm_kz=1)
    office.run()
    espo.edit(entity, phones=three[:2])
    advo.edit_row(104711, row, value="0511 1234562")
    office.run()
    espo.edit(entity, phones=three)
    sound, advo.before = advo.before, torn
    office.run()
    office.run()
    advo.before = sound
    retry(office.config, ["104711"], Asked("olga", "Advoware is repaired"), world=office.world)
    office.run()
    office.clock.advance(300)
    asked = Options(trigger="restore", restore=1, operator="olga", reason="the client called")
    assert run(office.config, asked, world=office.world).outcome == "done"
    (one,) = explain.explained(office.config, "104711", world=office.world)
    return one


def torn(call: Call) -> Answer | None:
    """A payload without its rows."""
    of_person = call.method == "GET" and call.path.endswith("/Beteiligte/104711")
    return Answer(200, {"Content-Type": "application/json"}, b'{"betNr": 104711}') if of_person else None


def on_screen(told: dict[str, Any], *, everything: bool = False) -> str:
    text = io.StringIO()
    explain.render(told, Console(file=text, width=120), everything=everything)
    return text.getvalue()


def test_a_conflict_a_failure_with_retries_and_a_restore_are_told_on_one_screen(told: dict[str, Any]) -> None:
    shown = on_screen(told)
    assert shown.replace(told["person"]["entity_id"], "ENTITY") == GOLDEN.read_text("utf-8")
    assert len(shown.splitlines()) <= LINES_OF_A_SCREEN


def test_the_document_tells_each_event_with_its_facts_and_run(told: dict[str, Any]) -> None:
    assert json.loads(json.dumps(told)) == told
    kinds = [event["kind"] for event in told["events"]]
    assert kinds == [*["decided"] * 3, "lost", "failed", "failed", "retried", "decided", "decided", "restored"]
    clash = next(event for event in told["events"] if event.get("variant") == "clash")
    assert clash["facts"] == {
        "known": True, "in_espo": True, "in_advo": True, "espo_edit": True, "advo_edit": True, "type_edit": False,
        "marked": False,
    }  # fmt: skip
    assert [event["times_running"] for event in told["events"] if event["kind"] == "failed"] == [1, 2]
    assert [event["operator"] for event in told["events"] if event["kind"] == "retried"] == ["olga"]


def test_a_value_that_espocrm_never_had_lost_against_nothing() -> None:
    lost = {"kind": "lost", "lost": "0511 3000004", "kept": None, "conflict": 1}
    assert explain.told_of(lost) == "0511 3000004 lost as EspoCRM does not have it: kept as conflict 1"


def test_a_long_story_shows_its_end_and_says_how_much_came_before(told: dict[str, Any]) -> None:
    long = {**told, "events": told["events"] * 5}
    assert "earlier lines; --all shows them" in on_screen(long)
    assert "earlier lines" not in on_screen(long, everything=True)


def test_nobody_is_explained_by_a_key_nobody_has(office: Office) -> None:
    office.run()
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        explain.explained(office.config, "4711", world=office.world)
