"""The four plots of the sync, for ``inspect``'s start page and for ``report``: figures of the store in, SVG out."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from etl.enums import PersonStatus, RunOutcome
from etl.rules.variants import Variant
from etl.times import parse_utc
from jobs.html_report.chart_texts import REVERTED
from jobs.html_report.svg import (
    BLUE,
    GREEN,
    GREY,
    OCHRE,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    Bar,
    Dot,
    bar_chart,
    column_chart,
    dot_chart,
)
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, tzinfo

    from jobs.html_report.chart_texts import ChartTexts

#   variant    colour: blues came from EspoCRM, warm ones from Advoware, the last ones neither
VARIANT_COLOURS: Final = {
    Variant.VAR1:    BLUE,
    Variant.VAR5:    SKY,
    Variant.VAR2:    "#4b5fa8",
    Variant.RETYPE:  GREEN,
    Variant.VAR4:    ORANGE,
    Variant.VAR6:    YELLOW,
    Variant.VAR3:    OCHRE,
    Variant.CLASH:   PINK,
    Variant.RESTORE: "#7f4fc9",
    Variant.UNDO:    GREY,
    REVERTED:        "#c9b8a0",
}  # fmt: skip

STATUS_LEGEND_COLOURS: Final = (GREEN, ORANGE, BLUE, GREY)
"""In sync, somebody needed, under way, not synced at all."""

STATUS_COLOURS: Final = {
    PersonStatus.CLEAN: GREEN,
    "held": ORANGE,
    PersonStatus.FAILED: ORANGE,
    PersonStatus.PERMANENTLY_FAILED: ORANGE,
    PersonStatus.CONFLICT: ORANGE,
    PersonStatus.DELETED_IN_ADVOWARE: ORANGE,
    "undecided": GREY,
    "not_linked": GREY,
}

OUTCOME_COLOURS: Final = {RunOutcome.DONE: BLUE, RunOutcome.HELD: ORANGE, RunOutcome.FAILED_PERSONS: ORANGE}
BROKEN_OFF: Final = PINK


def persons_by_status_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts) -> str:
    """Bars of how many persons have each status; ``rows`` have ``status`` and ``persons``."""
    status_bars = [
        Bar(texts.statuses.get(row["status"], row["status"]), row["persons"], colour_of_status(row["status"]))
        for row in rows
    ]
    colours = {bar.colour for bar in status_bars}
    legend = [entry for entry in zip(texts.status_legend, STATUS_LEGEND_COLOURS, strict=True) if entry[1] in colours]
    return bar_chart(texts.persons_by_status, status_bars, legend)


def colour_of_status(status: str) -> str:
    """The colour of a status's bar; a status without one of its own is under way."""
    return STATUS_COLOURS.get(status, BLUE)


def changes_per_day_chart(
    rows: Sequence[Mapping[str, Any]], texts: ChartTexts, days: Sequence[date], zone: tzinfo
) -> str:
    """Columns of how many entries changed each day, by variant; adding markers alone is no change."""
    by_variant: dict[str, Counter[str]] = {variant: Counter() for variant in VARIANT_COLOURS}
    for row in rows:
        if row["variant"] in by_variant:
            by_variant[row["variant"]][format_local(row["at"], zone, texts.day)] += row["entries"]
    series = {texts.variants[variant]: by_day for variant, by_day in by_variant.items() if by_day}
    colours = {texts.variants[variant]: colour for variant, colour in VARIANT_COLOURS.items()}
    labels = ([day.strftime(day_format) for day in days] for day_format in (texts.day, texts.axis_day))
    day_labels, axis_labels = labels
    return column_chart(texts.changes_per_day, day_labels, series, colours, axis_labels)


def poll_age_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts) -> str:
    """Bars of how long ago persons were last read in Advoware; ``rows`` have ``age`` (an index) and ``persons``."""
    persons = {row["age"]: row["persons"] for row in rows}
    age_bars = [Bar(age, persons.get(number, 0)) for number, age in enumerate(texts.ages)]
    return bar_chart(texts.poll_age, age_bars, [(texts.persons, BLUE)])


def run_duration_chart(rows: Sequence[Mapping[str, Any]], texts: ChartTexts, zone: tzinfo) -> str:
    """Dots of how many seconds each run took, by the time it began."""
    if not rows:
        return dot_chart(texts.run_duration, [], ("", ""), texts.seconds)
    first_at, last_at = (pick(row["started_at"] for row in rows) for pick in (min, max))
    first, last = parse_utc(first_at), parse_utc(last_at)
    total_seconds = max((last - first).total_seconds(), 1)
    run_dots = [
        Dot(
            (parse_utc(row["started_at"]) - first).total_seconds() / total_seconds,
            row["seconds"],
            f"{texts.run} {row['id']} ({row['trigger']}), {format_local(row['started_at'], zone, texts.moment)}: "
            f"{row['seconds']} {texts.seconds}, {row['persons_seen']} {texts.persons}, {row['outcome']}",
            OUTCOME_COLOURS.get(row["outcome"], BROKEN_OFF),
        )
        for row in rows
    ]
    ends = format_local(first_at, zone, texts.moment), format_local(last_at, zone, texts.moment)
    legend = list(zip(texts.outcome_legend, (BLUE, ORANGE, BROKEN_OFF), strict=True))
    return dot_chart(texts.run_duration, run_dots, ends, f" {texts.seconds}", legend)


def days_between(first: date, last: date) -> list[date]:
    """Every day of a span, the last one included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
