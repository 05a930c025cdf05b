"""Plots are one well-formed SVG each, true to their figures and safe to put on a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from etl.enums import PersonStatus, RunOutcome
from etl.rules.variants import Variant
from jobs.config import Language
from jobs.html_report import charts
from jobs.html_report.chart_texts import CHART_TEXTS, REVERTED
from jobs.html_report.svg import LABEL_WIDTH, Bar, Dot, bar_chart, column_chart, dot_chart, format_number, round_up

if TYPE_CHECKING:
    from jobs.html_report.chart_texts import ChartTexts

SVG = "{http://www.w3.org/2000/svg}"


def svg_tree(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  our own


def tooltips(svg: str) -> list[str]:
    return [str(title.text) for title in svg_tree(svg).iter(f"{SVG}title")]


def test_a_bar_is_as_long_as_its_figure_and_says_it() -> None:
    svg = bar_chart("Who?", [Bar("many", 200), Bar("half", 100), Bar("none", 0)])
    lengths = [float(box.get("width", "0")) for box in svg_tree(svg).iter(f"{SVG}rect")]
    assert lengths[0] == pytest.approx(2 * lengths[1])
    assert lengths[2] == 0
    assert tooltips(svg) == ["many: 200", "half: 100", "none: 0"]


def test_columns_stack_what_happened_on_one_day() -> None:
    svg = column_chart("What?", ["2026-08-01", "2026-08-02"], {"a": {"2026-08-01": 3}, "b": {"2026-08-01": 1}}, {})
    assert tooltips(svg)[:2] == ["2026-08-01: 3 × a", "2026-08-01: 1 × b"]
    first, second = list(svg_tree(svg).iter(f"{SVG}rect"))[:2]
    assert float(second.get("y", "0")) + float(second.get("height", "0")) == pytest.approx(float(first.get("y", "0")))


def test_words_of_people_cannot_leave_their_place() -> None:
    hostile = '<script>alert(1)</script>"&'
    for svg in (bar_chart(hostile, [Bar(hostile, 1)]), dot_chart(hostile, [Dot(0, 1, hostile)], (hostile, ""), "s")):
        assert "<script" not in svg
        assert hostile in [*tooltips(svg), svg_tree(svg).get("aria-label")]


@pytest.mark.parametrize("svg", [bar_chart("", []), column_chart("", [], {}, {}), dot_chart("", [], ("", ""), "s")])
def test_nothing_to_draw_is_a_picture_too(svg: str) -> None:
    assert svg_tree(svg).tag == f"{SVG}svg"


def test_the_scale_ends_above_the_highest_figure() -> None:
    assert [round_up(most) for most in (0, 3, 5, 61, 80, 999, 12_345)] == [4, 4, 8, 80, 80, 1000, 20_000]
    assert format_number(12345.0) == "12\N{NARROW NO-BREAK SPACE}345"


@pytest.mark.parametrize("words", CHART_TEXTS.values(), ids=list(CHART_TEXTS))
def test_every_status_has_words_and_every_change_of_a_value_has_words_and_a_colour(words: ChartTexts) -> None:
    assert {str(status) for status in PersonStatus} <= set(words.statuses)
    changes = {"link", "repair", "forget", "leftover", "leave", "same"}
    drawn = {str(variant) for variant in Variant} - changes | {REVERTED}
    assert set(words.variants) == set(charts.VARIANT_COLOURS) == drawn
    assert all(words.variants.values())


@pytest.mark.parametrize("words", CHART_TEXTS.values(), ids=list(CHART_TEXTS))
def test_every_label_fits_into_the_room_left_of_its_bar(words: ChartTexts) -> None:
    labels = [*words.statuses.values(), *words.variants.values(), *words.ages]
    assert [text for text in labels if len(text) > LABEL_WIDTH * 0.13] == []


def test_a_span_has_every_day_once() -> None:
    assert charts.days_between(date(2026, 8, 31), date(2026, 9, 1)) == [date(2026, 8, 31), date(2026, 9, 1)]
    assert charts.days_between(date(2026, 8, 30), date(2026, 8, 30)) == [date(2026, 8, 30)]


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", "31.08.2026"), ("UTC", "30.08.2026")])
def test_a_change_late_at_night_counts_on_the_day_of_the_firm(zone: str, day: str) -> None:
    days = [date(2026, 8, 30), date(2026, 8, 31)]
    rows = [{"at": "2026-08-30 22:30:00", "variant": "var5", "entries": 2}]
    svg = charts.changes_per_day_chart(rows, CHART_TEXTS[Language.DE], days, ZoneInfo(zone))
    assert tooltips(svg)[0] == f"{day}: 2 × geändert in EspoCRM"


@pytest.mark.parametrize("words", CHART_TEXTS.values(), ids=list(CHART_TEXTS))
def test_colours_that_mean_something_are_explained_and_none_is_red(words: ChartTexts) -> None:
    statuses = [{"status": status, "persons": 1} for status in ("clean", "failed", "syncing", "not_linked")]
    runs = [run_row(number, "2026-08-01 00:00:00", outcome) for number, outcome in enumerate(RunOutcome)]
    pictures = {
        charts.persons_by_status_chart(statuses, words): words.status_legend,
        charts.run_duration_chart(runs, words, UTC): words.outcome_legend,
        charts.poll_age_chart([], words): (words.persons,),
    }
    for svg, legend in pictures.items():
        texts = [text.text for text in svg_tree(svg).iter(f"{SVG}text")]
        assert texts[-len(legend) :] == list(legend)
        assert "#d55e00" not in svg
    assert "#d55e00" not in charts.VARIANT_COLOURS.values()


def run_row(number: int, at: str, outcome: str = "done") -> dict[str, Any]:
    return {
        "id": number, "trigger": "sync", "started_at": at, "seconds": 3, "persons_seen": 1, "outcome": outcome,
    }  # fmt: skip


def test_runs_are_placed_by_their_start() -> None:
    rows = [
        run_row(number, at)
        for number, at in ((1, "2026-08-01 00:00:00"), (2, "2026-08-03 00:00:00"), (3, "2026-08-02 00:00:00"))
    ]
    svg = svg_tree(charts.run_duration_chart(rows, next(iter(CHART_TEXTS.values())), UTC))
    first, last, middle = (float(dot.get("cx", "0")) for dot in svg.iter(f"{SVG}circle"))
    assert middle == pytest.approx((first + last) / 2)
