"""``report``: a span of days as one HTML page for somebody who will not open a terminal; nothing in it is fetched.

Without ``names`` it holds figures only, so it may be passed on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jinja2

from etl.errors import ConfigError
from etl.rules.espo.german_errors import translate_error
from etl.rules.variants import ADVO_CHANGES, ESPO_CHANGES, Variant
from etl.store.database import Store
from etl.store.queries.charts import load_chart_data
from etl.times import format_utc
from jobs.html_report import charts
from jobs.html_report.chart_texts import CHART_TEXTS, REVERTED
from jobs.html_report.svg import Bar, bar_chart, format_number
from jobs.html_report.texts import REPORT_TEXTS
from jobs.promise import EDITED_SYSTEMS
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo

    from etl.store.queries.charts import ChartRows
    from jobs.config import Config, Language
    from jobs.html_report.chart_texts import ChartTexts
    from jobs.html_report.texts import Plural, ReportTexts

FROM_ADVOWARE: Final = ADVO_CHANGES - {Variant.CLASH}
FROM_ESPOCRM: Final = ESPO_CHANGES
ALWAYS_SHOWN: Final = frozenset({"linked", "to_espo", "to_advo"})
"""Figures that are told also when they are zero."""
MOST_LOST_VALUES, MOST_NAMED = 30, 60
"""So many values, and persons of one reason, fit beside everything else on two printed pages."""

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
    """Days by the firm's calendar, the last one included."""

    first: date
    last: date

    def since(self, zone: tzinfo) -> str:
        """Its first moment, as UTC text."""
        return format_utc(datetime.combine(self.first, time(), zone))

    def until(self, zone: tzinfo) -> str:
        """The first moment after it, as UTC text."""
        return format_utc(datetime.combine(self.last + timedelta(days=1), time(), zone))

    @property
    def days(self) -> list[date]:
        """Each of them."""
        return charts.days_between(self.first, self.last)


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
    now_text, zone = format_utc(now), config.schedule.zone
    since, until = days.since(zone), days.until(zone)
    with Store.open(config.state.path, now=now_text, read_only=True) as store:
        figures = load_chart_data(store, since, min(until, max(now_text, since)))
    return page_html(figures, days, ReportView(config.report.language, zone), now_text, names=names)


@dataclass(frozen=True)
class ReportView:
    """For whom it is written: the language, and the clock."""

    language: Language
    zone: tzinfo

    @property
    def texts(self) -> ReportTexts:
        """What the page says."""
        return REPORT_TEXTS[self.language]

    @property
    def chart_texts(self) -> ChartTexts:
        """What the plots say."""
        return CHART_TEXTS[self.language]

    def day(self, day: date) -> str:
        """A day as the language writes it, everywhere the same."""
        return day.strftime(self.chart_texts.day)

    def time(self, text: str | None) -> str:
        """A moment by the firm's clock, to the minute."""
        return format_local(text, self.zone, self.chart_texts.moment) if text else "–"


def page_html(figures: Mapping[str, ChartRows], days: DateRange, view: ReportView, now: str, *, names: bool) -> str:
    """The page of these figures, filled into the template ``report.html``."""
    texts, totals = view.texts, figures["at_a_glance"][0]
    counts = {
        "persons": totals["to_see_to"],
        "held": totals["held"],
        "lost": totals["open_conflicts"],
        "locked": totals["locked"],
    }
    open_parts = [plural_text(count, texts.open_parts[name]) for name, count in counts.items() if count]
    return TEMPLATES.get_template("report.html").render(
        language=view.language,
        texts=texts,
        date_range=texts.date_range.format(since=view.day(days.first), until=view.day(days.last)),
        is_work_left=bool(open_parts),
        message=texts.not_all_well.format(parts="; ".join(open_parts)) if open_parts else texts.all_well,
        runs=runs_sentence(figures, view),
        arrivals=arrival_sentences(figures["how_long_edits_took"][0], texts),
        tiles=number_tiles(figures, texts),
        plots=report_plots(figures, days, view),
        tables=value_tables(figures, view) if names else (),
        footer=texts.footer.format(now=view.time(now), version=version("advosync"), zone=view.zone),
    )


# Parts ------------------------------------------------------------------------------------------------------------


def plural_text(count: int, forms: Plural) -> str:
    """A sentence with its count, in the singular or the plural."""
    return forms[count != 1].format(n=format_number(count))


def runs_sentence(figures: Mapping[str, ChartRows], view: ReportView) -> str:
    """One sentence: how many runs there were, how many broke off and why, and which was the last good one."""
    totals, texts = figures["what_was_done"][0], view.texts
    troubles = {"outages": texts.outages, "failures_of_ours": texts.failures_of_ours}
    trouble = ", ".join(plural_text(totals[name], forms) for name, forms in troubles.items() if totals[name])
    sentence = "; ".join(filter(None, [plural_text(totals["runs"], texts.runs), trouble]))
    return f"{sentence}. {texts.last_success.format(last=view.time(figures['at_a_glance'][0]['last_success']))}"


def arrival_sentences(times: Mapping[str, Any], texts: ReportTexts) -> str:
    """How long the edits of each system took to arrive in the other one, where there were any."""
    return " ".join(
        plural_text(times[edits]["edits"], texts.arrivals[edits]).format(
            median=span_text(times[edits]["median_seconds"], texts), p95=span_text(times[edits]["p95_seconds"], texts)
        )
        for edits in EDITED_SYSTEMS
        if times[edits]["edits"]
    )


def span_text(seconds: int, texts: ReportTexts) -> str:
    """A time that is not exceeded: in minutes up to two hours, then in hours."""
    is_short = seconds <= 2 * 3600
    return plural_text(ceil(seconds / (60 if is_short else 3600)), texts.minutes if is_short else texts.hours)


def number_tiles(figures: Mapping[str, ChartRows], texts: ReportTexts) -> Iterator[tuple[str, str]]:
    """The headline figures with their words; a rare one only where it is not 0."""
    counts, totals = changes_by_variant(figures), figures["what_was_done"][0]
    tiles = {
        "linked": figures["at_a_glance"][0]["linked"],
        "to_espo": sum(counts[variant] for variant in FROM_ADVOWARE),
        "to_advo": sum(counts[variant] for variant in FROM_ESPOCRM),
        "reverted": counts[REVERTED],
        "lost": totals["lost"],
        "restored": totals["restored"],
    }
    for name, count in tiles.items():
        if count or name in ALWAYS_SHOWN:
            yield format_number(count), plural_text(count, texts.tiles[name])


def changes_by_variant(figures: Mapping[str, ChartRows]) -> Counter[str]:
    """How many entries changed, by what had happened."""
    counts: Counter[str] = Counter()
    for row in figures["changes_a_day"]:
        counts[row["variant"]] += row["entries"]
    return counts


def report_plots(figures: Mapping[str, ChartRows], days: DateRange, view: ReportView) -> Iterator[tuple[str, str]]:
    """The plots as SVG, each with its question as the heading."""
    texts, counts = view.chart_texts, changes_by_variant(figures)
    variant_bars = [
        Bar(texts.variants[name], counts[name], colour)
        for name, colour in charts.VARIANT_COLOURS.items()
        if counts[name]
    ]
    heading = view.texts.variants_heading
    changes = charts.changes_per_day_chart(figures["changes_a_day"], texts, days.days, view.zone)
    yield texts.changes_per_day, changes
    yield heading, bar_chart(heading, variant_bars)
    yield texts.persons_by_status, charts.persons_by_status_chart(figures["persons_by_status"], texts)
    yield texts.poll_age, charts.poll_age_chart(figures["age_of_last_look"], texts)


def value_tables(figures: Mapping[str, ChartRows], view: ReportView) -> Iterator[ReportTable]:
    """The tables with names and values: who needs somebody, by reason, and which values lost."""
    texts = view.texts
    persons_by_reason: dict[str, list[str]] = {}
    for row in figures["persons_to_see_to"]:
        status = view.chart_texts.statuses.get(row["status"], row["status"])
        hold = view.chart_texts.holds.get(row["held_kind"])  # the store has its sentence in English alone
        reason = f"{status}: {hold}" if hold else f"{status}. {translate_error(row['error'] or '', view.language)}"
        persons_by_reason.setdefault(reason, []).append(person_cell(row))
    waiting = [(person_list(persons, texts), reason) for reason, persons in persons_by_reason.items()]
    rows = figures["values_that_lost"]
    lost = [
        (
            view.time(row["created_at"]), person_cell(row), row["lost_value"] or "–", row["kept_value"] or "–",
            state_of_lost_value(row, view),
        )
        for row in rows[:MOST_LOST_VALUES]
    ]  # fmt: skip
    if len(rows) > MOST_LOST_VALUES:
        lost.append((plural_text(len(rows) - MOST_LOST_VALUES, texts.more), "", "", "", ""))
    yield ReportTable(texts.attention_heading, (texts.person, texts.reason), waiting)
    head = (texts.time, texts.person, texts.value_lost, texts.value_kept, texts.state)
    yield ReportTable(texts.lost_heading, head, lost)


def person_list(persons: Sequence[str], texts: ReportTexts) -> str:
    """The persons of one reason, cut off after the first ones."""
    rest = len(persons) - MOST_NAMED
    more = f" {plural_text(rest, texts.more_persons)}" if rest > 0 else ""
    return ", ".join(persons[:MOST_NAMED]) + more


def state_of_lost_value(row: Mapping[str, Any], view: ReportView) -> str:
    """What happened to a value that lost: restored, seen, or still open."""
    if row["restored_at"]:
        return view.texts.restored.format(at=view.time(row["restored_at"]))
    return view.texts.seen.format(at=view.time(row["seen_at"])) if row["seen_at"] else view.texts.not_seen


def person_cell(row: Mapping[str, Any]) -> str:
    """A person as a table cell."""
    return " · ".join(str(part) for part in (row["name"], row["betnr"]) if part)
