"""``backfill``: whom it takes, that a kill loses and repeats nothing, and that the regular run keeps its rhythm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from etl.errors import ConfigError
from etl.records import Channel, Direction
from etl.rules.canonical import canonical
from jobs.config import Config
from jobs.exit_codes import ExitCode
from jobs.options import Selection
from jobs.pipeline import Options, run, run_once
from jobs.sandbox import firm
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import Answer, Call
from jobs.selecting import selection_of
from jobs.world import World
from tests.notation import own_text
from tests.office import Office

PERSONS = int(os.environ.get("BACKFILL_PERSONS", "36"))
"""The full test has 2,000, by hand: BACKFILL_PERSONS=2000 pytest tests/jobs/test_backfill.py -k killed."""

KILLS = 5 if PERSONS >= 1000 else 3


def backfill(office: Office, write: bool = True, direction: Direction | None = None, **marks: Any) -> Any:  # noqa: FBT001, FBT002
    office.clock.advance(300)
    office.runs.append([])
    asked = Options(
        trigger="backfill" if write else "plan", backfill=Selection(**marks), write=write, direction=direction
    )
    return run(office.config, asked, world=office.world)


def four(office: Office) -> list[str]:
    """Four persons, each with a number only EspoCRM has."""
    entities = []
    for number in range(4):
        entities.append(office.espo.add_person(f"P{number}", 104711 + number, phones=[f"+49511123456{number}"]))
        office.advo.add_person(104711 + number, f"P{number}")
    return entities


def written(office: Office) -> list[int]:
    """Whose rows hold a value in Advoware."""
    return [betnr for betnr in range(104711, 104715) if any(row["tlf"] for row in office.advo.rows(betnr))]


# Whom it takes ----------------------------------------------------------------------------------------------------


def test_all_takes_everybody_in_chunks_of_which_each_is_a_run(office: Office) -> None:
    four(office)
    report = backfill(office, everybody=True, chunk=3)
    assert (report.outcome, report.persons.seen, report.variants) == ("done", 4, {"var1": 4})
    assert written(office) == [104711, 104712, 104713, 104714]
    assert report.chunks == [1, 2]
    assert office.remembered("select id, part_of, trigger, outcome, persons_seen from runs") == [
        (1, None, "backfill", "done", 3),
        (2, 1, "backfill", "done", 1),
    ]


def test_a_backfill_that_is_resumed_goes_on_as_part_of_the_one_that_was_begun(office: Office) -> None:
    four(office)
    office.clock.advance(300)
    begun = Options(trigger="backfill", backfill=Selection(everybody=True, chunk=1))
    assert run_once(office.config, begun, world=office.world).goes_on
    backfill(office, resume=True)
    assert written(office) == [104711, 104712, 104713, 104714]
    assert office.remembered("select part_of from runs order by id") == [(None,), (1,), (1,), (1,)]


def test_betnr_and_entity_take_those_named_and_tell_of_those_unknown(office: Office) -> None:
    entities = four(office)
    report = backfill(office, betnrs=(104711, 99), entities=(entities[2], "nobody"))
    assert written(office) == [104711, 104713]
    assert report.notices == ["no record in EspoCRM carries betnr 99", "EspoCRM has no record nobody"]


def test_since_and_status_narrow_the_selection(office: Office) -> None:
    entities = four(office)
    office.clock.advance(86_400)
    office.espo.edit(entities[1], description="x")
    backfill(office, since="2026-08-31 00:00:00")
    assert written(office) == [104712]
    office.espo.edit(entities[3], syncStatus="failed")
    backfill(office, statuses=("failed",))
    assert written(office) == [104712, 104714]


def test_a_direction_holds_for_all_chunks(office: Office) -> None:
    four(office)
    backfill(office, everybody=True, chunk=1, direction=Direction.TO_ESPOCRM)
    assert written(office) == []
    assert set(office.remembered("select direction from runs")) == {("to_espocrm",)}


def test_a_dry_run_shows_the_whole_plan_and_changes_nothing(office: Office) -> None:
    four(office)
    report = backfill(office, write=False, everybody=True, chunk=2)
    assert (report.exit_code(), len(report.changes), office.writes) == (ExitCode.CHANGES_PLANNED, 4, [])
    assert office.remembered("select count(*) from persons") == [(0,)]
    assert office.remembered("select key from settings where key like 'backfill%'") == []


def test_the_periodic_cursor_stays_and_an_edit_seen_by_a_backfill_is_not_lost(office: Office) -> None:
    entities = four(office)
    office.run()
    cursor = office.remembered("select value from settings where key = 'cursor'")
    office.espo.edit(entities[0], phones=["+495119998877"])
    backfill(office, everybody=True)
    assert office.remembered("select value from settings where key = 'cursor'") == cursor
    assert [row["tlf"] for row in office.advo.rows(104711)] == ["+495119998877"]
    assert office.run().variants == {}


def test_there_is_nothing_to_resume_after_the_end(office: Office) -> None:
    four(office)
    backfill(office, everybody=True)
    with pytest.raises(ConfigError, match="no backfill to resume"):
        backfill(office, resume=True)


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        ({}, "Say whom"),
        ({"resume": True, "everybody": True}, "leave the others out"),
        ({"everybody": True, "betnrs": [1]}, "--all means everybody"),
        ({"since": "yesterday"}, "a day is written like"),
        ({"statuses": ["broken"]}, "there is pending_sync"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(marks: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        selection_of(**marks)


# Others beside it -------------------------------------------------------------------------------------------------


def test_a_sync_that_comes_during_a_chunk_runs_before_the_next_chunk(tmp_path: Path) -> None:
    espo, advo = EspoSim(), AdvoSim()
    firm.fill(espo, advo, 12, seed=3)
    settle(espo)
    with Servers(espo, advo) as servers:
        config = Config.model_validate({**servers.config(), "state": {"path": str(tmp_path / "state.db")}})
        reports: dict[str, Any] = {}
        sync = threading.Thread(target=lambda: reports.update(sync=run(config, Options(), world=World(durable=False))))

        def during_the_first_chunk(call: Call) -> Answer | None:
            if call.is_write and not sync.ident:
                sync.start()
            return None

        advo.before = during_the_first_chunk
        asked = Options(trigger="backfill", backfill=Selection(everybody=True, chunk=4))
        reports["backfill"] = run(config, asked, world=World(durable=False))
        sync.join()
    assert {name: one.outcome for name, one in reports.items()} == {"sync": "done", "backfill": "done"}
    assert reports["sync"].run_id == reports["backfill"].run_id + 1, "it came second, not last"


# Killed -----------------------------------------------------------------------------------------------------------


class Undertaker:
    """Kills a process in the middle of the n-th request it sends, before or after it took effect."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.left = 0
        self.after = False

    def wait(self, process: subprocess.Popen[str], requests: int, *, after: bool) -> None:
        self.process, self.left, self.after = process, requests, after

    def __call__(self, call: Call, *, after: bool) -> None:
        if self.process is None or call.is_login or after is not self.after:
            return
        self.left -= 1
        if self.left <= 0:
            self.process.kill()
            self.process.wait()
            self.process = None


def of_firm(espo: EspoSim, advo: AdvoSim) -> dict[int, Any]:
    """Both sides by betnr, without ids, which depend on the order of things."""
    linked = {one.values["betnr"]: one.id for one in espo.store.records.values()}
    return {
        betnr: (
            sorted((value_of(one), one.get("type") or "", one["primary"]) for one in espo.items(entity_id)),
            sorted(
                (row["tlf"] or "", row["kommKz"], own_text(row["bemerkung"]), row["bemerkung"] or "")
                for row in advo.rows(betnr)
            ),
            espo.record(entity_id)["syncStatus"],
        )
        for betnr, entity_id in linked.items()
        if betnr is not None
    }


def value_of(item: dict[str, Any]) -> str:
    if "phoneNumber" in item:
        return canonical(Channel.PHONE, item["phoneNumber"], "DE") or ""
    return canonical(Channel.MAIL, item["emailAddress"], "DE") or ""


def undisturbed(folder: Path) -> dict[int, Any]:
    espo, advo = EspoSim(), AdvoSim()
    firm.fill(espo, advo, PERSONS, seed=11)
    settle(espo)
    with Servers(espo, advo) as servers:
        config = Config.model_validate({**servers.config(), "state": {"path": str(folder / "undisturbed.db")}})
        asked = Options(trigger="backfill", backfill=Selection(everybody=True, chunk=PERSONS // 6))
        assert run(config, asked, world=World(durable=False)).outcome == "done"
    return of_firm(espo, advo)


def settle(espo: EspoSim) -> None:
    """The firm was typed in a minute ago, so no record counts as half written."""
    espo.clock.advance(60)  # type: ignore[attr-defined]  # the sandbox's own clock


@pytest.mark.slow
def test_a_backfill_killed_again_and_again_ends_as_an_undisturbed_one_and_writes_nobody_twice(tmp_path: Path) -> None:
    dice = Random(int(os.environ.get("BACKFILL_SEED", "7")))  # noqa: S311 - when to kill, no secret
    espo, advo = EspoSim(), AdvoSim()
    firm.fill(espo, advo, PERSONS, seed=11)
    settle(espo)
    undertaker = Undertaker()

    def before(call: Call) -> None:
        undertaker(call, after=False)

    def after(call: Call, _answer: Answer) -> None:
        undertaker(call, after=True)

    espo.before = advo.before = before
    espo.after = advo.after = after
    with Servers(espo, advo) as servers:
        file = tmp_path / "config.yaml"
        told = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        told["sync"] = {"persons_per_run": PERSONS // 12}  # a regular run takes some of them, not all
        told["advoware"]["poll_budget"] = PERSONS // 12
        told["espocrm"]["settle_seconds"] = 1  # whom a kill left half written has its turn again before the end
        file.write_text(yaml.safe_dump(told), "utf-8")
        command = [sys.executable, "-m", "jobs", "--config", str(file), "backfill", "--json"]
        selection = ["--all", "--chunk", str(PERSONS // 6)]
        for turn in range(KILLS):
            with (tmp_path / "log").open("a") as log:
                process = subprocess.Popen([*command, *selection], stdout=log, stderr=log, text=True)
            undertaker.wait(process, dice.randint(10, PERSONS), after=dice.random() < 0.5)
            assert process.wait(timeout=600) == -9
            selection = ["--resume"] if begun(tmp_path) else selection
            if turn == KILLS // 2:  # the regular run, when its time comes
                regular = run(Config.model_validate(told), Options(), world=World(durable=False))
                assert (regular.outcome, regular.persons.changed > 0) == ("done", True)
        done = subprocess.run([*command, *selection], capture_output=True, text=True, check=False, timeout=3600)
        assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "done"), done.stderr[-2000:]
    assert of_firm(espo, advo) == undisturbed(tmp_path)
    rows = Counter((call.path, call.body) for call in advo.writes)
    arrays = Counter((call.path, "") for call in espo.writes if re.search("(phoneNumber|emailAddress)Data", call.body))
    assert {key: count for key, count in (rows + arrays).items() if count > 1} == {}


def begun(folder: Path) -> bool:
    """Whether the killed one had made its selection."""
    import sqlite3  # noqa: PLC0415 - asked here alone

    with sqlite3.connect(folder / "state.db") as store:
        return bool(store.execute("select count(*) from settings where key = 'backfill'").fetchone()[0])
