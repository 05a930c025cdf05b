"""What ``inspect`` shows first: how it stands, four plots, the questions, and what tables there are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from jobs import pictures
from jobs.words import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.store.figures import Rows
    from jobs.inspector.dictionary import Dictionary

DAYS: Final = 30

#   figure            what it says                       where it leads
TILES: Final = (
    ("linked",         "persons linked",                  "persons?betnr__notblank=1"),
    ("waiting",        "wait to be synced",               "who_waits"),
    ("failing",        "cannot be synced",                "who_fails_and_why"),
    ("held",           "held back by a guard",            "who_is_held_back"),
    ("open_conflicts", "values lost, not looked at yet",  "open_conflicts"),
    ("left_alone",     "entries left alone",              "what_is_left_alone"),
)  # fmt: skip

NEEDED: Final = {"at_a_glance", "persons_by_status", "changes_a_day", "age_of_last_look", "duration_of_runs"}
"""The figures of this page."""

WORRYING: Final = {"failing", "held", "open_conflicts"}


def span(now: datetime) -> tuple[str, str]:
    """The last days as the figures take them."""
    until = now + timedelta(seconds=1)
    return f"{now - timedelta(days=DAYS - 1):%Y-%m-%d} 00:00:00", f"{until:%Y-%m-%d %H:%M:%S}"


def context(figures: Mapping[str, Rows], dictionary: Dictionary, since: str, until: str) -> dict[str, Any]:
    """Everything the template of the start page shows."""
    glance = figures["at_a_glance"][0]
    return {
        "advosync": {
            "last_success": glance["last_success"],
            "tiles": [
                {"figure": glance[name], "words": words, "leads_to": place, "worry": name in WORRYING and glance[name]}
                for name, words, place in TILES
            ],
            "plots": plots(figures, since, until),
            "tables": {name: told.about for name, told in dictionary.tables.items()},
            "views": {name: told.about for name, told in dictionary.views.items()},
            "words": dictionary.words,
        }
    }


def plots(figures: Mapping[str, Rows], since: str, until: str) -> list[dict[str, str]]:
    """The four plots, each under its question and with the place of its figures."""
    words = ENGLISH
    status = pictures.persons_by_status(figures["persons_by_status"], words)
    changes = pictures.changes_a_day(figures["changes_a_day"], words, since, until)
    ages = pictures.age_of_last_look(figures["age_of_last_look"], words)
    runs = pictures.duration_of_runs(figures["duration_of_runs"], words)
    drawn = (
        (words.persons_by_status, status, "persons?_facet=status"),
        (words.changes_a_day, changes, "changes_by_day"),
        (words.age_of_last_look, ages, "how_old_are_the_looks"),
        (words.duration_of_runs, runs, "last_runs"),
    )
    return [{"title": title, "svg": svg, "leads_to": place} for title, svg, place in drawn]
