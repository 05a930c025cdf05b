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
from etl.store import standing as queries
from etl.store.database import Store
from etl.store.holds import hold_persons
from etl.store.persons import update_person
from etl.store.runs import finish_run, start_run
from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.lock import Lease
from jobs.moments import text_of, time_of
from jobs.options import Options
from jobs.pipeline import run
from jobs.sandbox.simulator import Unreachable
from jobs.standing import age, exit_code, how_it_stands, lines, promised
from tests.firm import Firm

if TYPE_CHECKING:
    from pathlib import Path


MAIL = "neu@kanzlei-muster.de"


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm.of(tmp_path, persons=6)


def stands(firm: Firm) -> dict[str, Any]:
    return how_it_stands(firm.config, firm.clock())


def told(firm: Firm) -> dict[str, str]:
    return dict(lines(stands(firm), firm.clock()))


def test_before_anything_was_synced_it_says_so(firm: Firm) -> None:
    assert "nothing was ever synced" in told(firm)["State"]
    assert exit_code(stands(firm), firm.clock(), timedelta(minutes=30)) is ExitCode.FAILED_PERSONS
    assert exit_code(stands(firm), firm.clock(), None) is ExitCode.DONE


def test_after_a_run_everything_is_told(firm: Firm) -> None:
    report = firm.go()
    firm.clock.advance(120)
    found = stands(firm)
    assert found["last_run"]["id"] == report.run_id
    assert found["last_success"]["outcome"] == "done"
    assert found["persons"]["clean"] == report.persons.clean
    assert found["under_way"] is None
    assert len(found["instance"]["id"]) == 16
    assert found["next_runs"]["sync"] == "2026-08-31 06:17:00"
    said = told(firm)
    assert said["Last success"] == "2 min ago"
    assert said["Next"].startswith("sync in 13 min")
    assert said["Held"] == "nobody"
    assert json.loads(json.dumps(found)) == found


def test_an_overdue_run_is_named(firm: Firm) -> None:
    firm.go()
    firm.clock.advance(7200)
    assert "overdue for 1 h 45 min" in told(firm)["Next"]


@pytest.mark.parametrize(
    ("outcome", "fresh"),
    [("done", True), ("failed_persons", True), ("held", True), ("outage", False), ("stopped", False)],
)
def test_a_success_is_a_run_that_went_to_its_end(firm: Firm, outcome: str, *, fresh: bool) -> None:
    with firm.store() as store:
        run_id = start_run(store, now=firm.world.now(), version="1", trigger="sync")
        finish_run(store, run_id, now=firm.world.now(), outcome=outcome)
    assert (exit_code(stands(firm), firm.clock(), timedelta(minutes=30)) is ExitCode.DONE) is fresh


def test_an_outage_after_a_success_makes_the_success_older_and_older(firm: Firm) -> None:
    firm.go()

    def out(_call: Any) -> None:
        raise Unreachable

    firm.advo.before = out
    for _ in range(3):
        firm.clock.advance(900)
        firm.go()
    found = stands(firm)
    assert found["last_run"]["outcome"] == "outage"
    assert exit_code(found, firm.clock(), timedelta(minutes=30)) is ExitCode.FAILED_PERSONS
    assert exit_code(found, firm.clock(), timedelta(minutes=60)) is ExitCode.DONE


def test_plans_and_single_persons_are_no_success(firm: Firm) -> None:
    firm.go(trigger="plan", write=False)
    firm.go(persons=("200001",))
    assert stands(firm)["last_success"] is None


def test_trouble_is_told_in_one_place(firm: Firm) -> None:
    run_id = firm.go().run_id
    first, second, third, *_ = [one.id for one in firm.espo.store.records.values() if one.values["betnr"]]
    now = firm.world.now()
    with firm.store() as store:
        update_person(store, first, status="failed", next_retry_at=text_of(firm.clock() + timedelta(minutes=5)))
        tomorrow = text_of(firm.clock() + timedelta(days=1))
        update_person(store, second, status="permanently_failed", auto_reset_at=tomorrow)
        hold_persons(store, [{"run_id": run_id, "entity_id": third, "betnr": 1, "kind": "removals", "held_at": now}])
        queries.count_skipped(store, "sync", 2, now)
        store.set_setting(queries.SWEEP_AFTER, "6a95")
        with Lease.acquire(store, host="here", pid=4711, alive=bool, lease_seconds=120, now=now):
            firm.clock.advance(60)
            said = told(firm)
    assert said["Retries"] == "1 failed (next in 4 min), 1 permanently failed (next in 23 h 59 min)"
    assert said["Held"] == f"1 by run {run_id} (removals); see `advosync held`"
    assert said["Skipped"] == "2 × sync, last 1 min ago"
    assert said["Sweep"] == "never; one is under way, behind 6a95"
    assert said["Under way"] == f"process 4711 on here, since {now} UTC"
    assert said["Persons"] == "4 clean, 1 failed, 1 permanently failed"


@pytest.mark.parametrize(("text", "span"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400)])
def test_spans(text: str, span: int) -> None:
    assert age(text).total_seconds() == span


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1w", "30 m x"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="30m"):
        age(text)


# The promise ---------------------------------------------------------------------------------------------------


def promise(firm: Firm, linked: int, due: int = 0, longest: int = 0) -> tuple[float, float]:
    found = {"persons": {"clean": linked, "not_linked": 9}, "due": {"persons": due}, "longest_run_seconds": longest}
    made = promised(firm.config, found, firm.clock())
    return made.espo_edit.total_seconds(), made.advo_edit.total_seconds()


def test_the_promise_follows_from_interval_budget_and_number_of_persons(firm: Firm) -> None:
    delay = 20 + 5  # jitter, and settling
    firm.configured(advoware={"poll_budget": 500, "max_requests_per_second": 10})
    assert promise(firm, 250) == (900 + delay, 900 + delay)
    assert promise(firm, 2500) == (900 + delay, 10 * 900 + delay)
    assert promise(firm, 2500, due=2500, longest=60) == (3 * 900 + delay + 60, 10 * 900 + delay + 60)


def test_where_looks_would_take_longer_the_sweep_bounds_it(firm: Firm) -> None:
    firm.configured(advoware={"poll_budget": 500, "max_requests_per_second": 10})
    assert promise(firm, 250_000)[1] == 86_400 + 25 + 25_000
    firm.configured(advoware={"poll_budget": 0, "max_requests_per_second": 0})
    assert promise(firm, 100)[1] == 86_400 + 25


def test_what_is_promised_is_kept(tmp_path: Path) -> None:
    """All are edited in Advoware right after a run, and one in EspoCRM too late to count as settled in the next."""
    firm = Firm.of(tmp_path, persons=24, advoware={"poll_budget": 6})
    while firm.disagreements():
        firm.go()
    promise = stands(firm)["promise"]
    people = [one.values["betnr"] for one in firm.espo.store.records.values() if one.values["betnr"]]
    in_advo_at = firm.clock()
    for number, betnr in enumerate(people):
        firm.advo.add_row(betnr, f"0511 43210{number:02}")
    firm.clock.advance(898)
    entity_id = next(one.id for one in firm.espo.store.records.values() if one.values["betnr"] == people[-1])
    firm.espo.edit(entity_id, mails=[MAIL])
    in_espo_at, arrived_at = firm.clock(), None
    for until_the_next_run in chain([2], repeat(900)):
        firm.clock.advance(until_the_next_run)
        run(firm.config, Options(), world=firm.world)
        if MAIL in {row["tlf"] for row in firm.advo.rows(people[-1])}:
            arrived_at = arrived_at or firm.clock()
        if not firm.disagreements():
            break
    assert arrived_at is not None
    assert 900 < (arrived_at - in_espo_at).total_seconds() <= promise["espocrm_edit_seconds"]
    assert 1800 < (firm.clock() - in_advo_at).total_seconds() <= promise["advoware_edit_seconds"]


# The command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of a store with a quarter million persons."""
    folder = tmp_path_factory.mktemp("large")
    written = {
        "espocrm": {"url": "https://crm.example.de", "api_key": "${NOT_SET}"},
        "advoware": {"kanzlei": "a", "database": "b", "user": "c", "app_id": "x", "api_key": "x", "password": "x"},
        "state": {"path": str(folder / "state.db")},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(written), "utf-8")
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
    return file


def test_status_answers_on_a_quarter_million_persons_within_a_second(
    large: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.execute(["--config", str(large), "status", "--json"])  # imports
    capsys.readouterr()
    started = time.process_time()
    assert cli.execute(["--config", str(large), "status", "--json"]) == ExitCode.DONE
    assert time.process_time() - started < 1
    found = json.loads(capsys.readouterr().out)
    assert found["persons"] == {"clean": 222_680, "failed": 2320, "not_linked": 25_000}
    assert found["due"]["persons"] == 500


def test_status_on_the_screen_and_max_age(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["--config", str(large), "status", "--max-age", "30m"]) == ExitCode.FAILED_PERSONS
    assert "222680 clean" in capsys.readouterr().out
    assert cli.execute(["--config", str(large), "status", "--max-age", "soon"]) == ExitCode.USAGE


def test_each_figure_is_answered_by_an_index(large: Path) -> None:
    with Store.open(large.with_name("state.db"), now="2026-08-30 10:00:00", read_only=True) as store:
        oldest = f"select advo_seen_at {queries.LOOKED_AT} and advo_seen_at is not null order by advo_seen_at limit 1"
        for query in (queries.PERSONS, oldest, "select count(*) from persons where due_since is not null"):
            steps = [row["detail"] for row in store.rows(f"explain query plan {query}")]
            assert all("INDEX" in step for step in steps if "persons" in step), steps


def test_looking_imports_no_pandas(large: Path) -> None:
    code = (
        f"import sys; from jobs.cli import execute; execute(['--config', {str(large)!r}, 'status', '--json']); "
        "sys.exit(str({'pandas', 'numpy', 'httpx'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.strip().splitlines()[-1] == "set()"


def test_moments_are_read_back_as_they_were_written() -> None:
    assert time_of("2026-08-30 10:00:00") == datetime(2026, 8, 30, 10, tzinfo=UTC)
    assert text_of(time_of("2026-08-30 10:00:00")) == "2026-08-30 10:00:00"
