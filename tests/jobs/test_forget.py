"""``forget`` leaves no value of a person in any byte of store and copies; ``retry``, ``export``, ``conflicts``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.store.database import Store
from jobs import conflicts, maintenance
from jobs.export import export
from jobs.forget import forget
from jobs.options import Options
from jobs.recorded import Asked
from jobs.retry import retry
from jobs.sandbox.simulator import Answer, Call
from tests.office import Office

VALUES = ("511123456", "5111234561", "5111234562", "1234562", "max@muster.de", "Zentrale", "Max Muster", "Kawumm")
"""Values of the person, in each spelling, and parts of its sentences."""


def forgotten(office: Office, key: str) -> dict[str, Any]:
    asked = Options(trigger="forget", operator="olga", reason="asked for by letter")
    return forget(office.config, key, asked, world=office.world)


def bytes_beside(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in sorted(path.parent.rglob("*")) if one.is_file()}


def found_in(path: Path, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which file holds which value, as text or as any part of a marker."""
    return [
        (name, value) for name, content in bytes_beside(path).items() for value in values if value.encode() in content
    ]


@pytest.fixture
def entity(office: Office) -> str:
    """A person with a conflict, a failure that quotes it, and a copy of the store; and another one beside it."""
    espo, advo = office.espo, office.advo
    entity = espo.add_person("Max Muster", 104711, phones=["+495111234560"], mails=["max@muster.de"])
    advo.add_person(104711, "Max Muster")
    row = advo.add_row(104711, "0511/1234560", "Zentrale", komm_kz=1)
    espo.add_person("Erika Weiß", 104712, phones=["+493022334455"])
    advo.add_person(104712, "Erika Weiß")
    office.run()
    espo.edit(entity, phones=["+495111234561"])
    advo.edit_row(104711, row, value="0511 1234562")
    office.run()

    def refuses(call: Call) -> Answer | None:
        refused = call.method == "PUT" and "phoneNumberData" in call.body
        return Answer(403, {"X-Status-Reason": "Kawumm 5111234561"}, b"") if refused else None

    sound, espo.before = espo.before, refuses
    advo.add_row(104711, "089 55667788", "Kawumm")
    office.run(sweep=True)
    espo.before = sound
    office.run(sweep=True)
    maintenance.back_up(office.config, Options(trigger="backup"), maintenance.Wish(), world=office.world)
    return entity


def test_a_person_who_is_linked_is_not_forgotten(office: Office, entity: str) -> None:
    with pytest.raises(ConfigError, match=f"{entity} is linked to betnr 104711"):
        forgotten(office, entity)
    assert office.remembered("select count(*) from persons") == [(2,)]


def test_no_byte_of_a_forgotten_person_is_left_in_the_store_or_its_copies(office: Office, entity: str) -> None:
    path = office.config.state.path
    assert {name for name, _ in found_in(path, VALUES)} >= {path.name}
    assert [name for name in bytes_beside(path) if name.startswith("state-")], "a backup is there"
    with Store.open(path, now="2026-08-30 10:00:00", durable=False) as store:
        store.set_setting("told_failed", f'["{entity}", "somebody else"]')
    office.espo.delete(entity)
    office.run(sweep=True)
    office.clock.advance(600)
    office.run()
    done = forgotten(office, entity)
    assert (done["forgotten"], done["copies"]) == (1, 1)
    assert found_in(path, VALUES) == []
    tables = [name for (name,) in office.remembered("select name from sqlite_master where type = 'table'")]
    for table in tables:
        assert not [row for row in office.remembered(f"select * from {table}") if entity in map(str, row)]
    assert office.remembered("select value from settings where key = 'told_failed'") == [('["somebody else"]',)]
    assert office.remembered("select name from persons") == [("Erika Weiß",)]
    assert office.remembered("select espo_value from baseline") == [("+493022334455",)]
    assert office.remembered("select operator, reason from runs where trigger = 'forget'") == [
        ("olga", "asked for by letter")
    ]
    assert office.run(sweep=True).outcome == "done"


def test_a_person_whose_betnr_was_taken_out_can_be_forgotten_by_its_id(office: Office, entity: str) -> None:
    office.espo.edit(entity, betnr=None)
    office.run(sweep=True)
    assert forgotten(office, entity)["forgotten"] == 1


def test_somebody_unknown_cannot_be_forgotten(office: Office, entity: str) -> None:
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        forgotten(office, "4711")
    assert entity


# Retry ------------------------------------------------------------------------------------------------------------


def failing(office: Office, times: int) -> None:
    """A person that cannot be read in Advoware, so many runs running."""
    office.espo.add_person("Max Muster", 104711, phones=["+495111234560"])
    office.advo.add_person(104711, "Max Muster")
    sound = office.advo.before

    def torn(call: Call) -> Answer | None:
        of_person = call.path.endswith("/Beteiligte/104711")
        return Answer(200, {"Content-Type": "application/json"}, b"[]") if of_person else None

    office.advo.before = torn
    for _ in range(times):
        office.clock.advance(5 * 3600)
        office.run()
    office.advo.before = sound


@pytest.mark.parametrize(("times", "status"), [(1, "failed"), (5, "permanently_failed")])
@pytest.mark.parametrize("keys", [["104711"], []], ids=["named", "all"])
def test_retry_makes_who_failed_due_now(office: Office, times: int, status: str, keys: list[str]) -> None:
    failing(office, times)
    assert office.remembered("select status, retry_count from persons") == [(status, times)]
    told = retry(office.config, keys, Asked("olga", "repaired"), world=office.world)
    assert [one["betnr"] for one in told.persons] == [104711]
    assert office.remembered("select trigger, operator, reason, outcome from runs order by id desc limit 1") == [
        ("retry", "olga", "repaired", "done")
    ]
    office.clock.advance(-290)
    assert office.run().variants == {"var1": 1}


def test_retry_of_somebody_unknown_does_nothing_at_all(office: Office) -> None:
    failing(office, 1)
    with pytest.raises(ConfigError, match="Nobody is known as 4711"):
        retry(office.config, ["104711", "4711"], Asked("olga"), world=office.world)
    assert office.remembered("select count(*) from runs where trigger = 'retry'") == [(0,)]


def test_retry_lets_happen_again_what_was_undone_of_the_persons_named(office: Office) -> None:
    from jobs.pipeline import run  # noqa: PLC0415 - for this test alone

    office.espo.add_person("Max Muster", 104711, phones=["+495111234560"])
    office.advo.add_person(104711, "Max Muster")
    first = office.run()
    run(office.config, Options(trigger="undo", undo_run=first.run_id), world=office.world)
    retry(office.config, [], Asked("olga"), world=office.world)
    assert office.run(sweep=True).variants == {}
    assert retry(office.config, ["104711"], Asked("olga"), world=office.world).allowed == 1
    assert office.run().variants == {"var1": 1}


# Export and conflicts ---------------------------------------------------------------------------------------------


def test_a_view_leaves_as_csv_and_that_it_did_is_recorded(office: Office, entity: str) -> None:
    text = export(office.config, "open_conflicts", Asked("olga", "audit"), world=office.world)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["entity_id"], row["advo_value"]) for row in rows] == [(entity, "0511 1234562")]
    assert office.remembered("select operator, reason from runs where trigger = 'export'") == [("olga", "audit")]


def test_an_empty_view_has_its_line_of_names(office: Office) -> None:
    office.run()
    text = export(office.config, "failing_persons", Asked("olga"), world=office.world)
    assert text.startswith("entity_id,betnr,name,status,")
    assert text.count("\n") == 1


def test_only_views_are_exported(office: Office) -> None:
    with pytest.raises(ConfigError, match="There is no view lease; there are last_runs, "):
        export(office.config, "lease", Asked("olga"), world=office.world)


def test_conflicts_are_listed_until_somebody_marks_them_as_seen(office: Office, entity: str) -> None:
    (one,) = conflicts.lost_values(office.config, everything=False, world=office.world)
    assert (one["entity_id"], one["espo_value"], one["advo_value"]) == (entity, "+495111234561", "0511 1234562")
    conflicts.mark(office.config, [one["id"]], Asked("olga"), world=office.world)
    assert conflicts.lost_values(office.config, everything=False, world=office.world) == []
    assert len(conflicts.lost_values(office.config, everything=True, world=office.world)) == 1
    with pytest.raises(ConfigError, match="There is no conflict 99"):
        conflicts.mark(office.config, [99], Asked("olga"), world=office.world)
