"""``forget`` leaves no value of a person in any byte of store and copies; ``retry``, ``export``, ``conflicts``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.store.database import Store
from jobs.commands import conflicts, maintenance
from jobs.commands.export import export_view
from jobs.commands.forget import forget_by_key
from jobs.commands.operator_log import OperatorRequest
from jobs.commands.retry import retry_persons
from jobs.run.options import RunOptions
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.http_harness import HttpHarness

VALUES = ("511123456", "5111234561", "5111234562", "1234562", "max@muster.de", "Zentrale", "Max Muster", "Kawumm")
"""Values of the person, in each spelling, and parts of its sentences."""


def forget_result(harness: HttpHarness, key: str) -> dict[str, Any]:
    options = RunOptions(trigger="forget", operator="olga", reason="asked for by letter")
    return forget_by_key(harness.config, key, options, environment=harness.environment)


def bytes_by_file(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.parent.rglob("*")) if file.is_file()}


def files_holding(path: Path, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which file holds which value, as text or as any part of a marker."""
    return [
        (name, value) for name, content in bytes_by_file(path).items() for value in values if value.encode() in content
    ]


@pytest.fixture
def entity_id(http_harness: HttpHarness) -> str:
    """A person with a conflict, a failure that quotes it, and a copy of the store; and another one beside it."""
    espo, advo = http_harness.espo, http_harness.advo
    entity_id = espo.add_person("Max Muster", 104711, phones=["+495111234560"], mails=["max@muster.de"])
    advo.add_person(104711, "Max Muster")
    row = advo.add_row(104711, "0511/1234560", "Zentrale", komm_kz=1)
    espo.add_person("Erika Weiß", 104712, phones=["+493022334455"])
    advo.add_person(104712, "Erika Weiß")
    http_harness.run()
    espo.edit(entity_id, phones=["+495111234561"])
    advo.edit_row(104711, row, value="0511 1234562")
    http_harness.run()

    def refuse_array(call: SimRequest) -> SimResponse | None:
        is_refused = call.method == "PUT" and "phoneNumberData" in call.body
        return SimResponse(403, {"X-Status-Reason": "Kawumm 5111234561"}, b"") if is_refused else None

    hook_before, espo.before = espo.before, refuse_array
    advo.add_row(104711, "089 55667788", "Kawumm")
    http_harness.run(sweep=True)
    espo.before = hook_before
    http_harness.run(sweep=True)
    maintenance.back_up(
        http_harness.config,
        RunOptions(trigger="backup"),
        maintenance.MaintenanceArgs(),
        environment=http_harness.environment,
    )
    return entity_id


def test_a_person_who_is_linked_is_not_forgotten(http_harness: HttpHarness, entity_id: str) -> None:
    with pytest.raises(ConfigError, match=f"{entity_id} is linked to betnr 104711"):
        forget_result(http_harness, entity_id)
    assert http_harness.query_store("select count(*) from persons") == [(2,)]


def test_no_byte_of_a_forgotten_person_is_left_in_the_store_or_its_copies(
    http_harness: HttpHarness, entity_id: str
) -> None:
    path = http_harness.config.state.path
    assert {name for name, _ in files_holding(path, VALUES)} >= {path.name}
    assert [name for name in bytes_by_file(path) if name.startswith("state-")], "a backup is there"
    with Store.open(path, now="2026-08-30 10:00:00", durable=False) as store:
        store.set_setting("told_failed", f'["{entity_id}", "somebody else"]')
    http_harness.espo.delete(entity_id)
    http_harness.run(sweep=True)
    http_harness.clock.advance(600)
    http_harness.run()
    result = forget_result(http_harness, entity_id)
    assert (result["forgotten"], result["copies"]) == (1, 1)
    assert files_holding(path, VALUES) == []
    tables = [name for (name,) in http_harness.query_store("select name from sqlite_master where type = 'table'")]
    for table in tables:
        assert not [row for row in http_harness.query_store(f"select * from {table}") if entity_id in map(str, row)]
    assert http_harness.query_store("select value from settings where key = 'told_failed'") == [('["somebody else"]',)]
    assert http_harness.query_store("select name from persons") == [("Erika Weiß",)]
    assert http_harness.query_store("select espo_value from baseline") == [("+493022334455",)]
    assert http_harness.query_store("select operator, reason from runs where trigger = 'forget'") == [
        ("olga", "asked for by letter")
    ]
    assert http_harness.run(sweep=True).outcome == "done"


def test_forgetting_touches_no_copy_of_another_store_beside_it(http_harness: HttpHarness, entity_id: str) -> None:
    [copy] = (http_harness.path.parent / "backups").glob("state-*.db")
    neighbour, named = copy.with_name("state-nord-20260101-040000.db"), copy.with_name("before the move.db")
    for path in (neighbour, named):
        path.write_bytes(copy.read_bytes())
    http_harness.espo.edit(entity_id, betnr=None)
    http_harness.run(sweep=True)
    before = neighbour.read_bytes()
    assert forget_result(http_harness, entity_id)["copies"] == 2
    assert neighbour.read_bytes() == before


def test_a_person_whose_betnr_was_taken_out_can_be_forgotten_by_its_id(
    http_harness: HttpHarness, entity_id: str
) -> None:
    http_harness.espo.edit(entity_id, betnr=None)
    http_harness.run(sweep=True)
    assert forget_result(http_harness, entity_id)["forgotten"] == 1


def test_somebody_unknown_cannot_be_forgotten(http_harness: HttpHarness, entity_id: str) -> None:
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        forget_result(http_harness, "4711")
    assert entity_id


# Retry ------------------------------------------------------------------------------------------------------------


def fail_person(harness: HttpHarness, times: int) -> None:
    """A person that cannot be read in Advoware, so many runs running."""
    harness.espo.add_person("Max Muster", 104711, phones=["+495111234560"])
    harness.advo.add_person(104711, "Max Muster")
    hook_before = harness.advo.before

    def answer_list(call: SimRequest) -> SimResponse | None:
        is_of_person = call.path.endswith("/Beteiligte/104711")
        return SimResponse(200, {"Content-Type": "application/json"}, b"[]") if is_of_person else None

    harness.advo.before = answer_list
    for _ in range(times):
        harness.clock.advance(5 * 3600)
        harness.run()
    harness.advo.before = hook_before


@pytest.mark.parametrize(("times", "status"), [(1, "failed"), (5, "permanently_failed")])
@pytest.mark.parametrize("keys", [["104711"], []], ids=["named", "all"])
def test_retry_makes_who_failed_due_now(http_harness: HttpHarness, times: int, status: str, keys: list[str]) -> None:
    fail_person(http_harness, times)
    assert http_harness.query_store("select status, retry_count from persons") == [(status, times)]
    retry_result = retry_persons(
        http_harness.config, keys, OperatorRequest("olga", "repaired"), environment=http_harness.environment
    )
    assert [person["betnr"] for person in retry_result.persons] == [104711]
    assert http_harness.query_store("select trigger, operator, reason, outcome from runs order by id desc limit 1") == [
        ("retry", "olga", "repaired", "done")
    ]
    http_harness.clock.advance(-290)
    assert http_harness.run().variants == {"var1": 1}


def test_retry_of_somebody_unknown_does_nothing_at_all(http_harness: HttpHarness) -> None:
    fail_person(http_harness, 1)
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        retry_persons(
            http_harness.config, ["104711", "4711"], OperatorRequest("olga"), environment=http_harness.environment
        )
    assert http_harness.query_store("select count(*) from runs where trigger = 'retry'") == [(0,)]


def test_retry_lets_happen_again_what_was_undone_of_the_persons_named(http_harness: HttpHarness) -> None:
    from jobs.pipeline import run_to_completion  # noqa: PLC0415 - for this test alone

    http_harness.espo.add_person("Max Muster", 104711, phones=["+495111234560"])
    http_harness.advo.add_person(104711, "Max Muster")
    first = http_harness.run()
    run_to_completion(
        http_harness.config, RunOptions(trigger="undo", undo_run=first.run_id), environment=http_harness.environment
    )
    retry_persons(http_harness.config, [], OperatorRequest("olga"), environment=http_harness.environment)
    assert http_harness.run(sweep=True).variants == {}
    assert (
        retry_persons(
            http_harness.config, ["104711"], OperatorRequest("olga"), environment=http_harness.environment
        ).allowed
        == 1
    )
    assert http_harness.run().variants == {"var1": 1}


# Export and conflicts ---------------------------------------------------------------------------------------------


def test_a_view_leaves_as_csv_and_that_it_did_is_recorded(http_harness: HttpHarness, entity_id: str) -> None:
    text = export_view(
        http_harness.config, "open_conflicts", OperatorRequest("olga", "audit"), environment=http_harness.environment
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["entity_id"], row["advo_value"]) for row in rows] == [(entity_id, "0511 1234562")]
    assert http_harness.query_store("select operator, reason from runs where trigger = 'export'") == [("olga", "audit")]


def test_an_empty_view_has_its_line_of_names(http_harness: HttpHarness) -> None:
    http_harness.run()
    text = export_view(
        http_harness.config, "failing_persons", OperatorRequest("olga"), environment=http_harness.environment
    )
    assert text.startswith("entity_id,betnr,name,status,")
    assert text.count("\n") == 1


def test_only_views_are_exported(http_harness: HttpHarness) -> None:
    with pytest.raises(ConfigError, match="There is no view lease; there are last_runs, "):
        export_view(http_harness.config, "lease", OperatorRequest("olga"), environment=http_harness.environment)


def test_conflicts_are_listed_until_somebody_marks_them_as_seen(http_harness: HttpHarness, entity_id: str) -> None:
    (conflict,) = conflicts.list_lost_values(
        http_harness.config, everything=False, environment=http_harness.environment
    )
    assert (conflict["entity_id"], conflict["espo_value"], conflict["advo_value"]) == (
        entity_id,
        "+495111234561",
        "0511 1234562",
    )
    conflicts.mark_conflicts_seen(
        http_harness.config, [conflict["id"]], OperatorRequest("olga"), environment=http_harness.environment
    )
    assert conflicts.list_lost_values(http_harness.config, everything=False, environment=http_harness.environment) == []
    assert (
        len(conflicts.list_lost_values(http_harness.config, everything=True, environment=http_harness.environment)) == 1
    )
    with pytest.raises(ConfigError, match="There is no conflict 99"):
        conflicts.mark_conflicts_seen(
            http_harness.config, [99], OperatorRequest("olga"), environment=http_harness.environment
        )
