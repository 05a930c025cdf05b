"""One figure has one source: `status`, the figures of `inspect` and `report`, and the views say the same."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from etl.enums import PersonStatus
from etl.errors import ConfigError
from etl.rules.espo.german_errors import translate_error
from etl.store.database import Store
from etl.store.queries.canned import CANNED_QUERIES
from etl.store.queries.charts import load_chart_data
from etl.times import add_seconds, format_utc, parse_utc
from jobs.commands.conflicts import mark_conflicts_seen
from jobs.commands.explain import explain_persons, state_lines
from jobs.commands.held import list_held_persons
from jobs.commands.operator_log import OperatorRequest
from jobs.commands.retry import retry_persons
from jobs.commands.status import collect_status, status_rows
from jobs.firms.overview import counts
from jobs.html_report.page import DateRange, render_report_page
from jobs.inspector.dictionary import load_dictionary
from jobs.inspector.start_page import last_days, start_page_context
from jobs.run.report import RunReport
from jobs.telemetry.metrics import build_registry, write_metrics_file
from jobs.times import format_local
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    assert status["persons"]["failed"] == totals["to_see_to"] == 1


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


# One firm with everything in it, and all that speaks of it -------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """What each place says of one moment."""

    rows: Callable[[str], list[dict[str, Any]]]
    status: dict[str, Any]
    lines: dict[str, str]
    metrics: dict[str, float]
    tiles: dict[str, tuple[int, str]]
    last_success: str
    pages: dict[str, str]

    def counted_in_page(self, language: str, sentence: str) -> int:
        """The figure of a sentence of the report; none there is zero, as nothing open is not listed."""
        match = re.search(sentence.replace("#", r"(\d+|einer)"), self.pages[language])
        return int(match[1].replace("einer", "1")) if match else 0

    def counted_in_line(self, title: str, words: str) -> int:
        """The figure of ``status`` beside these words."""
        match = re.search(rf"(\d+) {words}", self.lines[title])
        return int(match[1]) if match else 0


def crash(_request: object) -> None:
    message = "a mistake of ours"
    raise TypeError(message)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Persons in sync, held, failing, both, waiting, locked, gone, in conflict, deleted; and runs of each end."""
    harness = SyncHarness(tmp_path_factory.mktemp("firm"), 30, guards={"max_removals": 12}, report={"language": "en"})
    harness.espo.store.entity.lockable = True
    harness.espo.add_person("Nora Ohne", None, phones=["+4951177999"])
    harness.run()
    links = list(harness.person_links())
    ids, betnrs = [entity_id for entity_id, _ in links], [betnr for _, betnr in links]
    for nth in (15, 16):  # values that lose; of one somebody took note
        row = harness.advo.rows(betnrs[nth])[0]
        harness.espo.edit(ids[nth], phones=[f"+49511771{nth}00"], mails=[f"neu{nth}@example.org"])
        harness.advo.edit_row(betnrs[nth], row["id"], value=f"0511 881{nth}00")
    for nth in (18, 19):
        harness.advo.add_row(betnrs[nth], "0511 200 oder 300")
    harness.run(sweep=True)
    mark_conflicts_seen(harness.config, [1], OperatorRequest("olga"), environment=harness.environment)
    harness.espo.delete(ids[19])
    harness.espo.edit(ids[14], betnr=betnrs[13])
    for _ in range(2):
        harness.run(sweep=True)
    harness.clock.advance(2 * 86_400)  # more absences within a day would be held
    harness.advo.delete_person(betnrs[17])
    for _ in range(2):
        harness.run(sweep=True)
    retry_persons(harness.config, [ids[19]], OperatorRequest("olga"), environment=harness.environment)
    make_outage(harness)
    make_outage(harness)
    with pytest.raises(ConfigError):
        harness.run(trigger="undo", undo_run=1, direction="to_espocrm")
    with pytest.raises(ConfigError):
        harness.run(persons=["999999"])
    harness.espo.before = crash
    with pytest.raises(TypeError):
        harness.run()
    harness.espo.before = None
    harness.espo.store.role.protected_ids.update((ids[20], ids[0], ids[21]))
    for nth in (20, 0, 21):
        harness.advo.add_row(betnrs[nth], f"0511 6610{nth}6")
    harness.run(sweep=True)
    for nth in range(11):  # also somebody who fails
        harness.espo.edit(ids[nth], phones=[], mails=[])
    for nth in (22, 23):
        harness.espo.lock(ids[nth])
        harness.advo.add_row(betnrs[nth], f"0511 6620{nth}6")
    harness.run(sweep=True)  # all of a side vanished: looked at twice
    report = harness.run(sweep=True)
    harness.clock.advance(60)
    return story_of(harness, report)


def story_of(harness: SyncHarness, report: RunReport) -> Story:
    now, zone = harness.clock(), harness.config.schedule.zone
    status = collect_status(harness.config, now)
    metrics_file = harness.path.with_name("metrics.prom")
    write_metrics_file(metrics_file, status, report)
    metrics = metrics_file.read_text("utf-8")
    figures = figures_of(harness)
    start_page = start_page_context(figures, load_dictionary(), last_days(now, zone), zone)["advosync"]
    today, pages = now.astimezone(zone).date(), {}
    days = DateRange(today - timedelta(days=7), today)
    for language in ("en", "de"):
        harness.configure(report={"language": language})
        page = render_report_page(harness.config, days, names=True, now=now)
        pages[language] = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    return Story(
        rows=lambda sql: rows_of(harness, sql),
        status=json.loads(json.dumps(status)),
        lines=dict(status_rows(status, now, zone)),
        metrics={name: float(value) for name, value in re.findall(r"(?m)^advosync_(\S+) (\S+)$", metrics)},
        tiles={tile["words"]: (tile["figure"], tile["leads_to"]) for tile in start_page["tiles"]},
        last_success=start_page["last_success"],
        pages=pages,
    )


def rows_of(harness: SyncHarness, sql: str) -> list[dict[str, Any]]:
    with harness.open_store() as store:
        return store.rows(sql)


def test_each_status_is_counted_alike_by_all(story: Story) -> None:
    in_view = Counter(row["status"] for row in story.rows("select status from person_status"))
    in_metrics = {
        name.split('"')[1]: count for name, count in story.metrics.items() if name.startswith("persons{")
    }
    assert in_view.keys() >= {"held", "not_linked", "clean", "conflict", "deleted_in_advoware", "failed"}
    assert story.status["persons"] == in_view
    assert {name: count for name, count in in_metrics.items() if count} == in_view
    in_overview = counts(story.status)  # of `firms status`
    assert (in_overview["held"], in_overview["failing"]) == (in_view["held"], in_view["failed"])
    assert {name: story.counted_in_line("Persons", name.replace("_", " ")) for name in in_view} == in_view


def test_a_status_without_persons_is_a_figure_of_zero_too(story: Story) -> None:
    registry = build_registry({**story.status, "persons": {}}, RunReport())
    for status in (*PersonStatus, "held", "undecided", "not_linked"):
        assert registry.get_sample_value("advosync_persons", {"status": status}) == 0


class Figure(NamedTuple):
    """Where one figure stands, and beside which words."""

    tile: str | None
    metric: str | None = None
    status: tuple[str, ...] = ()
    line: tuple[str, str] | None = None
    english: str | None = None
    german: str | None = None


FIGURES = (
    Figure(
        "held back by a guard", 'persons{status="held"}', ("persons", "held"), ("Persons", "held"),
        "# persons are held and wait", "# Personen werden zurückgehalten",
    ),
    Figure("wait to be synced", "due_persons", ("due", "persons"), ("Waiting", "persons")),
    Figure("cannot be synced", english="# persons need somebody", german="# Personen brauchen jemanden"),
    Figure(
        "values lost, not looked at yet", "open_conflicts", ("open_conflicts",), ("Conflicts", "open"),
        "nobody looked at # lost", "# verlorene[n]? Wert",
    ),
    Figure("persons linked", english="# persons are linked", german="# Personen sind verknüpft"),
    Figure("entries left alone"),
    Figure(
        None, None, ("locked",), ("Locked", "records"),
        "# records are locked in EspoCRM", "# Datensätze sind in EspoCRM gesperrt",
    ),
)  # fmt: skip


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_the_same_wherever_it_stands(story: Story, figure: Figure) -> None:
    """The start page's is the number of rows it leads to."""
    said: dict[str, int] = {}
    if figure.tile is not None:
        said["start page"], link = story.tiles[figure.tile]
        said["rows"] = len(story.rows(sql_behind(link)))
    if figure.metric is not None:
        said["metrics"] = int(story.metrics[figure.metric])
    if figure.status:
        value: Any = story.status
        for key in figure.status:
            value = value[key]
        said["status --json"] = value
    if figure.line is not None:
        said["status"] = story.counted_in_line(*figure.line)
    if figure.english is not None and figure.german is not None:
        said["report in English"] = story.counted_in_page("en", figure.english)
        said["report in German"] = story.counted_in_page("de", figure.german)
    assert len(set(said.values())) == 1, said
    assert next(iter(said.values())) > 0


def sql_behind(link: str) -> str:
    """What a link of the start page shows."""
    page, _, query = link.partition("?")
    if page in CANNED_QUERIES:
        return CANNED_QUERIES[page].sql
    return f"select * from {page}" + (" where betnr is not null" if "betnr__notblank=1" in query else "")


def test_whoever_is_gone_is_counted_by_nobody(story: Story) -> None:
    (gone,) = story.rows("select entity_id, due_since, betnr from persons where gone_at is not null")
    assert gone["due_since"] is not None
    notes = story.rows(f"select * from left_alone where entity_id = '{gone['entity_id']}'")
    assert notes
    for link in (link for _, link in story.tiles.values()):
        assert gone["entity_id"] not in {row["entity_id"] for row in story.rows(sql_behind(link))}, link


def test_the_german_report_gives_no_reason_in_english(story: Story) -> None:
    failures = {row["error"] for row in story.rows("select error from persons where error is not null")}
    holds = {row["reason"] for row in story.rows("select reason from holds where released_at is null")}
    assert failures
    assert holds
    assert not [reason for reason in failures | holds if reason in story.pages["de"]]
    assert all(translate_error(reason, "de") in story.pages["de"] for reason in failures if reason in story.pages["en"])


def test_the_last_good_run_is_the_same_everywhere(story: Story) -> None:
    finished_at = story.status["last_success"]["finished_at"]
    assert story.metrics["last_success_timestamp_seconds"] == parse_utc(finished_at).timestamp()
    zone = ZoneInfo("Europe/Berlin")
    assert story.last_success == format_local(finished_at, zone, "%Y-%m-%d %H:%M")
    assert f"Last good run: {format_local(finished_at, zone, '%-d %b %Y, %H:%M')}" in story.pages["en"]
    assert f"Letzter guter Lauf: {format_local(finished_at, zone, '%d.%m.%Y, %H:%M')}" in story.pages["de"]


def test_runs_are_told_alike_in_both_languages(story: Story) -> None:
    """Refused commands are no runs; a crash is no outage."""
    outcomes = Counter(
        row["outcome"] for row in story.rows("select outcome from runs where trigger in ('sync', 'sweep')")
    )
    said = {
        language: tuple(story.counted_in_page(language, sentence) for sentence in sentences)
        for language, sentences in {
            "en": ("# runs in this span", "in # a system was out", "# broke off for another"),
            "de": ("# Läufe im Zeitraum", "bei # war ein System", "# brach(?:en)? aus anderem Grund ab"),
        }.items()
    }
    ours = outcomes["crashed"] + outcomes["refused"]
    assert outcomes["outage"] == 2
    assert outcomes["crashed"] == 1
    assert said["en"] == said["de"] == (outcomes.total(), outcomes["outage"], ours)
