"""What ``inspect`` shows first: how it stands, four plots, the questions, and what tables there are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from jobs.html_report import charts
from jobs.html_report.chart_texts import ENGLISH_CHART_TEXTS
from jobs.html_report.page import DateRange
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    from etl.store.queries.charts import ChartRows
    from jobs.inspector.dictionary import Dictionary

SPAN_DAYS: Final = 30

WIDE_TABLES: Final = {
    "persons": ("betnr", "name", "status", "due_since", "due_reason", "last_sync_at", "espo_seen_at", "advo_seen_at",
                "error"),
    "advo_entries": ("betnr", "value", "remark", "marker_value", "is_slot", "komm_kz", "doubt"),
    "runs": ("id", "trigger", "operator", "about", "reason", "started_at", "finished_at", "outcome", "persons_seen",
             "persons_changed", "persons_failed", "error"),
    "changes": ("id", "run_id", "betnr", "variant", "side", "action", "old_value", "new_value", "state", "error",
                "finished_at"),
    "decisions": ("id", "run_id", "betnr", "variant", "reason", "state", "created_at"),
    "conflicts": ("id", "run_id", "betnr", "advo_value", "espo_value", "reason", "created_at", "seen_at",
                  "restored_at"),
}  # fmt: skip
"""The columns that a screen has room for; all others are a click away in the table's own menu."""


def column_choice(table: str) -> str:
    """The query of a link to a wide table that shows what a screen has room for."""
    return "&".join(f"_col={column}" for column in WIDE_TABLES[table])


#   figure            what it says                       where it leads
TILES: Final = (
    ("linked",         "persons linked",                  "person_status?betnr__notblank=1"),
    ("waiting",        "wait to be synced",               "who_waits"),
    ("to_see_to",      "cannot be synced",                "who_fails_and_why"),
    ("held",           "held back by a guard",            "who_is_held_back"),
    ("open_conflicts", "values lost, not looked at yet",  "open_conflicts"),
    ("left_alone",     "entries left alone",              "what_is_left_alone"),
)  # fmt: skip

FIGURE_NAMES: Final = {"at_a_glance", "persons_by_status", "changes_a_day", "age_of_last_look", "duration_of_runs"}
"""The figures of this page."""

ALARMING_TILES: Final = {"to_see_to", "held", "open_conflicts"}


def last_days(now: datetime, zone: tzinfo) -> DateRange:
    """The last days by the firm's calendar."""
    today = now.astimezone(zone).date()
    return DateRange(today - timedelta(days=SPAN_DAYS - 1), today)


def start_page_context(
    figures: Mapping[str, ChartRows], dictionary: Dictionary, days: DateRange, zone: tzinfo
) -> dict[str, Any]:
    """The variables of the start page's template."""
    totals = figures["at_a_glance"][0]
    return {
        "advosync": {
            "last_success": format_local(totals["last_success"], zone, "%Y-%m-%d %H:%M"),
            "zone": zone,
            "tiles": [
                {
                    "figure": totals[name],
                    "words": words,
                    "leads_to": link,
                    "worry": name in ALARMING_TILES and totals[name],
                }
                for name, words, link in TILES
            ],
            "plots": start_page_plots(figures, days, zone),
            "tables": {name: doc.about for name, doc in dictionary.tables.items()},
            "columns": {name: column_choice(name) for name in WIDE_TABLES},
            "views": {name: doc.about for name, doc in dictionary.views.items()},
            "words": dictionary.words,
        }
    }


def start_page_plots(figures: Mapping[str, ChartRows], days: DateRange, zone: tzinfo) -> list[dict[str, str]]:
    """The four plots, each under its question and with the place of its figures."""
    texts = ENGLISH_CHART_TEXTS
    status = charts.persons_by_status_chart(figures["persons_by_status"], texts)
    changes = charts.changes_per_day_chart(figures["changes_a_day"], texts, days.days, zone)
    ages = charts.poll_age_chart(figures["age_of_last_look"], texts)
    runs = charts.run_duration_chart(figures["duration_of_runs"], texts, zone)
    plots = (
        (texts.persons_by_status, status, "person_status?_facet=status"),
        (texts.changes_per_day, changes, "changes_by_day"),
        (texts.poll_age, ages, "how_old_are_the_looks"),
        (texts.run_duration, runs, "last_runs"),
    )
    return [{"title": title, "svg": svg, "leads_to": link} for title, svg, link in plots]
