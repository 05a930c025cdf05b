"""The four plots of the sync, for ``inspect``'s start page and for ``report``: figures of the store in, SVG out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from jobs.plots import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, Bar, Dot, bars, columns, dots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.words import Words

#   variant    colour: blues came from EspoCRM, warm ones from Advoware, the last two from an operator
COLOURS: Final = {
    "var1":    BLUE,
    "var5":    SKY,
    "var2":    "#4b5fa8",
    "retype":  GREEN,
    "var4":    ORANGE,
    "var6":    YELLOW,
    "var3":    RED,
    "clash":   PINK,
    "restore": "#7f4fc9",
    "undo":    GREY,
}  # fmt: skip

STATUS_COLOURS: Final = {
    "clean": GREEN,
    "failed": RED,
    "permanently_failed": RED,
    "conflict": ORANGE,
    "deleted_in_advoware": ORANGE,
    "undecided": GREY,
    "not_linked": GREY,
}

AGE_COLOURS: Final = (GREEN, GREEN, GREEN, YELLOW, ORANGE, RED, GREY)

OUTCOME_COLOURS: Final = {"done": BLUE, "held": ORANGE, "failed_persons": ORANGE}


def persons_by_status(rows: Sequence[Mapping[str, Any]], words: Words) -> str:
    """How many persons stand how."""
    drawn = [
        Bar(words.statuses.get(row["status"], row["status"]), row["persons"], STATUS_COLOURS.get(row["status"], BLUE))
        for row in rows
    ]
    return bars(words.persons_by_status, drawn)


def changes_a_day(rows: Sequence[Mapping[str, Any]], words: Words, since: str, until: str) -> str:
    """How many entries changed on which day, by what had happened; marking alone is no change and is left out."""
    series = {
        words.variants[variant]: by_day
        for variant in COLOURS
        if (by_day := {row["day"]: row["entries"] for row in rows if row["variant"] == variant})
    }
    colours = {words.variants[variant]: colour for variant, colour in COLOURS.items()}
    return columns(words.changes_a_day, days_between(since, until), series, colours)


def age_of_last_look(rows: Sequence[Mapping[str, Any]], words: Words) -> str:
    """How old our picture of Advoware is."""
    persons = {row["age"]: row["persons"] for row in rows}
    drawn = [
        Bar(age, persons.get(number, 0), colour)
        for number, (age, colour) in enumerate(zip(words.ages, AGE_COLOURS, strict=True))
    ]
    return bars(words.age_of_last_look, drawn)


def duration_of_runs(rows: Sequence[Mapping[str, Any]], words: Words) -> str:
    """How long each run took, over time; blue ones ended well."""
    if not rows:
        return dots(words.duration_of_runs, [], ("", ""), words.seconds)
    first, last = (moment(edge(row["started_at"] for row in rows)) for edge in (min, max))
    span = max((last - first).total_seconds(), 1)
    drawn = [
        Dot(
            (moment(row["started_at"]) - first).total_seconds() / span,
            row["seconds"],
            f"{words.run} {row['id']} ({row['trigger']}), {row['started_at']}: {row['seconds']} {words.seconds}, "
            f"{row['persons_seen']} {words.persons}, {row['outcome']}",
            OUTCOME_COLOURS.get(row["outcome"], RED),
        )
        for row in rows
    ]
    ends = f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}"
    return dots(words.duration_of_runs, drawn, ends, f" {words.seconds}")


def moment(utc: str) -> datetime:
    """A time of the store."""
    return datetime.strptime(utc, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def days_between(since: str, until: str) -> list[str]:
    """Every day of a span, the last one included when the span reaches into it."""
    first, last = date.fromisoformat(since[:10]), (moment(until) - timedelta(seconds=1)).date()
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
