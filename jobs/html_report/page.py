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
from etl.store.queries.charts import load_chart_data
from etl.times import format_utc
from jobs.html_report import charts
from jobs.html_report.chart_texts import CHART_TEXTS
from jobs.html_report.svg import Bar, bar_chart, format_number
from jobs.html_report.texts import REPORT_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.queries.charts import ChartRows
    from jobs.config import Config, Language

FROM_ADVOWARE: Final = ("var3", "var4", "var6")
FROM_ESPOCRM: Final = ("var1", "var2", "var5", "retype", "clash")

CSS_PATH: Final = Path(__file__).with_suffix(".css")


@dataclass(frozen=True, slots=True)
class DateRange:
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


def parse_date_range(since: str | None, until: str | None, days: int, today: date) -> DateRange:
    """The span asked for: from ``since``, or so many ``days``, up to ``until`` or today; ConfigError when empty."""
    last = parse_report_day(until, "--until") if until else today
    first = parse_report_day(since, "--since") if since else last - timedelta(days=days - 1)
    if first > last:
        raise ConfigError(f"The report would end before it begins: {first} is after {last}.")
    return DateRange(first, last)


def parse_report_day(text: str, option: str) -> date:
    """A day as people write it to us."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: write a day like 2026-08-30.") from None


def render_report_page(config: Config, days: DateRange, *, names: bool, now: datetime | None = None) -> str:
    """The page for the span; StoreError when there is no state store yet."""
    now = now or datetime.now(UTC)
    now_text = format_utc(now)
    with Store.open(config.state.path, now=now_text, read_only=True) as store:
        figures = load_chart_data(store, days.since, min(days.until, max(now_text, days.since)))
    return page_html(figures, days, config.report.language, now_text, names=names)


def page_html(figures: Mapping[str, ChartRows], days: DateRange, language: Language, now: str, *, names: bool) -> str:
    """The page of these figures."""
    texts = REPORT_TEXTS[language]
    days_text = texts.date_range.format(since=format_day(days.first, language), until=format_day(days.last, language))
    body = [
        f"<h1>{escape(texts.title)}</h1>",
        f'<p class="soft">{days_text}</p>',
        page_intro(figures, language),
        number_tiles(figures, language),
        f'<div class="plots">{"".join(report_plots(figures, days, language))}</div>',
        *value_tables(figures, language, names=names),
        f"<p>{escape(texts.conflict_explanation)}</p>",
        f"<footer>{escape(texts.footer.format(now=now, version=version('advosync')))}</footer>",
    ]
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(texts.title)}</title>\n<style>\n{CSS_PATH.read_text('utf-8')}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


# Parts ------------------------------------------------------------------------------------------------------------


def page_intro(figures: Mapping[str, ChartRows], language: Language) -> str:
    """Whether somebody has to do something, and how the runs went."""
    texts, totals, run_totals = REPORT_TEXTS[language], figures["at_a_glance"][0], figures["what_was_done"][0]
    open_counts = {
        "persons": totals["to_see_to"],
        "lost": totals["open_conflicts"],
        "held": totals["held"],
    }
    message = texts.not_all_well.format(**open_counts) if any(open_counts.values()) else texts.all_well
    runs = texts.runs.format(
        runs=run_totals["runs"], broken=run_totals["broken_off"], last=totals["last_success"] or "–"
    )
    css_class = ' class="lead worry"' if any(open_counts.values()) else ' class="lead"'
    return f"<p{css_class}>{escape(message)}</p><p>{escape(runs)}</p>"


def number_tiles(figures: Mapping[str, ChartRows], language: Language) -> str:
    """The figures worth a large number."""
    texts, counts = REPORT_TEXTS[language], changes_by_variant(figures)
    numbers = (
        (figures["at_a_glance"][0]["linked"], texts.linked),
        (sum(counts[variant] for variant in FROM_ADVOWARE), texts.to_espo),
        (sum(counts[variant] for variant in FROM_ESPOCRM), texts.to_advo),
        (figures["what_was_done"][0]["lost"], texts.lost),
        (figures["at_a_glance"][0]["to_see_to"], texts.needs_attention),
    )
    tiles = "".join(f"<li><b>{format_number(n)}</b>{escape(words)}</li>" for n, words in numbers)
    return f'<ul class="tiles">{tiles}</ul>'


def changes_by_variant(figures: Mapping[str, ChartRows]) -> Counter[str]:
    """How many entries changed, by what had happened."""
    counts: Counter[str] = Counter()
    for row in figures["changes_a_day"]:
        counts[row["variant"]] += row["entries"]
    return counts


def report_plots(figures: Mapping[str, ChartRows], days: DateRange, language: Language) -> Iterable[str]:
    """The plots, each under its question."""
    texts, counts = CHART_TEXTS[language], changes_by_variant(figures)
    variant_bars = [
        Bar(texts.variants[name], counts[name], colour)
        for name, colour in charts.VARIANT_COLOURS.items()
        if counts[name]
    ]
    plots = {
        texts.changes_per_day: charts.changes_per_day_chart(figures["changes_a_day"], texts, days.since, days.until),
        REPORT_TEXTS[language].variants_heading: bar_chart(REPORT_TEXTS[language].variants_heading, variant_bars),
        texts.persons_by_status: charts.persons_by_status_chart(figures["persons_by_status"], texts),
        texts.poll_age: charts.poll_age_chart(figures["age_of_last_look"], texts),
    }
    return (f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>" for title, svg in plots.items())


def value_tables(figures: Mapping[str, ChartRows], language: Language, *, names: bool) -> Iterable[str]:
    """Who needs somebody and which values lost; without ``names`` only that they are left out."""
    texts, chart_texts = REPORT_TEXTS[language], CHART_TEXTS[language]
    if not names:
        return [f'<p class="soft">{escape(texts.names_omitted)}</p>']
    waiting = [
        (person_cell(row), f"{chart_texts.statuses.get(row['status'], row['status'])}. {row['error'] or ''}")
        for row in figures["persons_to_see_to"]
    ]
    lost = [
        (row["created_at"], person_cell(row), row["lost_value"] or "–", row["kept_value"] or "–")
        for row in figures["values_that_lost"]
    ]
    return [
        f"<h2>{escape(texts.attention_heading)}</h2>",
        html_table((texts.person, texts.reason), waiting, texts.nobody),
        f"<h2>{escape(texts.lost_heading)}</h2>",
        html_table((texts.time, texts.person, texts.value_lost, texts.value_kept), lost, texts.nobody),
    ]


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], nobody: str) -> str:
    """A table, or a word that there is nothing in it."""
    if not rows:
        return f"<p>{escape(nobody)}</p>"
    cells = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def person_cell(row: Mapping[str, Any]) -> str:
    """A person for the eye."""
    return " · ".join(str(part) for part in (row["name"], row["betnr"]) if part)


def format_day(day: date, language: Language) -> str:
    """A day as it is written in the language."""
    return f"{day:%d.%m.%Y}" if language == "de" else f"{day:%-d %B %Y}"
