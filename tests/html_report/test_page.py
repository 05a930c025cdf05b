"""`report`: one page that needs nothing else, with figures that are true and names only when asked for."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from etl.errors import ConfigError
from etl.records import EspoListing
from etl.store.database import Store
from etl.store.tables.conflicts import save_conflicts, set_restored_at
from etl.store.tables.holds import insert_holds
from etl.store.tables.journal import save_changes, save_decisions, set_change_state
from etl.store.tables.persons import save_listings, update_person
from etl.store.tables.runs import finish_run, start_run
from jobs.config import Config, Language
from jobs.html_report.page import DateRange, parse_date_range, render_report_page
from jobs.sandbox.server import sandbox_config

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 8, 30, 12, 0, tzinfo=UTC)
NAME, LOST = "Max <b>Mustermann</b>", "0511 1234577"
HELD = "zurückgehalten: es würde ungewöhnlich viel entfernt oder überschrieben"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "state.db"
    with Store.open(path, now="2026-08-29 00:00:00", durable=False) as store:
        listing = EspoListing("e1", 104711, NAME, status=None, fingerprint=None, modified_at=None, modified_by=None)
        save_listings(store, [listing], "2026-08-29 00:00:00")
        update_person(store, "e1", status="failed", error="EspoCRM refused phone <abc>")
        run = start_run(store, now="2026-08-29 10:00:00", version="1", trigger="sync")
        about = {"run_id": run, "entity_id": "e1", "betnr": 104711, "side": "advo", "action": "update"}
        changes = save_changes(store, [{**about, "variant": "var5"}, {**about, "variant": "var6", "side": "espo"}])
        set_change_state(store, changes, "done", now="2026-08-29 10:00:01")
        values = {"espo_value": "+495111234588", "advo_value": LOST, "created_at": "2026-08-29 10:00:01"}
        save_conflicts(store, [{"run_id": run, "entity_id": "e1", "betnr": 104711, "variant": "clash", **values}])
        finish_run(store, run, now="2026-08-29 10:00:02", outcome="done")
    return Config.model_validate({**sandbox_config("http://crm.test", "https://a.test"), "state": {"path": str(path)}})


class CellReader(HTMLParser):
    """Keeps the text of each table cell as a browser would show it."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.is_in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  the parser's signature
        self.is_in_cell = tag == "td"
        self.cells += [""] * self.is_in_cell

    def handle_endtag(self, tag: str) -> None:
        self.is_in_cell &= tag != "td"

    def handle_data(self, data: str) -> None:
        if self.is_in_cell:
            self.cells[-1] += data


def table_cells(html: str) -> list[str]:
    reader = CellReader()
    reader.feed(html)
    return reader.cells


DAYS = DateRange(date(2026, 8, 28), date(2026, 8, 30))


def test_the_page_is_whole_in_itself(config: Config) -> None:
    html = render_report_page(config, DAYS, names=True, now=NOW)
    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", html)
    assert html.count("<svg") == html.count("</svg>") == 4
    assert re.findall(r'(?:src|href)="', html) == []


def test_the_page_speaks_the_language_of_the_configuration(config: Config) -> None:
    german = render_report_page(config, DAYS, names=False, now=NOW)
    assert '<html lang="de">' in german
    assert "28.08.2026 bis 30.08.2026" in german
    assert "Offen: 1 Person braucht jemanden; 1 verlorenen Wert hat noch niemand angesehen.<" in german
    assert "1 Lauf im Zeitraum. Letzter guter Lauf: 29.08.2026, 12:00." in german
    assert "Erstellt 30.08.2026, 14:00 von advosync" in german
    assert not re.search(r">0 |UTC|\d{4}-\d\d-\d\d", german)
    english = config.model_copy(update={"report": config.report.model_copy(update={"language": Language.EN})})
    assert "28 Aug 2026 to 30 Aug 2026" in render_report_page(english, DAYS, names=False, now=NOW)


def test_names_and_values_stand_there_only_when_asked_for_and_as_text(config: Config) -> None:
    without = render_report_page(config, DAYS, names=False, now=NOW)
    assert not [text for text in ("Mustermann", LOST, "104711", "abc") if text in without]
    with_names = render_report_page(config, DAYS, names=True, now=NOW)
    assert "Max &lt;b&gt;Mustermann&lt;/b&gt; · 104711" in with_names
    assert LOST in with_names
    assert "<b>Mustermann" not in with_names


def test_what_lost_tells_whether_it_was_put_back_and_the_held_stand_there_by_name(config: Config) -> None:
    with Store.open(config.state.path, now="2026-08-29 11:00:00", durable=False) as store:
        set_restored_at(store, [1], "2026-08-29 11:30:00")
        for number, name in enumerate(("Erika Weiß", "Ilse Brandt"), 2):
            listing = EspoListing(
                f"e{number}", number, name, status=None, fingerprint=None, modified_at=None, modified_by=None
            )
            save_listings(store, [listing], "2026-08-29 11:00:00")
            hold = {"run_id": 1, "entity_id": f"e{number}", "betnr": number, "kind": "removals", "reason": "too much"}
            insert_holds(store, [{**hold, "held_at": "2026-08-29 11:00:00"}])
    without = render_report_page(config, DAYS, names=False, now=NOW)
    assert "2 Personen werden zurückgehalten und warten auf eine Freigabe" in without
    assert "<b>1</b>verlorener Wert zurückgeholt" in without
    cells = table_cells(render_report_page(config, DAYS, names=True, now=NOW))
    assert cells[cells.index(HELD) - 1] == "Erika Weiß · 2, Ilse Brandt · 3"
    assert cells[-1] == "zurückgeholt 29.08.2026, 13:30"


def test_of_very_many_the_first_are_named_and_the_rest_is_counted(config: Config) -> None:
    with Store.open(config.state.path, now="2026-08-29 11:00:00", durable=False) as store:
        hold = {"run_id": 1, "betnr": None, "kind": "removals", "reason": "too much", "held_at": "2026-08-29 11:00:00"}
        for number in range(62):
            listing = EspoListing(
                f"h{number}", 5000 + number, "Anna", status=None, fingerprint=None, modified_at=None, modified_by=None
            )
            save_listings(store, [listing], "2026-08-29 11:00:00")
            insert_holds(store, [{**hold, "entity_id": f"h{number}"}])
        lost = {"run_id": 1, "entity_id": "e1", "betnr": 1, "variant": "clash", "created_at": "2026-08-29 10:00:01"}
        save_conflicts(store, [{**lost, "espo_value": "1", "advo_value": str(number)} for number in range(31)])
    cells = table_cells(render_report_page(config, DAYS, names=True, now=NOW))
    held = cells[cells.index(HELD) - 1]
    assert (held.count("Anna"), held.partition(" und ")[2]) == (60, "2 weitere Personen")
    assert cells[-5] == "und 2 weitere: `advosync conflicts --all`"


def test_a_change_that_was_reverted_is_not_told_as_taken_over(config: Config) -> None:
    def tiles() -> dict[str, str]:
        page = render_report_page(config, DAYS, names=False, now=NOW)
        return {words: figure for figure, words in re.findall(r"<b>(\d+)</b>([^<]+)", page)}

    assert tiles()["Änderung aus Advoware nach EspoCRM übernommen"] == "1"
    with Store.open(config.state.path, now="2026-08-29 11:00:00", durable=False) as store:
        decision = {"run_id": 1, "entity_id": "e1", "betnr": 104711, "variant": "var6", "reason": ""}
        facts = {"facts": {"verdict": "revert"}, "created_at": "2026-08-29 10:00:00"}
        (number,) = save_decisions(store, [{**decision, **facts}])
        store.execute("update changes set decision_id = :number where variant = 'var6'", {"number": number})
    assert tiles()["Änderungen aus Advoware nach EspoCRM übernommen"] == "0"
    assert tiles()["Änderung in Advoware zurückgesetzt, weil EspoCRM gilt"] == "1"


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "\"'><img src=x>", "{{ 7 * 7 }}{% raw %}", "</td>&lt;b&gt;"]
)
def test_a_name_that_looks_like_html_or_like_a_template_is_shown_as_it_is(config: Config, hostile: str) -> None:
    with Store.open(config.state.path, now="2026-08-29 11:00:00", durable=False) as store:
        listing = EspoListing("e1", 104711, hostile, status=None, fingerprint=None, modified_at=None, modified_by=None)
        save_listings(store, [listing], "2026-08-29 11:00:00")
        update_person(store, "e1", error=hostile)
    assert table_cells(render_report_page(config, DAYS, names=True, now=NOW))[:2] == [
        f"{hostile} · 104711",
        f"fehlgeschlagen. {hostile}",
    ]


def test_only_the_span_counts(config: Config) -> None:
    later = render_report_page(config, DateRange(date(2026, 8, 30), date(2026, 8, 30)), names=True, now=NOW)
    assert "0 Läufe im Zeitraum" in later
    assert LOST not in later


def test_a_span_is_days_back_from_today_unless_told_otherwise() -> None:
    today = date(2026, 8, 30)
    assert parse_date_range(None, None, 30, today) == DateRange(date(2026, 8, 1), today)
    assert parse_date_range("2026-08-05", None, 30, today) == DateRange(date(2026, 8, 5), today)
    assert parse_date_range(None, "2026-08-10", 2, today) == DateRange(date(2026, 8, 9), date(2026, 8, 10))
    with pytest.raises(ConfigError, match="--since gestern: write a day like"):
        parse_date_range("gestern", None, 30, today)
    with pytest.raises(ConfigError, match="before it begins"):
        parse_date_range("2026-09-01", None, 30, today)
