"""``backfill``: whom it takes, that a kill loses and repeats nothing, and that the regular run keeps its rhythm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from etl.errors import ConfigError, Stopped
from etl.records import Channel, Direction
from etl.rules.values.canonical import canonical
from jobs.config import Config
from jobs.exit_codes import ExitCode
from jobs.pipeline import RunOptions, run_once, run_to_completion
from jobs.run.options import Selection, parse_selection
from jobs.sandbox import firm
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.harness import REAL_TIME
from tests.http_harness import HttpHarness
from tests.notation import own_text_of_remark

if TYPE_CHECKING:
    from collections.abc import Callable

PERSONS = int(os.environ.get("BACKFILL_PERSONS", "36"))
"""The full test has 2,000, by hand: BACKFILL_PERSONS=2000 pytest tests/run/test_backfill.py -k killed."""

KILLS = 5 if PERSONS >= 1000 else 3


def backfill_report(
    harness: HttpHarness,
    write: bool = True,  # noqa: FBT001, FBT002
    direction: Direction | None = None,
    **selection: Any,
) -> Any:
    harness.clock.advance(300)
    harness.runs.append([])
    options = RunOptions(
        trigger="backfill" if write else "plan", backfill=Selection(**selection), write=write, direction=direction
    )
    return run_to_completion(harness.config, options, environment=harness.environment)


def add_four_persons(harness: HttpHarness) -> list[str]:
    """Four persons, each with a number only EspoCRM has."""
    entity_ids = []
    for number in range(4):
        entity_ids.append(harness.espo.add_person(f"P{number}", 104711 + number, phones=[f"+49511123456{number}"]))
        harness.advo.add_person(104711 + number, f"P{number}")
    return entity_ids


def betnrs_with_rows(harness: HttpHarness) -> list[int]:
    """Whose rows hold a value in Advoware."""
    return [betnr for betnr in range(104711, 104715) if any(row["tlf"] for row in harness.advo.rows(betnr))]


# Whom it takes ----------------------------------------------------------------------------------------------------


def test_all_takes_everybody_in_chunks_of_which_each_is_a_run(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)
    report = backfill_report(http_harness, everybody=True, chunk=3)
    assert (report.outcome, report.persons.seen, report.variants) == ("done", 4, {"var1": 4})
    assert betnrs_with_rows(http_harness) == [104711, 104712, 104713, 104714]
    assert report.chunks == [1, 2]
    assert http_harness.query_store("select id, part_of, trigger, outcome, persons_seen from runs") == [
        (1, None, "backfill", "done", 3),
        (2, 1, "backfill", "done", 1),
    ]


def test_a_backfill_that_is_resumed_goes_on_as_part_of_the_one_that_was_begun(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)
    http_harness.clock.advance(300)
    options = RunOptions(trigger="backfill", backfill=Selection(everybody=True, chunk=1))
    assert run_once(http_harness.config, options, environment=http_harness.environment).has_next_chunk
    backfill_report(http_harness, resume=True)
    assert betnrs_with_rows(http_harness) == [104711, 104712, 104713, 104714]
    assert http_harness.query_store("select part_of from runs order by id") == [(None,), (1,), (1,), (1,)]


def run_with_interruption(harness: HttpHarness, interrupt: Callable[[], object]) -> Any:
    """A backfill of four persons in chunks of one; ``interrupt`` is called once, between the first two."""
    waiting = [interrupt]

    def checkpoint() -> None:
        if waiting and harness.query_store("select 1 from runs where finished_at is not null"):
            waiting.pop()()

    harness.clock.advance(300)
    harness.runs.append([])
    options = RunOptions(trigger="backfill", backfill=Selection(everybody=True, chunk=1))
    return run_to_completion(
        harness.config, options, environment=replace(harness.environment, checkpoint=checkpoint)
    )


@pytest.mark.parametrize(
    ("is_through", "successor"), [(True, "another, which is through,"), (False, "that of run 2")]
)
def test_a_backfill_whose_place_another_took_says_so_and_leaves_its_persons_alone(
    http_harness: HttpHarness, successor: str, *, is_through: bool
) -> None:
    """It went on with the other's persons in the other's direction, or ended as refused (issue 17, point 16)."""
    entity_ids = add_four_persons(http_harness)

    def begin_another() -> None:
        named = () if not is_through else (entity_ids[3],)
        options = RunOptions(
            trigger="backfill", backfill=Selection(everybody=not is_through, entities=named, chunk=1)
        )
        run_once(http_harness.config, options, environment=http_harness.environment)

    report = run_with_interruption(http_harness, begin_another)
    assert (report.outcome, report.error) == (
        "stopped", f"This backfill ended, because {successor} took its place.",
    )  # fmt: skip
    assert report.run_ids == [1]
    assert not [notice for notice in report.notices if "--resume" in notice]
    assert len(http_harness.query_store("select id from runs")) == 2


def test_a_backfill_that_was_stopped_says_how_it_goes_on(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)

    def stop() -> None:
        raise Stopped("Stopped by SIGINT")

    report = run_with_interruption(http_harness, stop)
    assert report.outcome == "stopped"
    assert report.notices == ["3 persons of the backfill are left; `advosync backfill --resume` goes on"]
    assert backfill_report(http_harness, resume=True).outcome == "done"
    assert betnrs_with_rows(http_harness) == [104711, 104712, 104713, 104714]


def test_betnr_and_entity_take_those_named_and_tell_of_those_unknown(http_harness: HttpHarness) -> None:
    entity_ids = add_four_persons(http_harness)
    report = backfill_report(http_harness, betnrs=(104711, 99), entities=(entity_ids[2], "nobody"))
    assert betnrs_with_rows(http_harness) == [104711, 104713]
    assert report.notices == ["no record in EspoCRM carries betnr 99", "EspoCRM has no record nobody"]


def test_since_and_status_narrow_the_selection(http_harness: HttpHarness) -> None:
    entity_ids = add_four_persons(http_harness)
    http_harness.clock.advance(86_400)
    http_harness.espo.edit(entity_ids[1], description="x")
    backfill_report(http_harness, since="2026-08-31 00:00:00")
    assert betnrs_with_rows(http_harness) == [104712]
    http_harness.espo.edit(entity_ids[3], syncStatus="failed")
    backfill_report(http_harness, statuses=("failed",))
    assert betnrs_with_rows(http_harness) == [104712, 104714]


def test_a_direction_holds_for_all_chunks(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)
    backfill_report(http_harness, everybody=True, chunk=1, direction=Direction.TO_ESPOCRM)
    assert betnrs_with_rows(http_harness) == []
    assert set(http_harness.query_store("select direction from runs")) == {("to_espocrm",)}


def test_a_dry_run_shows_the_whole_plan_and_changes_nothing(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)
    report = backfill_report(http_harness, write=False, everybody=True, chunk=2)
    assert (report.exit_code(), len(report.changes), http_harness.writes) == (ExitCode.CHANGES_PLANNED, 4, [])
    assert http_harness.query_store("select count(*) from persons") == [(0,)]
    assert http_harness.query_store("select key from settings where key like 'backfill%'") == []


def test_the_periodic_cursor_stays_and_an_edit_seen_by_a_backfill_is_not_lost(http_harness: HttpHarness) -> None:
    entity_ids = add_four_persons(http_harness)
    http_harness.run()
    cursor = http_harness.query_store("select value from settings where key = 'cursor'")
    http_harness.espo.edit(entity_ids[0], phones=["+495119998877"])
    backfill_report(http_harness, everybody=True)
    assert http_harness.query_store("select value from settings where key = 'cursor'") == cursor
    assert [row["tlf"] for row in http_harness.advo.rows(104711)] == ["+495119998877"]
    assert http_harness.run().variants == {}


def test_there_is_nothing_to_resume_after_the_end(http_harness: HttpHarness) -> None:
    add_four_persons(http_harness)
    backfill_report(http_harness, everybody=True)
    with pytest.raises(ConfigError, match="no backfill to resume"):
        backfill_report(http_harness, resume=True)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({}, "Say whom"),
        ({"resume": True, "everybody": True}, "leave the others out"),
        ({"everybody": True, "betnrs": [1]}, "--all means everybody"),
        ({"since": "yesterday"}, "a day is written like"),
        ({"statuses": ["broken"]}, "there is pending_sync"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(selection: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_selection(**selection)


def test_since_a_day_means_since_midnight_in_the_firm() -> None:
    assert parse_selection(since="2026-08-31", zone=ZoneInfo("Europe/Berlin")).since == "2026-08-30 22:00:00"


# Others beside it -------------------------------------------------------------------------------------------------


def test_a_sync_that_comes_during_a_chunk_runs_before_the_next_chunk(tmp_path: Path) -> None:
    espo, advo = EspoSim(), AdvoSim()
    firm.fill_firm(espo, advo, 12, seed=3)
    age_records(espo)
    with Servers(espo, advo) as servers:
        config = Config.model_validate({**servers.config(), "state": {"path": str(tmp_path / "state.db")}})
        reports: dict[str, Any] = {}
        sync = threading.Thread(
            target=lambda: reports.update(
                sync=run_to_completion(config, RunOptions(), environment=REAL_TIME)
            )
        )

        def start_sync_at_first_write(call: SimRequest) -> SimResponse | None:
            if call.is_write and not sync.ident:
                sync.start()
            return None

        advo.before = start_sync_at_first_write
        options = RunOptions(trigger="backfill", backfill=Selection(everybody=True, chunk=4))
        reports["backfill"] = run_to_completion(config, options, environment=REAL_TIME)
        sync.join()
    assert {name: report.outcome for name, report in reports.items()} == {"sync": "done", "backfill": "done"}
    assert reports["sync"].run_id == reports["backfill"].run_id + 1, "it came second, not last"


# Killed -----------------------------------------------------------------------------------------------------------


class ProcessKiller:
    """Kills a process in the middle of the n-th request it sends, before or after it took effect."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.calls_left = 0
        self.after = False

    def arm(self, process: subprocess.Popen[str], requests: int, *, after: bool) -> None:
        self.process, self.calls_left, self.after = process, requests, after

    def __call__(self, call: SimRequest, *, after: bool) -> None:
        if self.process is None or call.is_login or after is not self.after:
            return
        self.calls_left -= 1
        if self.calls_left <= 0:
            self.process.kill()
            self.process.wait()
            self.process = None


def contents_by_betnr(espo: EspoSim, advo: AdvoSim) -> dict[int, Any]:
    """Both sides by betnr, without ids, which depend on the order of things."""
    linked = {record.values["betnr"]: record.id for record in espo.store.records.values()}
    return {
        betnr: (
            sorted(
                (canonical_item_value(item), item.get("type") or "", item["primary"]) for item in espo.items(entity_id)
            ),
            sorted(
                (row["tlf"] or "", row["kommKz"], own_text_of_remark(row["bemerkung"]), row["bemerkung"] or "")
                for row in advo.rows(betnr)
            ),
            espo.record(entity_id)["syncStatus"],
        )
        for betnr, entity_id in linked.items()
        if betnr is not None
    }


def canonical_item_value(item: dict[str, Any]) -> str:
    if "phoneNumber" in item:
        return canonical(Channel.PHONE, item["phoneNumber"], "DE") or ""
    return canonical(Channel.MAIL, item["emailAddress"], "DE") or ""


def contents_without_kill(folder: Path) -> dict[int, Any]:
    espo, advo = EspoSim(), AdvoSim()
    firm.fill_firm(espo, advo, PERSONS, seed=11)
    age_records(espo)
    with Servers(espo, advo) as servers:
        config = Config.model_validate({**servers.config(), "state": {"path": str(folder / "undisturbed.db")}})
        options = RunOptions(trigger="backfill", backfill=Selection(everybody=True, chunk=PERSONS // 6))
        assert run_to_completion(config, options, environment=REAL_TIME).outcome == "done"
    return contents_by_betnr(espo, advo)


def age_records(espo: EspoSim) -> None:
    """The firm was typed in a minute ago, so no record counts as half written."""
    espo.clock.advance(60)  # type: ignore[attr-defined]  # the sandbox's own clock


@pytest.mark.slow
def test_a_backfill_killed_again_and_again_ends_as_an_undisturbed_one_and_writes_nobody_twice(tmp_path: Path) -> None:
    random_numbers = Random(int(os.environ.get("BACKFILL_SEED", "7")))  # noqa: S311 - when to kill, no secret
    espo, advo = EspoSim(), AdvoSim()
    firm.fill_firm(espo, advo, PERSONS, seed=11)
    age_records(espo)
    killer = ProcessKiller()

    def before(call: SimRequest) -> None:
        killer(call, after=False)

    def after(call: SimRequest, _answer: SimResponse) -> None:
        killer(call, after=True)

    espo.before = advo.before = before
    espo.after = advo.after = after
    with Servers(espo, advo) as servers:
        config_file = tmp_path / "config.yaml"
        config_document = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        config_document["sync"] = {"persons_per_run": PERSONS // 12}  # a regular run takes some of them, not all
        config_document["advoware"]["poll_budget"] = PERSONS // 12
        config_document["espocrm"]["settle_seconds"] = (
            1  # whom a kill left half written has its turn again before the end
        )
        config_file.write_text(yaml.safe_dump(config_document), "utf-8")
        command = [sys.executable, "-m", "jobs", "--config", str(config_file), "backfill", "--json"]
        selection = ["--all", "--chunk", str(PERSONS // 6)]
        for kill_number in range(KILLS):
            with (tmp_path / "log").open("a") as log:
                process = subprocess.Popen([*command, *selection], stdout=log, stderr=log, text=True)
            killer.arm(process, random_numbers.randint(10, PERSONS), after=random_numbers.random() < 0.5)
            assert process.wait(timeout=600) == -9
            selection = ["--resume"] if has_selection(tmp_path) else selection
            if kill_number == KILLS // 2:  # the regular run, when its time comes
                regular_report = run_to_completion(
                    Config.model_validate(config_document), RunOptions(), environment=REAL_TIME
                )
                assert (regular_report.outcome, regular_report.persons.changed > 0) == ("done", True)
        process_at_end = subprocess.run(
            [*command, *selection], capture_output=True, text=True, check=False, timeout=3600
        )
        assert (process_at_end.returncode, json.loads(process_at_end.stdout)["outcome"]) == (0, "done"), (
            process_at_end.stderr[-2000:]
        )
    assert contents_by_betnr(espo, advo) == contents_without_kill(tmp_path)
    rows = Counter((call.path, call.body) for call in advo.writes)
    arrays = Counter((call.path, "") for call in espo.writes if re.search("(phoneNumber|emailAddress)Data", call.body))
    assert {key: count for key, count in (rows + arrays).items() if count > 1} == {}


def has_selection(folder: Path) -> bool:
    """Whether the killed one had made its selection."""
    import sqlite3  # noqa: PLC0415 - asked here alone

    with sqlite3.connect(folder / "state.db") as store:
        return bool(store.execute("select count(*) from settings where key = 'backfill'").fetchone()[0])
