"""``status``: everything in one place, quick on a large store, and the promise as figures one can check by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.queries import status as queries
from etl.store.tables.holds import insert_holds
from etl.store.tables.persons import update_person
from etl.store.tables.runs import finish_run, start_run
from etl.times import format_utc, parse_utc
from jobs import cli
from jobs.commands.status import collect_status, parse_max_age, status_exit_code, status_rows
from jobs.exit_codes import ExitCode
from jobs.lock import Lease
from jobs.pipeline import run_to_completion
from jobs.promise import delivery_time, is_promise_kept
from jobs.run.options import RunOptions
from jobs.sandbox.simulator import Unreachable
from jobs.scheduler import note_scheduler, scheduler_mark, scheduler_presence
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from pathlib import Path


MAIL = "neu@kanzlei-muster.de"


@pytest.fixture
def harness(tmp_path: Path) -> CommandHarness:
    return CommandHarness(tmp_path, persons=6)


def current_status(harness: CommandHarness) -> dict[str, Any]:
    return collect_status(harness.config, harness.clock())


def lines_of_status(harness: CommandHarness) -> dict[str, str]:
    return dict(status_rows(current_status(harness), harness.clock(), harness.config.schedule.zone))


def test_status_says_that_nothing_was_ever_synced(harness: CommandHarness) -> None:
    assert "nothing was ever synced" in lines_of_status(harness)["State"]
    assert status_exit_code(current_status(harness), harness.clock(), timedelta(minutes=30)) is ExitCode.FAILED_PERSONS
    assert status_exit_code(current_status(harness), harness.clock(), None) is ExitCode.DONE


def test_after_a_run_everything_is_told(harness: CommandHarness) -> None:
    report = harness.run()
    harness.clock.advance(120)
    status = current_status(harness)
    assert status["last_run"]["id"] == report.run_id
    assert status["last_success"]["outcome"] == "done"
    assert status["persons"]["clean"] == report.persons.clean
    assert status["under_way"] is None
    assert len(status["instance"]["id"]) == 16
    assert status["next_runs"]["sync"] == "2026-08-31 06:17:00"
    lines_by_title = lines_of_status(harness)
    assert lines_by_title["Last success"] == "2 min ago"
    assert lines_by_title["Next"].startswith("sync in 13 min")
    assert lines_by_title["Held"] == "nobody"
    assert json.loads(json.dumps(status)) == status


def test_a_promise_is_made_only_where_runs_take_place_by_themselves(harness: CommandHarness) -> None:
    harness.run()
    assert lines_of_status(harness)["Scheduler"] == "none runs here"
    lines = lines_of_status(harness)
    assert lines["Promise"].startswith("an edit in EspoCRM arrives within")
    assert lines["Promise"].endswith("if a timer starts syncs here")  # the last run may be a timer's, or by hand
    assert lines["Next"].endswith("if a timer starts syncs here")
    harness.clock.advance(3600)
    assert not current_status(harness)["runs_by_itself"]
    assert lines_of_status(harness)["Promise"].startswith("none: nothing runs by itself here")
    mark = scheduler_mark(harness.environment)
    note_scheduler(harness.config, harness.environment, mark)
    assert current_status(harness)["scheduler"]["runs"]
    lines = lines_of_status(harness)
    assert lines["Promise"].startswith("an edit in EspoCRM arrives within")
    assert "timer" not in lines["Promise"] + lines["Next"]
    long_ago = {"host": "elsewhere", "seen_at": "2026-08-30 08:00:00"}
    for changes in ({"born": "another process of this number"}, long_ago):
        note_scheduler(harness.config, harness.environment, mark | changes)
        assert "died" in lines_of_status(harness)["Scheduler"]
        assert not current_status(harness)["runs_by_itself"]
    with scheduler_presence(harness.config, harness.environment):
        assert current_status(harness)["scheduler"]["runs"]
    assert current_status(harness)["scheduler"] is None


def test_an_overdue_run_is_named(harness: CommandHarness) -> None:
    harness.run()
    harness.clock.advance(7200)
    assert "overdue for 1 h 45 min" in lines_of_status(harness)["Next"]


@pytest.mark.parametrize(
    ("outcome", "fresh"),
    [("done", True), ("failed_persons", True), ("held", True), ("outage", False), ("stopped", False)],
)
def test_a_success_is_a_run_that_went_to_its_end(harness: CommandHarness, outcome: str, *, fresh: bool) -> None:
    with harness.open_store() as store:
        run_id = start_run(store, now=harness.environment.now(), version="1", trigger="sync")
        finish_run(store, run_id, now=harness.environment.now(), outcome=outcome)
    assert (status_exit_code(current_status(harness), harness.clock(), timedelta(minutes=30)) is ExitCode.DONE) is fresh


def test_an_outage_after_a_success_makes_the_success_older_and_older(harness: CommandHarness) -> None:
    harness.run()

    def raise_unreachable(_call: Any) -> None:
        raise Unreachable

    harness.advo.before = raise_unreachable
    for _ in range(3):
        harness.clock.advance(900)
        harness.run()
    status = current_status(harness)
    assert status["last_run"]["outcome"] == "outage"
    assert status_exit_code(status, harness.clock(), timedelta(minutes=30)) is ExitCode.FAILED_PERSONS
    assert status_exit_code(status, harness.clock(), timedelta(minutes=60)) is ExitCode.DONE


def test_plans_and_single_persons_are_no_success(harness: CommandHarness) -> None:
    harness.run(trigger="plan", write=False)
    harness.run(persons=("200001",))
    assert current_status(harness)["last_success"] is None


def test_trouble_is_told_in_one_place(harness: CommandHarness) -> None:
    run_id = harness.run().run_id
    first, second, third, *_ = [record.id for record in harness.espo.store.records.values() if record.values["betnr"]]
    now = harness.environment.now()
    with harness.open_store() as store:
        update_person(
            store, first, status="failed", next_retry_at=format_utc(harness.clock() + timedelta(minutes=5))
        )
        tomorrow = format_utc(harness.clock() + timedelta(days=1))
        update_person(store, second, status="permanently_failed", auto_reset_at=tomorrow)
        insert_holds(store, [{"run_id": run_id, "entity_id": third, "betnr": 1, "kind": "removals", "held_at": now}])
        queries.add_skipped_runs(store, "sync", 2, now)
        store.set_setting(queries.SWEEP_AFTER, "6a95")
        with Lease.acquire(store, host="here", pid=4711, is_alive=bool, lease_seconds=120, now=now):
            harness.clock.advance(60)
            lines_by_title = lines_of_status(harness)
    assert lines_by_title["Retries"] == "1 failed (next in 4 min), 1 permanently failed (next in 23 h 59 min)"
    assert lines_by_title["Held"] == f"1 by run {run_id} (removals); see `advosync held`"
    assert lines_by_title["Skipped"] == "2 × sync, last 1 min ago"
    assert lines_by_title["Sweep"] == "never; one is under way, behind 6a95"
    assert lines_by_title["Under way"] == "process 4711 on here, since 2026-08-31 08:02:00"
    assert lines_by_title["Persons"] == "3 clean, 1 failed, 1 permanently failed, 1 held"


@pytest.mark.parametrize(("text", "span"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400)])
def test_a_span_is_read_with_its_unit(text: str, span: int) -> None:
    assert parse_max_age(text).total_seconds() == span


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1w", "30 m x"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="30m"):
        parse_max_age(text)


# The promise ---------------------------------------------------------------------------------------------------


def delay_promise(harness: CommandHarness, linked: int, due: int = 0, longest: int = 0) -> tuple[float, float]:
    status = {"persons": {"clean": linked, "not_linked": 9}, "due": {"persons": due}, "longest_run_seconds": longest}
    delays = delivery_time(harness.config, status, harness.clock())
    return delays.espo_edit.total_seconds(), delays.advo_edit.total_seconds()


def test_the_promise_follows_from_interval_budget_and_number_of_persons(harness: CommandHarness) -> None:
    delay = 20 + 5  # jitter, and settling
    harness.configure(advoware={"poll_budget": 500, "max_requests_per_second": 10})
    assert delay_promise(harness, 250) == (900 + delay, 900 + delay)
    assert delay_promise(harness, 2500) == (900 + delay, 10 * 900 + delay)
    assert delay_promise(harness, 2500, due=2500, longest=60) == (3 * 900 + delay + 60, 10 * 900 + delay + 60)


def test_where_looks_would_take_longer_the_sweep_bounds_it(harness: CommandHarness) -> None:
    harness.configure(advoware={"poll_budget": 500, "max_requests_per_second": 10})
    assert delay_promise(harness, 250_000)[1] == 86_400 + 25 + 25_000
    harness.configure(advoware={"poll_budget": 0, "max_requests_per_second": 0})
    assert delay_promise(harness, 100)[1] == 86_400 + 25


def test_what_is_promised_is_kept(tmp_path: Path) -> None:
    """All are edited in Advoware right after a run, and one in EspoCRM too late to count as settled in the next."""
    harness = CommandHarness(tmp_path, persons=24, advoware={"poll_budget": 6})
    while harness.disagreements():
        harness.run()
    delays = current_status(harness)["promise"]
    people = [record.values["betnr"] for record in harness.espo.store.records.values() if record.values["betnr"]]
    in_advo_at = harness.clock()
    for number, betnr in enumerate(people):
        harness.advo.add_row(betnr, f"0511 43210{number:02}")
    harness.clock.advance(898)
    entity_id = next(
        record.id for record in harness.espo.store.records.values() if record.values["betnr"] == people[-1]
    )
    harness.espo.edit(entity_id, mails=[MAIL])
    in_espo_at, arrived_at = harness.clock(), None
    for until_the_next_run in chain([2], repeat(900)):
        harness.clock.advance(until_the_next_run)
        run_to_completion(harness.config, RunOptions(), environment=harness.environment)
        if MAIL in {row["tlf"] for row in harness.advo.rows(people[-1])}:
            arrived_at = arrived_at or harness.clock()
        if not harness.disagreements():
            break
    assert arrived_at is not None
    assert 900 < (arrived_at - in_espo_at).total_seconds() <= delays["espocrm_edit_seconds"]
    assert 1800 < (harness.clock() - in_advo_at).total_seconds() <= delays["advoware_edit_seconds"]
    status = current_status(harness)
    arrived = [status["measured"][f"{system}_edit"]["edits"] for system in ("espocrm", "advoware")]
    assert arrived == [1, len(people) - 1]  # EspoCRM's edit won over the one made in Advoware to the same person
    assert is_promise_kept(status, "espocrm_edit")
    assert is_promise_kept(status, "advoware_edit")


# The command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of a store with a quarter million persons."""
    folder = tmp_path_factory.mktemp("large")
    document = {
        "espocrm": {"url": "https://crm.example.de", "api_key": "${NOT_SET}"},
        "advoware": {"kanzlei": "a", "database": "b", "user": "c", "app_id": "x", "api_key": "x", "password": "x"},
        "state": {"path": str(folder / "state.db")},
    }
    config_file = folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(document), "utf-8")
    with Store.open(folder / "state.db", now="2026-08-30 10:00:00", durable=False) as store:
        store.execute(
            """
            with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 250000)
            insert into persons (entity_id, betnr, name, status, advo_seen_at, espo_modified_at, advo_fields, due_since)
            select
                printf('%017x', n),
                iif(n % 10, n, null),
                'Max Mustermann ' || n,
                iif(n % 10, iif(n % 97, 'clean', 'failed'), null),
                iif(n % 10, '2026-08-29 10:00:00', null),
                '2026-08-29 10:00:00',
                '{"mobil": "0171 2223334"}',
                iif(n % 500, null, '2026-08-29 10:00:00')
            from numbers
            """
        )
    return config_file


def test_status_answers_on_a_quarter_million_persons_within_a_second(
    large_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run_command_line(["--config", str(large_config), "status", "--json"])  # imports
    capsys.readouterr()
    started = time.process_time()
    assert cli.run_command_line(["--config", str(large_config), "status", "--json"]) == ExitCode.DONE
    assert time.process_time() - started < 1
    status = json.loads(capsys.readouterr().out)
    assert status["persons"] == {"clean": 222_680, "failed": 2320, "not_linked": 25_000}
    assert status["due"]["persons"] == 500


def test_status_on_the_screen_and_max_age(large_config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.run_command_line(["--config", str(large_config), "status", "--max-age", "30m"]) == ExitCode.FAILED_PERSONS
    )
    assert "222680 clean" in capsys.readouterr().out
    assert cli.run_command_line(["--config", str(large_config), "status", "--max-age", "soon"]) == ExitCode.USAGE


def test_each_figure_is_answered_by_an_index(large_config: Path) -> None:
    with Store.open(large_config.with_name("state.db"), now="2026-08-30 10:00:00", read_only=True) as store:
        oldest = (
            f"select advo_seen_at {queries.POLLED_PERSONS} and advo_seen_at is not null order by advo_seen_at limit 1"
        )
        for query in (queries.STATUS_COUNTS, oldest, "select count(*) from persons where due_since is not null"):
            steps = [row["detail"] for row in store.rows(f"explain query plan {query}")]
            assert all("INDEX" in step for step in steps if "persons" in step), steps


def test_looking_imports_no_pandas(large_config: Path) -> None:
    code = (
        f"import sys; from jobs.cli import run_command_line; "
        f"run_command_line(['--config', {str(large_config)!r}, 'status', '--json']); "
        "sys.exit(str({'pandas', 'numpy', 'httpx'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.strip().splitlines()[-1] == "set()"


def test_moments_are_read_back_as_they_were_written() -> None:
    assert parse_utc("2026-08-30 10:00:00") == datetime(2026, 8, 30, 10, tzinfo=UTC)
    assert format_utc(parse_utc("2026-08-30 10:00:00")) == "2026-08-30 10:00:00"
