"""``report``: a span of days as one HTML page for somebody who will not open a terminal; nothing in it is fetched.

Without ``names`` it holds figures only, so it may be passed on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jinja2

from etl.errors import ConfigError
from etl.rules.variants import ADVO_CHANGES, ESPO_CHANGES, Variant
from etl.store.database import Store
from etl.store.queries.charts import load_chart_data
from etl.times import format_utc
from jobs.html_report import charts
from jobs.html_report.chart_texts import CHART_TEXTS
from jobs.html_report.svg import Bar, bar_chart, format_number
from jobs.html_report.texts import REPORT_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from etl.store.queries.charts import ChartRows
    from jobs.config import Config, Language
    from jobs.html_report.texts import ReportTexts

FROM_ADVOWARE: Final = ADVO_CHANGES - {Variant.CLASH}
FROM_ESPOCRM: Final = ESPO_CHANGES

TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


class ReportTable(NamedTuple):
    """A table with names and values."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]



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
    """The page of these figures, by the template ``report.html``."""
    texts = REPORT_TEXTS[language]
    totals, run_totals = figures["at_a_glance"][0], figures["what_was_done"][0]
    open_counts = {
        "persons": totals["to_see_to"],
        "lost": totals["open_conflicts"],
        "held": totals["held"],
        "locked": totals["locked"],
    }
    is_work_left = any(open_counts.values())
    return TEMPLATES.get_template("report.html").render(
        language=language,
        texts=texts,
        date_range=texts.date_range.format(
            since=format_day(days.first, language), until=format_day(days.last, language)
        ),
        is_work_left=is_work_left,
        message=texts.not_all_well.format(**open_counts) if is_work_left else texts.all_well,
        runs=texts.runs.format(
            runs=run_totals["runs"],
            outages=run_totals["outages"],
            own=run_totals["failures_of_ours"],
            last=totals["last_success"] or "–",
        ),
        tiles=number_tiles(figures, texts),
        plots=report_plots(figures, days, language),
        tables=value_tables(figures, language) if names else (),
        footer=texts.footer.format(now=now, version=version("advosync")),
    )


# Parts ------------------------------------------------------------------------------------------------------------


def number_tiles(figures: Mapping[str, ChartRows], texts: ReportTexts) -> Iterator[tuple[str, str]]:
    """The figures worth a large number, each with its words."""
    counts = changes_by_variant(figures)
    yield format_number(figures["at_a_glance"][0]["linked"]), texts.linked
    yield format_number(sum(counts[variant] for variant in FROM_ADVOWARE)), texts.to_espo
    yield format_number(sum(counts[variant] for variant in FROM_ESPOCRM)), texts.to_advo
    yield format_number(figures["what_was_done"][0]["lost"]), texts.lost
    yield format_number(figures["at_a_glance"][0]["to_see_to"]), texts.needs_attention


def changes_by_variant(figures: Mapping[str, ChartRows]) -> Counter[str]:
    """How many entries changed, by what had happened."""
    counts: Counter[str] = Counter()
    for row in figures["changes_a_day"]:
        counts[row["variant"]] += row["entries"]
    return counts


def report_plots(figures: Mapping[str, ChartRows], days: DateRange, language: Language) -> Iterator[tuple[str, str]]:
    """The plots as SVG, each under its question."""
    texts, counts = CHART_TEXTS[language], changes_by_variant(figures)
    variant_bars = [
        Bar(texts.variants[name], counts[name], colour)
        for name, colour in charts.VARIANT_COLOURS.items()
        if counts[name]
    ]
    changes = charts.changes_per_day_chart(figures["changes_a_day"], texts, days.since, days.until)
    variants_heading = REPORT_TEXTS[language].variants_heading
    yield texts.changes_per_day, changes
    yield variants_heading, bar_chart(variants_heading, variant_bars)
    yield texts.persons_by_status, charts.persons_by_status_chart(figures["persons_by_status"], texts)
    yield texts.poll_age, charts.poll_age_chart(figures["age_of_last_look"], texts)


def value_tables(figures: Mapping[str, ChartRows], language: Language) -> Iterator[ReportTable]:
    """Who needs somebody and which values lost, by name and value."""
    texts, chart_texts = REPORT_TEXTS[language], CHART_TEXTS[language]
    waiting = [
        (person_cell(row), f"{chart_texts.statuses.get(row['status'], row['status'])}. {row['error'] or ''}")
        for row in figures["persons_to_see_to"]
    ]
    lost = [
        (row["created_at"], person_cell(row), row["lost_value"] or "–", row["kept_value"] or "–")
        for row in figures["values_that_lost"]
    ]
    yield ReportTable(texts.attention_heading, (texts.person, texts.reason), waiting)
    yield ReportTable(texts.lost_heading, (texts.time, texts.person, texts.value_lost, texts.value_kept), lost)


def person_cell(row: Mapping[str, Any]) -> str:
    """A person for the eye."""
    return " · ".join(str(part) for part in (row["name"], row["betnr"]) if part)


def format_day(day: date, language: Language) -> str:
    """A day as it is written in the language."""
    return f"{day:%d.%m.%Y}" if language == "de" else f"{day:%-d %B %Y}"
