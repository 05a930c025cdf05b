"""``report``: a span of days as one HTML page for somebody who will not open a terminal; nothing in it is fetched.

Without ``names`` it holds figures only, so it may be passed on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.figures import load_figures
from jobs import pictures
from jobs.plots import Bar, bars, figure
from jobs.summary_words import PHRASES
from jobs.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.figures import Rows
    from jobs.config import Config, Language

FROM_ADVOWARE: Final = ("var3", "var4", "var6")
FROM_ESPOCRM: Final = ("var1", "var2", "var5", "retype", "clash")

CSS: Final = Path(__file__).with_suffix(".css")


@dataclass(frozen=True, slots=True)
class Span:
    """Days of UTC, the last one included."""

    first: date
    last: date

    @property
    def since(self) -> str:
        """Its first moment."""
        return f"{self.first} 00:00:00"

    @property
    def until(self) -> str:
        """The first moment after it."""
        return f"{self.last + timedelta(days=1)} 00:00:00"


def span_of(since: str | None, until: str | None, days: int, today: date) -> Span:
    """The span asked for: from ``since``, or so many ``days``, up to ``until`` or today; ConfigError when empty."""
    last = day(until, "--until") if until else today
    first = day(since, "--since") if since else last - timedelta(days=days - 1)
    if first > last:
        raise ConfigError(f"The report would end before it begins: {first} is after {last}.")
    return Span(first, last)


def day(text: str, option: str) -> date:
    """A day as people write it to us."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: write a day like 2026-08-30.") from None


def page(config: Config, span: Span, *, names: bool, now: datetime | None = None) -> str:
    """The page for the span; StoreError when there is no state store yet."""
    now = now or datetime.now(UTC)
    moment = f"{now:%Y-%m-%d %H:%M:%S}"
    with Store.open(config.state.path, now=moment, read_only=True) as store:
        figures = load_figures(store, span.since, min(span.until, max(moment, span.since)))
    return html(figures, span, config.report.language, moment, names=names)


def html(figures: Mapping[str, Rows], span: Span, language: Language, now: str, *, names: bool) -> str:
    """The page of these figures."""
    phrases = PHRASES[language]
    days = phrases.span.format(since=shown(span.first, language), until=shown(span.last, language))
    body = [
        f"<h1>{escape(phrases.title)}</h1>",
        f'<p class="soft">{days}</p>',
        lead(figures, language),
        tiles(figures, language),
        f'<div class="plots">{"".join(plots(figures, span, language))}</div>',
        *listed(figures, language, names=names),
        f"<p>{escape(phrases.how_conflicts)}</p>",
        f"<footer>{escape(phrases.footer.format(now=now, version=version('advosync')))}</footer>",
    ]
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(phrases.title)}</title>\n<style>\n{CSS.read_text('utf-8')}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


# Parts ------------------------------------------------------------------------------------------------------------


def lead(figures: Mapping[str, Rows], language: Language) -> str:
    """Whether somebody has to do something, and how the runs went."""
    phrases, glance, done = PHRASES[language], figures["at_a_glance"][0], figures["what_was_done"][0]
    open_ends = {
        "persons": glance["to_see_to"],
        "lost": glance["open_conflicts"],
        "held": glance["held"],
    }
    told = phrases.not_all_well.format(**open_ends) if any(open_ends.values()) else phrases.all_well
    runs = phrases.runs.format(runs=done["runs"], broken=done["broken_off"], last=glance["last_success"] or "–")
    mark = ' class="lead worry"' if any(open_ends.values()) else ' class="lead"'
    return f"<p{mark}>{escape(told)}</p><p>{escape(runs)}</p>"


def tiles(figures: Mapping[str, Rows], language: Language) -> str:
    """The figures worth a large number."""
    phrases, counts = PHRASES[language], by_variant(figures)
    told = (
        (figures["at_a_glance"][0]["linked"], phrases.linked),
        (sum(counts[variant] for variant in FROM_ADVOWARE), phrases.to_espo),
        (sum(counts[variant] for variant in FROM_ESPOCRM), phrases.to_advo),
        (figures["what_was_done"][0]["lost"], phrases.lost),
        (figures["at_a_glance"][0]["to_see_to"], phrases.to_see_to),
    )
    return f'<ul class="tiles">{"".join(f"<li><b>{figure(n)}</b>{escape(words)}</li>" for n, words in told)}</ul>'


def by_variant(figures: Mapping[str, Rows]) -> Counter[str]:
    """How many entries changed, by what had happened."""
    counts: Counter[str] = Counter()
    for row in figures["changes_a_day"]:
        counts[row["variant"]] += row["entries"]
    return counts


def plots(figures: Mapping[str, Rows], span: Span, language: Language) -> Iterable[str]:
    """The plots, each under its question."""
    words, counts = WORDS[language], by_variant(figures)
    split = [
        Bar(words.variants[name], counts[name], colour) for name, colour in pictures.COLOURS.items() if counts[name]
    ]
    drawn = {
        words.changes_a_day: pictures.changes_a_day(figures["changes_a_day"], words, span.since, span.until),
        PHRASES[language].split: bars(PHRASES[language].split, split),
        words.persons_by_status: pictures.persons_by_status(figures["persons_by_status"], words),
        words.age_of_last_look: pictures.age_of_last_look(figures["age_of_last_look"], words),
    }
    return (f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>" for title, svg in drawn.items())


def listed(figures: Mapping[str, Rows], language: Language, *, names: bool) -> Iterable[str]:
    """Who needs somebody and which values lost; without ``names`` only that they are left out."""
    phrases, words = PHRASES[language], WORDS[language]
    if not names:
        return [f'<p class="soft">{escape(phrases.names_left_out)}</p>']
    waiting = [
        (who(row), f"{words.statuses.get(row['status'], row['status'])}. {row['error'] or ''}")
        for row in figures["persons_to_see_to"]
    ]
    lost = [
        (row["created_at"], who(row), row["lost_value"] or "–", row["kept_value"] or "–")
        for row in figures["values_that_lost"]
    ]
    return [
        f"<h2>{escape(phrases.list_to_see_to)}</h2>",
        table((phrases.person, phrases.how_it_stands), waiting, phrases.nobody),
        f"<h2>{escape(phrases.list_lost)}</h2>",
        table((phrases.when, phrases.person, phrases.value_lost, phrases.value_kept), lost, phrases.nobody),
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], nobody: str) -> str:
    """A table, or a word that there is nothing in it."""
    if not rows:
        return f"<p>{escape(nobody)}</p>"
    cells = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def who(row: Mapping[str, Any]) -> str:
    """A person for the eye."""
    return " · ".join(str(part) for part in (row["name"], row["betnr"]) if part)


def shown(when: date, language: Language) -> str:
    """A day as it is written in the language."""
    return f"{when:%d.%m.%Y}" if language == "de" else f"{when:%-d %B %Y}"
