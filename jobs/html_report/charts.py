"""The four plots of the sync, for ``inspect``'s start page and for ``report``: figures of the store in, SVG out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from etl.enums import PersonStatus, RunOutcome
from etl.rules.variants import Variant
from etl.times import parse_utc
from jobs.html_report.svg import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    SKY,
    YELLOW,
    Bar,
    Dot,
    bar_chart,
    column_chart,
    dot_chart,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.html_report.chart_texts import ChartTexts

#   variant    colour: blues came from EspoCRM, warm ones from Advoware, the last two from an operator
VARIANT_COLOURS: Final = {
    Variant.VAR1:    BLUE,
    Variant.VAR5:    SKY,
    Variant.VAR2:    "#4b5fa8",
    Variant.RETYPE:  GREEN,
    Variant.VAR4:    ORANGE,
    Variant.VAR6:    YELLOW,
    Variant.VAR3:    RED,
    Variant.CLASH:   PINK,
    Variant.RESTORE: "#7f4fc9",
    Variant.UNDO:    GREY,
}  # fmt: skip

STATUS_COLOURS: Final = {
    PersonStatus.CLEAN: GREEN,
    PersonStatus.FAILED: RED,
    PersonStatus.PERMANENTLY_FAILED: RED,
    PersonStatus.CONFLICT: ORANGE,
    PersonStatus.DELETED_IN_ADVOWARE: ORANGE,
    "undecided": GREY,
    "not_linked": GREY,
}

AGE_COLOURS: Final = (GREEN, GREEN, GREEN, YELLOW, ORANGE, RED, GREY)

OUTCOME_COLOURS: Final = {RunOutcome.DONE: BLUE, RunOutcome.HELD: ORANGE, RunOutcome.FAILED_PERSONS: ORANGE}


def persons_by_status_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts) -> str:
    """How many persons stand how."""
    status_bars = [
        Bar(texts.statuses.get(row["status"], row["status"]), row["persons"], STATUS_COLOURS.get(row["status"], BLUE))
        for row in rows
    ]
    return bar_chart(texts.persons_by_status, status_bars)


def changes_per_day_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts, since: str, until: str) -> str:
    """How many entries changed on which day, by what had happened; marking alone is no change and is left out."""
    series = {
        texts.variants[variant]: by_day
        for variant in VARIANT_COLOURS
        if (by_day := {row["day"]: row["entries"] for row in rows if row["variant"] == variant})
    }
    colours = {texts.variants[variant]: colour for variant, colour in VARIANT_COLOURS.items()}
    return column_chart(texts.changes_per_day, days_between(since, until), series, colours)


def poll_age_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts) -> str:
    """How old our picture of Advoware is."""
    persons = {row["age"]: row["persons"] for row in rows}
    age_bars = [
        Bar(age, persons.get(number, 0), colour)
        for number, (age, colour) in enumerate(zip(texts.ages, AGE_COLOURS, strict=True))
    ]
    return bar_chart(texts.poll_age, age_bars)


def run_duration_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts) -> str:
    """How long each run took, over time; blue ones ended well."""
    if not rows:
        return dot_chart(texts.run_duration, [], ("", ""), texts.seconds)
    first, last = (parse_utc(pick(row["started_at"] for row in rows)) for pick in (min, max))
    total_seconds = max((last - first).total_seconds(), 1)
    run_dots = [
        Dot(
            (parse_utc(row["started_at"]) - first).total_seconds() / total_seconds,
            row["seconds"],
            f"{texts.run} {row['id']} ({row['trigger']}), {row['started_at']}: {row['seconds']} {texts.seconds}, "
            f"{row['persons_seen']} {texts.persons}, {row['outcome']}",
            OUTCOME_COLOURS.get(row["outcome"], RED),
        )
        for row in rows
    ]
    ends = f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}"
    return dot_chart(texts.run_duration, run_dots, ends, f" {texts.seconds}")



def days_between(since: str, until: str) -> list[str]:
    """Every day of a span, the last one included when the span reaches into it."""
    first, last = date.fromisoformat(since[:10]), (parse_utc(until) - timedelta(seconds=1)).date()
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
