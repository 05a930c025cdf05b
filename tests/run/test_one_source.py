"""One figure has one source: `status`, the figures of `inspect` and `report`, and the views say the same."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.queries.charts import load_chart_data
from etl.times import add_seconds, format_utc
from jobs.commands.explain import explain_persons, state_lines
from jobs.commands.held import list_held_persons
from jobs.commands.status import collect_status, status_rows
from jobs.html_report.page import DateRange, render_report_page
from jobs.run.report import RunReport
from jobs.telemetry.metrics import build_registry
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.sandbox.simulator import SimRequest

DICTIONARY = (Path(__file__).parents[2] / "state" / "README.md").read_text("utf-8")


@pytest.fixture
def harness(tmp_path: Path) -> SyncHarness:
    """A firm with persons in sync, held, failing and locked, after a night of outages, a plan and a backup."""
    harness = SyncHarness(tmp_path, 30, guards={"max_removals": 12}, report={"language": "en"})
    harness.espo.store.entity.lockable = True
    harness.run()
    links = list(harness.person_links())
    for entity_id, _ in links[:12]:
        harness.espo.edit(entity_id, phones=[])
    harness.espo.lock(links[20][0])
    harness.espo.store.role.protected_ids.add(links[25][0])
    harness.advo.add_row(links[25][1], "+49511299999")
    harness.run(sweep=True)
    return harness


def make_outage(harness: SyncHarness) -> RunReport:
    harness.espo.store.settings["maintenanceMode"] = True
    report = harness.run()
    harness.espo.store.settings["maintenanceMode"] = False
    return report


def figures_of(harness: SyncHarness) -> Mapping[str, list[dict[str, Any]]]:
    now = harness.clock()
    with closing(Store.open(harness.config.state.path, now=format_utc(now), read_only=True)) as store:
        return load_chart_data(store, format_utc(now - timedelta(days=7)), format_utc(now + timedelta(seconds=1)))


def test_held_persons_are_held_everywhere_and_in_sync_nowhere(harness: SyncHarness) -> None:
    status, figures = collect_status(harness.config, harness.clock()), figures_of(harness)
    held_persons = list_held_persons(harness.config)
    held = len({record["entity_id"] for record in held_persons})
    (document,) = explain_persons(harness.config, held_persons[0]["entity_id"])
    heading, hold, *_ = state_lines(document, harness.config.schedule.zone)
    assert heading.endswith(": held")
    assert hold.startswith("held by run 2: `advosync approve 2 --person ")
    by_status = {row["status"]: row["persons"] for row in figures["persons_by_status"]}
    assert held == status["persons"]["held"] == by_status["held"] == figures["at_a_glance"][0]["held"] > 0
    assert harness.run(trigger="plan", write=False).persons.held == held
    counts = {name: count for name, count in by_status.items() if count}
    assert counts == status["persons"]
    in_view = harness.query_store("select status, count(*) from person_status group by status")
    assert dict(in_view) == status["persons"]
    (differing,) = harness.query_store("select count(distinct entity_id) from differences where held is not null")
    assert differing == (held,)
    assert sum(row["status"] == "held" for row in figures["persons_to_see_to"]) == held
    today = harness.clock().date()
    page = render_report_page(harness.config, DateRange(today, today), names=True, now=harness.clock())
    assert f"{held} persons are held and wait for an approval" in page


def test_failing_and_locked_persons_are_counted_alike(harness: SyncHarness) -> None:
    status, totals = collect_status(harness.config, harness.clock()), figures_of(harness)["at_a_glance"][0]
    report = harness.run(trigger="plan", write=False)
    assert status["locked"] == totals["locked"] == report.persons.locked == 1
    assert status["persons"]["failed"] == totals["failing"] == 1


def test_the_last_good_run_is_a_sync_that_ended_and_nothing_else(harness: SyncHarness) -> None:
    good = collect_status(harness.config, harness.clock())["last_success"]
    assert good["outcome"] == "held"
    assert make_outage(harness).outcome == "outage"
    harness.run(trigger="plan", write=False)
    status, figures = collect_status(harness.config, harness.clock()), figures_of(harness)
    with closing(Store.open(harness.config.state.path, now=format_utc(harness.clock()))) as store:
        store.execute(
            "insert into runs (trigger, started_at, finished_at, outcome) values ('backup', :at, :at, 'done')",
            {"at": format_utc(harness.clock())},
        )
    after_backup = figures_of(harness)
    for totals in (figures["at_a_glance"][0], after_backup["at_a_glance"][0]):
        assert totals["last_success"] == status["last_success"]["finished_at"] == good["finished_at"]
    runs = after_backup["what_was_done"][0]
    assert (runs["runs"], runs["outages"], runs["failures_of_ours"]) == (3, 1, 0)


@pytest.mark.parametrize("outcome", ["abandoned", "refused", "crashed"])
def test_a_sync_that_broke_off_by_itself_is_told_to_nobody_as_an_outage(harness: SyncHarness, outcome: str) -> None:
    make_outage(harness)
    with closing(Store.open(harness.config.state.path, now=format_utc(harness.clock()))) as store:
        store.execute(
            "insert into runs (trigger, started_at, finished_at, outcome) values ('sync', :at, :at, :outcome)",
            {"at": format_utc(harness.clock()), "outcome": outcome},
        )
    harness.clock.advance(60)
    today = harness.clock().date()
    page = render_report_page(harness.config, DateRange(today, today), names=False, now=harness.clock())
    assert "4 runs in this span; in 1 a system was out or refused the login, 1 broke off for another reason" in page


def test_a_refused_command_is_no_outage_for_the_partners(harness: SyncHarness) -> None:
    before = figures_of(harness)["what_was_done"][0]
    with pytest.raises(ConfigError, match="direction cannot be narrowed"):
        harness.run(trigger="undo", undo_run=1, direction="to_espocrm")
    assert figures_of(harness)["what_was_done"][0] == before
    assert harness.query_store("select outcome from runs order by id desc limit 1") == [("refused",)]


def test_the_question_how_often_each_side_changes_counts_what_was_carried_out(harness: SyncHarness) -> None:
    """Not what was planned anew: counted another way, by the writes."""
    entity_id, betnr = list(harness.person_links())[22]
    (row, *_) = harness.advo.rows(betnr)

    def edit_meanwhile(call: SimRequest) -> None:
        if call.method == "PUT" and entity_id in call.path and call.json.get("phoneNumberData"):
            harness.advo.edit_row(betnr, row["id"], remark="edited meanwhile")
            harness.espo.before = None

    harness.advo.edit_row(betnr, row["id"], value="0511 7654321")
    harness.espo.before = edit_meanwhile
    harness.run(persons=[str(betnr)])
    assert harness.query_store("select count(*) > 0 from decisions where state = 'superseded'") == [(1,)]
    (sql,) = re.findall(r"How often does each side change.*?```sql\n(.*?)```", DICTIONARY, flags=re.DOTALL)
    answered = harness.query_store(f"select sum(in_espocrm), sum(in_advoware), sum(in_both) from ({sql})")
    counted = harness.query_store(
        """
        select
            sum(variant in ('var1', 'var2', 'var5', 'retype')),
            sum(variant in ('var3', 'var4', 'var6')),
            sum(variant = 'clash')
        from decisions
        where exists (
            select 1
            from changes
            where changes.decision_id = decisions.id
                and changes.state = 'done'
        )
        """
    )
    assert answered == counted


def test_how_long_edits_took_is_the_same_figure_everywhere(harness: SyncHarness) -> None:
    """Five edits in EspoCRM and one in Advoware arrived yesterday, beside one that is on its way."""
    yesterday = format_utc(harness.clock() - timedelta(days=1))
    with closing(Store.open(harness.config.state.path, now=format_utc(harness.clock()))) as store:
        store.execute("delete from arrivals")
        for side, seconds in [("espo", 60), ("espo", 61), ("espo", 62), ("espo", 600), ("espo", 90_000), ("advo", 30)]:
            store.execute(
                """
                insert into arrivals (run_id, entity_id, edited_in, edited_at, arrived_at)
                values (1, 'a', :side, :edited_at, :at)
                """,
                {"side": side, "at": yesterday, "edited_at": add_seconds(yesterday, -seconds)},
            )
        store.execute("insert into arrivals (run_id, entity_id, edited_in, edited_at) values (1, 'a', 'advo', '2026')")
    status = collect_status(harness.config, harness.clock())
    expected = {
        "espocrm_edit": {"edits": 5, "median_seconds": 62, "p95_seconds": 90_000},
        "advoware_edit": {"edits": 1, "median_seconds": 30, "p95_seconds": 30},
    }
    assert status["measured"] == {"days": 7, **expected}
    assert figures_of(harness)["how_long_edits_took"] == [expected]
    rows = harness.query_store("select edited_in, edits, median_seconds, p95_seconds from arrivals_by_day")
    assert rows == [("advo", 1, 30, 30), ("espo", 5, 62, 90_000)]
    lines = dict(status_rows(status, harness.clock(), harness.config.schedule.zone))
    assert lines["Measured"] == (
        "edits that arrived in 7 days: 5 in EspoCRM, half within 1 min 2 s, 95 of 100 within 1 d 1 h, longer than "
        "promised; 1 in Advoware, half within 30 s, 95 of 100 within 30 s"
    )
    last = harness.clock().date()
    days = DateRange(last - timedelta(days=1), last)
    page = render_report_page(harness.config, days, names=False, now=harness.clock())
    assert "5 measured edits in EspoCRM arrived, half of them within 2 minutes, 95 of 100 within 25 hours." in page
    assert "1 measured edit in Advoware arrived, within 1 minute." in page
    registry = build_registry(status, RunReport())
    assert registry.get_sample_value("advosync_measured_espocrm_edit_p95_seconds") == 90_000
    assert registry.get_sample_value("advosync_measured_advoware_edit_count") == 1
