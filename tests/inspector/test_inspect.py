"""`inspect`: everything can be asked, nothing can be written, and nobody else comes in."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from etl.store.questions import QUESTIONS
from etl.store.views import VIEWS
from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.inspector.dictionary import load
from jobs.inspector.metadata import FACETS, OF_THE_PROGRAM, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.inspector.conftest import Firm, Window

FILLED_IN = {"person": "104711", "run": "2", "value": "+495111234599", "name_or_number": "Mustermann"}


@pytest.fixture
def browser(window: Window) -> Iterator[httpx.Client]:
    """A browser that came by the entrance."""
    with httpx.Client(base_url=window.site, follow_redirects=True) as client:
        assert client.get(window.entrance).status_code == 200
        yield client


def told(database: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


# Who may look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/", "/state", "/state/persons.csv", "/state/who_waits.json", "/-/databases"])
def test_without_the_entrance_nothing_is_shown(window: Window, place: str) -> None:
    answer = httpx.get(f"{window.site}{place}")
    assert answer.status_code == 403
    assert "Mustermann" not in answer.text


def test_a_guessed_entrance_stays_closed(window: Window) -> None:
    with httpx.Client(base_url=window.site) as client:
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
def test_what_would_write_is_refused(browser: httpx.Client, firm: Firm, sql: str) -> None:
    before = told(firm.config.state.path, "select * from persons")
    answer = browser.get("/state.json", params={"sql": sql, "_shape": "objects"})
    assert answer.status_code == 400 or sql.startswith("explain")  # explaining a deletion deletes nothing
    assert told(firm.config.state.path, "select * from persons") == before


def test_the_file_itself_cannot_be_fetched(browser: httpx.Client) -> None:
    assert browser.get("/state.db").status_code == 403


def test_it_shows_what_a_run_writes_meanwhile(browser: httpx.Client, firm: Firm) -> None:
    with closing(sqlite3.connect(firm.config.state.path, isolation_level=None)) as run:
        run.execute("begin immediate")
        run.execute("update persons set due_reason = 'told in a test' where betnr = 104711")
        shown = browser.get("/state/persons.json?betnr=104711&_shape=array").json()
        assert shown[0]["due_reason"] != "told in a test"  # the writer is at work, the reader is not kept waiting
        run.execute("commit")
        shown = browser.get("/state/persons.json?betnr=104711&_shape=array").json()
        assert shown[0]["due_reason"] == "told in a test"
        run.execute("update persons set due_reason = null where betnr = 104711")


# What can be asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_answers_as_page_and_as_csv(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/state/{name}", params=FILLED_IN).status_code == 200
    answer = browser.get(f"/state/{name}.csv", params=FILLED_IN)
    assert answer.headers["content-type"].startswith("text/plain")
    assert next(csv.reader(io.StringIO(answer.text)))


@pytest.mark.parametrize("name", [*VIEWS, *FACETS])
def test_every_view_and_table_opens_with_its_facets(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/state/{name}").status_code == 200


def answered(browser: httpx.Client, name: str, **asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get(f"/state/{name}.json", params={**asked, "_shape": "array"}).json()
    return found


def test_what_nobody_can_read_is_listed_with_both_sides_and_how_to_write_it(browser: httpx.Client) -> None:
    (unclear,) = answered(browser, "which_values_can_nobody_read")
    assert (unclear["side"], unclear["value"], unclear["doubt"]) == ("advo", "Mutter: 0511 123456", "words")
    assert unclear["in_advoware"] == "0511 3210039 · Mutter: 0511 123456"
    assert unclear["in_espocrm"] == "+495113210039"
    assert "the words into the remark" in unclear["left_alone"]


def test_the_story_of_a_person_tells_what_was_written_what_lost_and_when(browser: httpx.Client) -> None:
    story = answered(browser, "what_happened_to", person="104711")
    assert [one["at"] for one in story] == sorted(one["at"] for one in story)
    assert ("var5", "0511/1234560", "+495111234599") in {(o["what"], o["old_value"], o["new_value"]) for o in story}
    lost = [one for one in story if one["action"] == "kept in conflicts"]
    assert [(one["side"], one["old_value"], one["state"]) for one in lost] == [("advo", "0511 1234577", "open")]
    assert answered(browser, "what_happened_to", person=" 104711 ") == story


def test_a_value_that_lost_is_named(browser: httpx.Client, firm: Firm) -> None:
    lost = told(firm.config.state.path, "select advo_value, espo_value from conflicts")
    assert [(one["advo_value"], one["espo_value"]) for one in answered(browser, "open_conflicts")] == lost


def test_a_run_tells_what_it_wrote(browser: httpx.Client, firm: Firm) -> None:
    written = told(firm.config.state.path, "select id from changes where run_id = 2")
    assert written
    assert [(one["id"],) for one in answered(browser, "what_did_run_write", run="2")] == written


def test_a_person_is_found_by_name_number_and_mail(browser: httpx.Client) -> None:
    for known in ("muster", "104711", "max@mustermann.de", "0171 2223334"):
        assert [one["betnr"] for one in answered(browser, "who_is_it", name_or_number=known)] == [104711]


def test_a_person_and_a_run_lead_to_their_story(browser: httpx.Client) -> None:
    page = browser.get("/state/what_did_run_write?run=2").text
    assert '<a href="/state/what_happened_to?person=104711">104711</a>' in page


# What is said of it ----------------------------------------------------------------------------------------------


def test_everything_is_explained_by_the_dictionary() -> None:
    dictionary = load()
    tables = metadata(dictionary)["databases"]["state"]["tables"]
    assert set(VIEWS) <= set(tables)
    assert set(FACETS) | OF_THE_PROGRAM <= set(tables)
    assert all(one["description"] and all(one["columns"].values()) for one in tables.values())
    assert "permanently_failed: failed too often" in tables["persons"]["columns"]["status"]
    assert not [name for name, one in tables.items() if "see the words" in str(one)]


def test_facets_are_columns() -> None:
    tables = metadata(load())["databases"]["state"]["tables"]
    assert {name: set(columns) - set(tables[name]["columns"]) for name, columns in FACETS.items()} == {
        name: set() for name in FACETS
    }


def test_without_a_state_store_it_says_what_to_do(
    tmp_path: Path, firm: Firm, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(firm.file.read_text("utf-8").replace("state.db", "other.db"), "utf-8")
    assert cli.execute(["--config", str(file), "inspect", "--port", "0"]) == ExitCode.USAGE
    assert "run `advosync sync` first" in capsys.readouterr().err
