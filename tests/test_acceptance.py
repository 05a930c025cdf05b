"""What the main job promises as a whole (rules §1-§5), on a firm in the sandbox, both systems in process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import pytest
import structlog

from etl.records import Channel
from etl.rules.values.classify import Clarity, classify
from jobs.sandbox.advoware import login as advoware_login
from jobs.sandbox.espocrm import login as espocrm_login
from jobs.sandbox.people import random_edits
from jobs.sandbox.simulator import ConnectionLost
from tests.harness import REGION, SyncHarness
from tests.notation import own_text_of_remark
from tests.typed import corpus_lines

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse


def refuse_writes(call: SimRequest) -> SimResponse | None:
    if call.is_write:
        raise ConnectionLost
    return None


def test_a_firm_of_a_thousand_comes_to_agree_and_then_nothing_more_is_written(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 1000)
    texts = harness.own_texts()
    first = harness.run()
    assert first.outcome == "done"
    assert harness.disagreements() == []
    assert harness.own_texts().items() >= texts.items()

    harness.clock.advance(60)
    random_edits(harness.espo, harness.advo, 60, seed=3)
    texts = {number: text for number, text in harness.own_texts().items() if text}
    assert harness.run(sweep=True).outcome == "done"
    harness.run(sweep=True)  # whose entries all vanished waited one run
    after = harness.own_texts()
    assert {text for number, text in texts.items() if number not in after} == set()
    assert harness.disagreements() == []

    quiet = harness.run(sweep=True)
    assert (quiet.outcome, quiet.writes.espocrm, quiet.writes.advoware, harness.writes) == ("done", 0, 0, [])
    assert not [call for call in harness.advo.request_log if call.method == "DELETE"]


def test_no_number_that_no_person_typed_stands_in_either_system(tmp_path: Path) -> None:
    """Typed strings of the corpus spread over a firm, several to a person, on both sides; an edit of them, too."""
    harness = SyncHarness(tmp_path, 150, seed=11)
    people = list(harness.person_links())
    lines = corpus_lines()
    for place, line in enumerate(lines):
        entity_id, betnr = people[place * 7 % len(people)]
        harness.advo.add_row(betnr, line.value)
        if line.certain and line.channel is Channel.PHONE and ";" not in line.says and place % 3 == 0:
            items = harness.espo.items(entity_id)
            if line.says not in [item.get("phoneNumber") for item in items]:
                harness.espo.edit(entity_id, phones=[*phones_of(items), (line.says, "Other")])
    typed_values = {betnr: values_on_both_sides(harness, entity_id, betnr) for entity_id, betnr in people}
    assert harness.run().outcome == "done"
    assert values_without_source(harness, typed_values) == {}
    for sweep in (False, True):
        quiet = harness.run(sweep=sweep)
        assert (quiet.outcome, harness.writes) == ("done", [])
    for place, (_, betnr) in enumerate(people[:60]):
        row = next(row["id"] for row in harness.advo.rows(betnr) if row["tlf"])
        harness.advo.edit_row(betnr, row, value=lines[place * 5].value)
        typed_values[betnr].add(lines[place * 5].value)
    for sweep in (True, False):
        assert harness.run(sweep=sweep).outcome == "done"
        assert values_without_source(harness, typed_values) == {}
    assert harness.run(sweep=True).outcome == "done"
    assert harness.writes == []


def phones_of(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if "phoneNumber" in item]


def values_on_both_sides(harness: SyncHarness, entity_id: str, betnr: int) -> set[str]:
    """What stands on either side of a person."""
    items = harness.espo.items(entity_id)
    espo_values = {item.get("phoneNumber") or item["emailAddress"] for item in items}
    return espo_values | {row["tlf"] for row in harness.advo.rows(betnr) if row["tlf"]}


def channel_of(value: str) -> Channel:
    """By its shape; an "@" may be typed in full width."""
    return Channel.MAIL if "@" in normalize("NFKC", value) else Channel.PHONE


def values_without_source(harness: SyncHarness, typed_values: dict[int, set[str]]) -> dict[int, set[str]]:
    """By person: what stands there now that nobody typed, and that is not what something typed certainly says."""
    result = {}
    for entity_id, betnr in harness.person_links():
        if betnr in typed_values:
            classified = [classify(channel_of(value), value, REGION) for value in typed_values[betnr]]
            certain = {
                value_meaning.canonical
                for value_meaning in classified
                if value_meaning is not None and value_meaning.clarity is Clarity.CERTAIN
            }
            new_values = values_on_both_sides(harness, entity_id, betnr) - typed_values[betnr]
            if unexplained := {value for value in new_values if value.lower() not in certain}:
                result[betnr] = unexplained
    return result


def test_a_plan_changes_nothing_and_says_what_the_sync_then_writes(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 40)
    harness.run()
    random_edits(harness.espo, harness.advo, 25, seed=9)
    harness.clock.advance(60)
    before = state_without_runs(harness)
    plan_report = harness.run(trigger="plan", write=False)
    assert plan_report.exit_code() == (2 if plan_report.outcome == "done" else 3)
    assert harness.writes == []
    assert state_without_runs(harness) == before
    harness.clock.advance(-900)
    harness.run()
    changes_done = harness.query_store(
        "select entity_id, variant, side, action, komm_id, old_value, new_value from changes"
        " where run_id = (select max(id) from runs) and state = 'done' and action <> 'create'",
    )
    columns = ("entity_id", "variant", "side", "action", "komm_id", "old_value", "new_value")
    changes_planned = [dict(change) for change in plan_report.changes]
    planned_rows = {
        tuple(change[name] for name in columns) for change in changes_planned if change["action"] != "create"
    }
    assert set(changes_done) == planned_rows
    assert planned_rows


def test_losing_the_state_store_writes_nothing_to_advoware_and_doubles_nothing(tmp_path: Path) -> None:
    harness = SyncHarness(tmp_path, 60)
    harness.run()
    harness.run()
    rows = {betnr: harness.advo.rows(betnr) for _, betnr in harness.person_links()}
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    report = harness.run()
    assert report.outcome == "done"
    assert harness.advo.writes == []
    assert {betnr: harness.advo.rows(betnr) for _, betnr in harness.person_links()} == rows
    assert harness.run(sweep=True).writes.advoware == 0


@pytest.mark.parametrize("answer", ["cut short", "html", "no rows", "no ids"])
def test_an_odd_answer_of_advoware_loses_nothing_and_says_what_it_was(tmp_path: Path, answer: str) -> None:
    harness = SyncHarness(tmp_path, 6)
    harness.run()
    random_edits(harness.espo, harness.advo, 4, seed=2)
    before = both_sides(harness)
    harness.advo.after = falsify_answers(answer)
    report = harness.run(sweep=True)
    assert report.outcome in ("outage", "failed_persons")
    error_text = report.error or " ".join(failure["error"] for failure in report.errors)
    assert "Advoware" in error_text
    assert both_sides(harness)[1] == before[1]
    harness.advo.after = None
    harness.clock.advance(3600)
    harness.run(sweep=True)
    harness.run(sweep=True)
    assert harness.disagreements() == []


def falsify_answers(kind: str) -> Any:
    def after(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        if call.method != "GET" or "/Beteiligte/" not in call.path:
            return None
        if kind == "html":
            page = b"<html><h1>Wartung</h1></html>"
            return answer._replace(status=200, headers={"Content-Type": "text/html"}, body=page)
        if kind == "cut short":
            return answer._replace(body=answer.body[: len(answer.body) // 2])
        key = b'"kommunikation"' if kind == "no rows" else b'"id"'
        return answer._replace(body=answer.body.replace(key, b'"anderes"'))

    return after


ODD_REMARKS = [
    "[ESPOCRM:kein base64:1] Gegner, nicht anrufen",
    "[ESPOCRM:eA==:99] alt",
    "[ESPOCRM ohne Ende",
    "[ESPOCRM:\nmit Umbruch] [Klammern] 😀",
    "text davor [ESPOCRM:eA==:1] text danach",
    "  [eckig] {geschweift} \\ \" ' 😀\nzweite Zeile\t",
]


@pytest.mark.parametrize("remark", ODD_REMARKS)
def test_an_odd_remark_is_somebodys_text_and_stays(tmp_path: Path, remark: str) -> None:
    harness = SyncHarness(tmp_path, 0)
    harness.espo.add_person("Max Muster", 4711, phones=[("+495111234560", "Office"), ("+495111234561", "Office")])
    harness.advo.add_person(4711, "Max Muster")
    row = harness.advo.add_row(4711, "0511/1234560", remark)
    assert harness.run().outcome == "done"
    stored_remark = {row_json["id"]: row_json["bemerkung"] for row_json in harness.advo.rows(4711)}[row]
    expected_end = own_text_of_remark(remark) if remark.startswith("[ESPOCRM") else remark
    assert stored_remark.endswith(expected_end)
    assert harness.run(sweep=True).writes.advoware == 0


def test_no_secret_is_in_any_output_log_or_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    logging.getLogger().setLevel(logging.DEBUG)
    harness = SyncHarness(tmp_path, 20)
    harness.run()
    harness.advo.login.revoke()
    random_edits(harness.espo, harness.advo, 10, seed=1)
    report = harness.run(sweep=True)
    harness.espo.before = refuse_writes
    harness.run(sweep=True)
    output = "".join(capfd.readouterr()) + report.to_json() + repr(harness.config)
    store_bytes = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))
    logins = [espocrm_login.API_KEY, advoware_login.API_KEY, advoware_login.PASSWORD]
    assert harness.advo.login.issued_count > 1
    for secret in [*logins, "sandbox-token-", "sandbox-refresh-"]:
        assert secret not in output
        assert secret.encode() not in store_bytes


def state_without_runs(harness: SyncHarness) -> tuple[Any, ...]:
    """Both systems, and of the store what a plan must leave alone."""
    tables = ("persons", "espo_entries", "advo_entries", "baseline", "left_alone", "conflicts", "holds", "settings")
    return both_sides(harness), *(harness.query_store(f"select * from {table}") for table in tables)


def both_sides(harness: SyncHarness) -> tuple[Any, Any]:
    items = {entity_id: harness.espo.record(entity_id) for entity_id, _ in harness.person_links()}
    return items, {betnr: harness.advo.rows(betnr) for _, betnr in harness.person_links()}
