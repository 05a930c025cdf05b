"""`inspect`: everything can be asked, nothing can be written, and nobody else comes in."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from datetime import UTC
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from etl.records import EspoListing
from etl.store.database import Store
from etl.store.queries.canned import CANNED_QUERIES
from etl.store.tables.persons import save_listings
from etl.store.tables.runs import finish_run, start_run
from etl.store.views import VIEWS
from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.inspector.dictionary import load_dictionary
from jobs.inspector.metadata import FACETS, INTERNAL_TABLES, datasette_metadata
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.inspector.conftest import InspectServer, SampleFirm

QUESTION_PARAMS = {"person": "104711", "run": "2", "value": "+495111234599", "name_or_number": "Mustermann"}


@pytest.fixture
def browser(inspect_server: InspectServer) -> Iterator[httpx.Client]:
    """A browser that came by the entrance."""
    with httpx.Client(base_url=inspect_server.base_url, follow_redirects=True) as client:
        assert client.get(inspect_server.entry_url).status_code == 200
        yield client


def query_rows(database: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


# Who may look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["/", "/state", "/state/persons.csv", "/state/who_waits.json", "/-/databases", "/-/person?who=104711"]
)
def test_without_the_entrance_nothing_is_shown(inspect_server: InspectServer, place: str) -> None:
    answer = httpx.get(f"{inspect_server.base_url}{place}")
    assert answer.status_code == 403
    assert "Mustermann" not in answer.text


def test_a_guessed_entrance_stays_closed(inspect_server: InspectServer) -> None:
    with httpx.Client(base_url=inspect_server.base_url) as client:
        assert client.get("/-/enter?token=guessed").status_code == 403
        assert client.get("/").status_code == 403


def test_no_page_loads_anything_from_elsewhere_and_nothing_stays_in_a_cache(browser: httpx.Client) -> None:
    for place in ("/", "/state", "/state/persons", "/state/what_happened_to?person=104711"):
        answer = browser.get(place)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert 'src="http' not in answer.text


# Nothing is written ----------------------------------------------------------------------------------------------

WRITES = [
    "delete from persons",
    "with everybody as (select 1) delete from persons",
    "explain delete from persons",
    "select 1; delete from persons",
    "pragma query_only = off",
    "attach 'other.db' as other",
]


@pytest.mark.parametrize("sql", WRITES)
def test_what_would_write_is_refused(browser: httpx.Client, firm: SampleFirm, sql: str) -> None:
    before = query_rows(firm.config.state.path, "select * from persons")
    answer = browser.get("/state.json", params={"sql": sql, "_shape": "objects"})
    assert answer.status_code == 400 or sql.startswith("explain")  # explaining a deletion deletes nothing
    assert query_rows(firm.config.state.path, "select * from persons") == before


def test_the_file_itself_cannot_be_fetched(browser: httpx.Client) -> None:
    assert browser.get("/state.db").status_code == 403


def test_inspect_shows_what_a_run_writes_meanwhile(browser: httpx.Client, firm: SampleFirm) -> None:
    with closing(sqlite3.connect(firm.config.state.path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        connection.execute("update persons set due_reason = 'told in a test' where betnr = 104711")
        persons = browser.get("/state/persons.json?betnr=104711&_shape=array").json()
        assert persons[0]["due_reason"] != "told in a test"  # the writer is at work, the reader is not kept waiting
        connection.execute("commit")
        persons = browser.get("/state/persons.json?betnr=104711&_shape=array").json()
        assert persons[0]["due_reason"] == "told in a test"
        connection.execute("update persons set due_reason = null where betnr = 104711")


# What can be asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CANNED_QUERIES)
def test_every_question_answers_as_page_and_as_csv(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/state/{name}", params=QUESTION_PARAMS).status_code == 200
    answer = browser.get(f"/state/{name}.csv", params=QUESTION_PARAMS)
    assert answer.headers["content-type"].startswith("text/plain")
    assert next(csv.reader(io.StringIO(answer.text)))


@pytest.mark.parametrize("name", [*VIEWS, *FACETS])
def test_every_view_and_table_opens_with_its_facets(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/state/{name}").status_code == 200


def question_rows(browser: httpx.Client, name: str, **params: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = browser.get(f"/state/{name}.json", params={**params, "_shape": "array"}).json()
    return rows


def test_what_nobody_can_read_is_listed_with_both_sides_and_how_to_write_it(browser: httpx.Client) -> None:
    (row,) = question_rows(browser, "which_values_can_nobody_read")
    assert (row["side"], row["value"], row["doubt"]) == ("advo", "Mutter: 0511 123456", "words")
    assert row["in_advoware"] == "0511 3210039 · Mutter: 0511 123456"
    assert row["in_espocrm"] == "+495113210039"
    assert "the words into the remark" in row["left_alone"]


def test_the_story_of_a_person_tells_what_was_written_what_lost_and_when(browser: httpx.Client) -> None:
    story = question_rows(browser, "what_happened_to", person="104711")
    assert [event["at"] for event in story] == sorted(event["at"] for event in story)
    assert ("changed in EspoCRM", "0511/1234560", "+495111234599") in {
        (event["what"], event["old_value"], event["new_value"]) for event in story
    }
    lost_values = [event for event in story if event["action"] == "kept in conflicts"]
    assert [(event["side"], event["old_value"], event["state"]) for event in lost_values] == [
        ("advo", "0511 1234577", "open")
    ]
    assert question_rows(browser, "what_happened_to", person=" 104711 ") == story


def test_a_value_that_lost_is_named(browser: httpx.Client, firm: SampleFirm) -> None:
    lost_values = query_rows(firm.config.state.path, "select advo_value, espo_value from conflicts")
    assert [(row["advo_value"], row["espo_value"]) for row in question_rows(browser, "open_conflicts")] == lost_values


def test_a_run_tells_what_it_wrote(browser: httpx.Client, firm: SampleFirm) -> None:
    change_ids = query_rows(firm.config.state.path, "select id from changes where run_id = 2")
    assert change_ids
    assert [(row["id"],) for row in question_rows(browser, "what_did_run_write", run="2")] == change_ids


def test_a_person_is_found_by_name_number_and_mail(browser: httpx.Client) -> None:
    for search_text in ("muster", "104711", "max@mustermann.de", "0171 2223334"):
        assert [row["betnr"] for row in question_rows(browser, "who_is_it", name_or_number=search_text)] == [104711]


def test_a_person_and_a_run_lead_to_their_story(browser: httpx.Client) -> None:
    page = browser.get("/state/what_did_run_write?run=2").text
    assert '<a href="/-/person?who=104711">104711</a>' in page


def test_the_page_of_a_person_is_whole_and_in_the_time_of_the_firm(browser: httpx.Client, firm: SampleFirm) -> None:
    page = browser.get("/-/person?who=104711").text
    assert "<h1>Max Mustermann</h1>" in page
    assert "0511 1234577, typed in Advoware, lost" in page
    assert f"advosync --config {firm.config_file} restore 1</code>" in page
    ((seen_at,),) = query_rows(firm.config.state.path, "select advo_seen_at from persons where betnr = 104711")
    assert f"Advoware {format_local(seen_at, firm.config.schedule.zone)[:-3]};" in page


def test_the_page_of_nobody_says_what_to_enter(browser: httpx.Client) -> None:
    answer = browser.get("/-/person?who=4711")
    assert (answer.status_code, answer.text.partition(":")[0]) == (404, "Nobody is known as 4711")


def test_times_in_tables_are_those_of_the_firm_and_utc_in_csv(browser: httpx.Client, firm: SampleFirm) -> None:
    ((seen_at,),) = query_rows(firm.config.state.path, "select advo_seen_at from persons where betnr = 104711")
    local = format_local(seen_at, firm.config.schedule.zone)
    assert local != seen_at
    page = browser.get("/state/persons?betnr=104711").text
    assert f'<time title="{seen_at} UTC">{local}</time>' in page
    assert seen_at in browser.get("/state/persons.csv?betnr=104711").text


def test_what_operators_did_names_the_run_the_conflict_and_the_person(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path / "state.db", now="2026-08-30 08:00:00", durable=False)) as store:
        listing = EspoListing("e1", 1, "Erika Weiß", status=None, fingerprint=None, modified_at=None, modified_by=None)
        save_listings(store, [listing], "2026-08-30 08:00:00")
        for trigger, about, report in (
            ("approve", 3, None),
            ("undo", 4, None),
            ("restore", 5, None),
            ("conflicts", None, {"seen": [6, 7]}),
            ("retry", None, {"retried": ["e1"]}),
            ("forget", None, {}),
        ):
            run = start_run(
                store, now="2026-08-30 09:00:00", version="1", trigger=trigger, operator="olga", about=about
            )
            finish_run(store, run, now="2026-08-30 09:00:00", outcome="done", report=report)
        rows = store.rows(CANNED_QUERIES["what_did_operators_do"].sql)
    assert {row["trigger"]: row["what"] for row in rows} == {
        "approve": "run 3", "undo": "run 4", "restore": "conflict 5", "conflicts": "conflicts 6, 7",
        "retry": "Erika Weiß e1", "forget": None,
    }  # fmt: skip


# What is said of it ----------------------------------------------------------------------------------------------


def test_everything_is_explained_by_the_dictionary() -> None:
    dictionary = load_dictionary()
    tables = datasette_metadata(dictionary, UTC)["databases"]["state"]["tables"]
    assert set(VIEWS) <= set(tables)
    assert set(FACETS) | INTERNAL_TABLES <= set(tables)
    assert all(table["description"] and all(table["columns"].values()) for table in tables.values())
    assert "permanently_failed: failed too often" in tables["persons"]["columns"]["status"]
    assert not [name for name, table in tables.items() if "see the words" in str(table) or "`" in str(table)]


def test_facets_are_columns() -> None:
    tables = datasette_metadata(load_dictionary(), UTC)["databases"]["state"]["tables"]
    assert {name: set(columns) - set(tables[name]["columns"]) for name, columns in FACETS.items()} == {
        name: set() for name in FACETS
    }


def test_inspect_without_a_state_store_says_what_to_do(
    tmp_path: Path, firm: SampleFirm, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(firm.config_file.read_text("utf-8").replace("state.db", "other.db"), "utf-8")
    assert cli.run_command_line(["--config", str(file), "inspect", "--port", "0"]) == ExitCode.USAGE
    assert "run `advosync sync` first" in capsys.readouterr().err
