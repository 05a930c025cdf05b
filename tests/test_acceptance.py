"""What the main job promises as a whole (rules.md §1-§5), on a firm in the sandbox, both systems in process."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import pytest
import structlog

from etl.records import Channel
from etl.rules.values import Clarity, classify
from jobs.sandbox import advoware_login, espocrm_login
from jobs.sandbox.people import random_edits
from jobs.sandbox.simulator import ConnectionLost
from tests.notation import own_text
from tests.practice import REGION, Practice, remembered
from tests.typed import typed

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call


def refuse_writes(call: Call) -> Answer | None:
    if call.is_write:
        raise ConnectionLost
    return None


def test_a_firm_of_a_thousand_comes_to_agree_and_then_nothing_more_is_written(tmp_path: Path) -> None:
    office = Practice.of(tmp_path, 1000)
    texts = office.own_texts()
    first = office.run()
    assert first.outcome == "done"
    assert office.disagreements() == []
    assert office.own_texts().items() >= texts.items()

    office.clock.advance(60)
    random_edits(office.espo, office.advo, 60, seed=3)
    texts = {number: text for number, text in office.own_texts().items() if text}
    assert office.run(sweep=True).outcome == "done"
    office.run(sweep=True)  # whose entries all vanished waited one run
    after = office.own_texts()
    assert {text for number, text in texts.items() if number not in after} == set()
    assert office.disagreements() == []

    quiet = office.run(sweep=True)
    assert (quiet.outcome, quiet.writes.espocrm, quiet.writes.advoware, office.writes) == ("done", 0, 0, [])
    assert not [call for call in office.advo.journal if call.method == "DELETE"]


def test_no_number_that_no_person_typed_stands_in_either_system(tmp_path: Path) -> None:
    """Typed strings of the corpus spread over a firm, several to a person, on both sides; an edit of them, too."""
    office = Practice.of(tmp_path, 150, seed=11)
    people = list(office.linked())
    lines = typed()
    for place, line in enumerate(lines):
        entity_id, betnr = people[place * 7 % len(people)]
        office.advo.add_row(betnr, line.value)
        if line.certain and line.channel is Channel.PHONE and ";" not in line.says and place % 3 == 0:
            items = office.espo.items(entity_id)
            if line.says not in [item.get("phoneNumber") for item in items]:
                office.espo.edit(entity_id, phones=[*phones_of(items), (line.says, "Other")])
    known = {betnr: values_typed(office, entity_id, betnr) for entity_id, betnr in people}
    assert office.run().outcome == "done"
    assert invented(office, known) == {}
    for sweep in (False, True):
        quiet = office.run(sweep=sweep)
        assert (quiet.outcome, office.writes) == ("done", [])
    for place, (_, betnr) in enumerate(people[:60]):
        row = next(row["id"] for row in office.advo.rows(betnr) if row["tlf"])
        office.advo.edit_row(betnr, row, value=lines[place * 5].value)
        known[betnr].add(lines[place * 5].value)
    for sweep in (True, False):
        assert office.run(sweep=sweep).outcome == "done"
        assert invented(office, known) == {}
    assert office.run(sweep=True).outcome == "done"
    assert office.writes == []


def phones_of(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if "phoneNumber" in item]


def values_typed(office: Practice, entity_id: str, betnr: int) -> set[str]:
    """What stands on either side of a person."""
    items = office.espo.items(entity_id)
    shown = {item.get("phoneNumber") or item["emailAddress"] for item in items}
    return shown | {row["tlf"] for row in office.advo.rows(betnr) if row["tlf"]}


def channel_of(value: str) -> Channel:
    """By its shape; an "@" may be typed in full width."""
    return Channel.MAIL if "@" in normalize("NFKC", value) else Channel.PHONE


def invented(office: Practice, known: dict[int, set[str]]) -> dict[int, set[str]]:
    """By person: what stands there now that nobody typed, and that is not what something typed certainly says."""
    result = {}
    for entity_id, betnr in office.linked():
        if betnr in known:
            says = [classify(channel_of(value), value, REGION) for value in known[betnr]]
            certain = {one.canonical for one in says if one is not None and one.clarity is Clarity.CERTAIN}
            now = values_typed(office, entity_id, betnr) - known[betnr]
            if more := {value for value in now if value.lower() not in certain}:
                result[betnr] = more
    return result


def test_a_plan_changes_nothing_and_says_what_the_sync_then_writes(tmp_path: Path) -> None:
    office = Practice.of(tmp_path, 40)
    office.run()
    random_edits(office.espo, office.advo, 25, seed=9)
    office.clock.advance(60)
    before = picture(office)
    plan = office.run(trigger="plan", write=False)
    assert plan.exit_code() == (2 if plan.outcome == "done" else 3)
    assert office.writes == []
    assert picture(office) == before
    office.clock.advance(-900)
    office.run()
    done = remembered(
        office,
        "select entity_id, variant, side, action, komm_id, old_value, new_value from changes"
        " where run_id = (select max(id) from runs) and state = 'done' and action <> 'create'",
    )
    told = ("entity_id", "variant", "side", "action", "komm_id", "old_value", "new_value")
    planned = [dict(one) for one in plan.changes]
    shown = {tuple(one[name] for name in told) for one in planned if one["action"] != "create"}
    assert set(done) == shown
    assert shown


def test_losing_the_state_store_writes_nothing_to_advoware_and_doubles_nothing(tmp_path: Path) -> None:
    office = Practice.of(tmp_path, 60)
    office.run()
    office.run()
    rows = {betnr: office.advo.rows(betnr) for _, betnr in office.linked()}
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    again = office.run()
    assert again.outcome == "done"
    assert office.advo.writes == []
    assert {betnr: office.advo.rows(betnr) for _, betnr in office.linked()} == rows
    assert office.run(sweep=True).writes.advoware == 0


@pytest.mark.parametrize("answer", ["cut short", "html", "no rows", "no ids"])
def test_an_odd_answer_of_advoware_loses_nothing_and_says_what_it_was(tmp_path: Path, answer: str) -> None:
    office = Practice.of(tmp_path, 6)
    office.run()
    random_edits(office.espo, office.advo, 4, seed=2)
    before = both_sides(office)
    office.advo.after = odd_answers(answer)
    report = office.run(sweep=True)
    assert report.outcome in ("outage", "failed_persons")
    told = report.error or " ".join(one["error"] for one in report.errors)
    assert "Advoware" in told
    assert both_sides(office)[1] == before[1]
    office.advo.after = None
    office.clock.advance(3600)
    office.run(sweep=True)
    office.run(sweep=True)
    assert office.disagreements() == []


def odd_answers(kind: str) -> Any:
    def after(call: Call, answer: Answer) -> Answer | None:
        if call.method != "GET" or "/Beteiligte/" not in call.path:
            return None
        if kind == "html":
            page = b"<html><h1>Wartung</h1></html>"
            return answer._replace(status=200, headers={"Content-Type": "text/html"}, body=page)
        if kind == "cut short":
            return answer._replace(body=answer.body[: len(answer.body) // 2])
        gone = b'"kommunikation"' if kind == "no rows" else b'"id"'
        return answer._replace(body=answer.body.replace(gone, b'"anderes"'))

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
    office = Practice.of(tmp_path, 0)
    office.espo.add_person("Max Muster", 4711, phones=[("+495111234560", "Office"), ("+495111234561", "Office")])
    office.advo.add_person(4711, "Max Muster")
    row = office.advo.add_row(4711, "0511/1234560", remark)
    assert office.run().outcome == "done"
    stands = {one["id"]: one["bemerkung"] for one in office.advo.rows(4711)}[row]
    kept = own_text(remark) if remark.startswith("[ESPOCRM") else remark
    assert stands.endswith(kept)
    assert office.run(sweep=True).writes.advoware == 0


def test_no_secret_is_in_any_output_log_or_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    logging.getLogger().setLevel(logging.DEBUG)
    office = Practice.of(tmp_path, 20)
    office.run()
    office.advo.login.revoke()
    random_edits(office.espo, office.advo, 10, seed=1)
    report = office.run(sweep=True)
    office.espo.before = refuse_writes
    office.run(sweep=True)
    shown = "".join(capfd.readouterr()) + report.to_json() + repr(office.config)
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))
    logins = [espocrm_login.API_KEY, advoware_login.API_KEY, advoware_login.PASSWORD]
    assert office.advo.login.given > 1
    for secret in [*logins, "sandbox-token-", "sandbox-refresh-"]:
        assert secret not in shown
        assert secret.encode() not in stored


def picture(office: Practice) -> tuple[Any, ...]:
    """Both systems, and of the store what a plan must leave alone."""
    tables = ("persons", "espo_entries", "advo_entries", "baseline", "left_alone", "conflicts", "holds", "settings")
    return both_sides(office), *(remembered(office, f"select * from {table}") for table in tables)


def both_sides(office: Practice) -> tuple[Any, Any]:
    items = {entity_id: office.espo.record(entity_id) for entity_id, _ in office.linked()}
    return items, {betnr: office.advo.rows(betnr) for _, betnr in office.linked()}
