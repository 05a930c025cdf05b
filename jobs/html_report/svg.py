"""Small plots as inline SVG: no script, no foreign font, readable in light and dark, on paper and to a screen reader.

Each function takes labels and numbers and returns one ``<svg>``; every mark carries its figure as a tooltip.

Why no library: plotly and altair draw by a script in the browser; matplotlib (a wheel of 10 MB) draws fixed colours and
no tooltips. pygal 3.1.3 comes nearest, but writes a ``<script>`` even with ``js=[]``, without which it has no tooltips,
and 21,189 bytes for the eight bars that take 2,133 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The palette of Okabe and Ito, which colour-blind people can tell apart; without its red, which reads as an alarm.
BLUE, ORANGE, GREEN, OCHRE = "#0072b2", "#e69f00", "#009e73", "#a6761d"
SKY, PINK, YELLOW, GREY = "#56b4e9", "#cc79a7", "#d8c92c", "#8a8f98"

PLOT_WIDTH: Final = 520
BAR_SPACING: Final = 26  # one bar with its space
LABEL_WIDTH: Final = 215  # room for the words left of bars
PLOT_HEIGHT: Final = 190
AXIS_WIDTH: Final = 44  # room for the numbers left of columns
LEGEND_COLUMN_WIDTH: Final = 238


@dataclass(frozen=True, slots=True)
class Bar:
    """One labelled figure."""

    label: str
    value: float
    colour: str = BLUE


@dataclass(frozen=True, slots=True)
class Dot:
    """One event: where in the span (0 to 1), how much, and what its tooltip says."""

    position: float
    value: float
    tooltip: str
    colour: str = BLUE


Legend = Sequence[tuple[str, str]]
"""What a colour means: words and colour."""

GRID_STROKE = 'stroke="currentColor" stroke-opacity=".15"'


def bar_chart(title: str, bars: Sequence[Bar], legend: Legend = ()) -> str:
    """Horizontal bars, each with its figure; the longest fills the width. ``legend``: where colours mean something."""
    largest = max((bar.value for bar in bars), default=0) or 1
    bar_room = PLOT_WIDTH - LABEL_WIDTH - 70
    parts = []
    for number, bar in enumerate(bars):
        y, length = number * BAR_SPACING, max(bar_room * bar.value / largest, 1.5 if bar.value else 0)
        parts += [
            svg_text(LABEL_WIDTH - 10, y + 17, bar.label, anchor="end"),
            svg_rect(
                LABEL_WIDTH, y + 4, length, BAR_SPACING - 8, bar.colour, f"{bar.label}: {format_number(bar.value)}"
            ),
            svg_text(LABEL_WIDTH + length + 8, y + 17, format_number(bar.value), weight=600),
        ]
    marks, height = plot_legend(legend, max(len(bars), 1) * BAR_SPACING + 12)
    return svg(title, height, [*(parts or [empty_plot()]), *marks])


def column_chart(
    title: str,
    days: Sequence[str],
    series: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    axis: Sequence[str] = (),
) -> str:
    """Stacked columns, one a day: ``series`` is name to day to figure, stacked in its order, with a legend.

    ``axis``: what stands under the columns, where it is shorter than the days.
    """
    totals = [sum(by_day.get(day, 0) for by_day in series.values()) for day in days]
    top = round_up(max(totals, default=0))
    column_width = (PLOT_WIDTH - AXIS_WIDTH) / max(len(days), 1)
    parts = grid_lines(top)
    for number, day in enumerate(days):
        parts += column_boxes(AXIS_WIDTH + number * column_width, column_width, day, series, colours, top)
    parts += day_axis(axis or days, column_width)
    legend, height = plot_legend([(name, colours.get(name, GREY)) for name in series], PLOT_HEIGHT + 34)
    return svg(title, height, parts + legend)


def dot_chart(title: str, dots: Sequence[Dot], ends: tuple[str, str], unit: str, legend: Legend = ()) -> str:
    """Events over time; the highest reaches the top, the ends of the span stand below."""
    top = round_up(max((dot.value for dot in dots), default=0))
    dot_room = PLOT_WIDTH - AXIS_WIDTH - 12
    marks = [
        f'<circle cx="{AXIS_WIDTH + 6 + dot.position * dot_room:.1f}" cy="{y_of(dot.value, top):.1f}" r="3.5" '
        f'fill="{dot.colour}" fill-opacity=".75"><title>{escape(dot.tooltip)}</title></circle>'
        for dot in dots
    ]
    end_labels = [
        svg_text(AXIS_WIDTH, PLOT_HEIGHT + 20, ends[0]),
        svg_text(PLOT_WIDTH, PLOT_HEIGHT + 20, ends[1], anchor="end"),
    ]
    words, height = plot_legend(legend, PLOT_HEIGHT + 34)
    return svg(title, height, [*grid_lines(top, unit), *(marks or [empty_plot()]), *end_labels, *words])


# Parts ------------------------------------------------------------------------------------------------------------


def svg(title: str, height: float, parts: Iterable[str]) -> str:
    """The ``<svg>`` around the parts; text takes the colour of the surrounding page."""
    return (
        f'<svg viewBox="0 0 {PLOT_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def svg_text(x: float, y: float, content: str, *, anchor: str = "start", weight: int = 400) -> str:
    """Text at a position."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(content)}</text>'


def svg_rect(x: float, y: float, width: float, height: float, colour: str, tooltip: str) -> str:
    """A filled box whose tooltip gives its figure."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def column_boxes(
    x: float, width: float, day: str, series: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], top: float
) -> list[str]:
    """The boxes of one day, from the ground up."""
    parts, base = [], 0.0
    for name, by_day in series.items():
        value = by_day.get(day, 0)
        if value:
            upper, lower = y_of(base + value, top), y_of(base, top)
            tooltip = f"{day}: {format_number(value)} × {name}"
            parts.append(
                svg_rect(x + width * 0.12, upper, width * 0.76, lower - upper, colours.get(name, GREY), tooltip)
            )
            base += value
    return parts


def grid_lines(top: float, unit: str = "") -> list[str]:
    """Four lines with their figures."""
    parts = []
    for quarter in range(5):
        y = y_of(top * quarter / 4, top)
        parts += [
            f'<line x1="{AXIS_WIDTH}" x2="{PLOT_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" {GRID_STROKE}/>',
            svg_text(AXIS_WIDTH - 8, y + 4, format_number(top * quarter / 4) + unit, anchor="end"),
        ]
    return parts


def day_axis(days: Sequence[str], width: float) -> list[str]:
    """The days under the columns, as many as there is room for."""
    step = max(ceil(len(days) * 54 / (PLOT_WIDTH - AXIS_WIDTH)), 1)
    return [
        svg_text(AXIS_WIDTH + (number + 0.5) * width, PLOT_HEIGHT + 20, day, anchor="middle")
        for number, day in enumerate(days)
        if number % step == 0
    ]


def plot_legend(entries: Legend, y: float) -> tuple[list[str], float]:
    """What the colours mean, two a line, and the height of the picture with it."""
    parts = []
    for number, (name, colour) in enumerate(entries):
        x, line_y = AXIS_WIDTH + number % 2 * LEGEND_COLUMN_WIDTH, y + number // 2 * 20
        parts += [svg_rect(x, line_y, 11, 11, colour, name), svg_text(x + 17, line_y + 10, name)]
    return parts, y + ceil(len(entries) / 2) * 20


def empty_plot() -> str:
    """The dash of a plot without data."""
    return svg_text(PLOT_WIDTH / 2, 17, "–", anchor="middle")


def y_of(value: float, top: float) -> float:
    """The y of a figure; ten units at the top are left for the label of the highest one."""
    return 10 + (PLOT_HEIGHT - 10) * (1 - value / top)


def round_up(largest: float) -> float:
    """The next number above that divides well into four grid lines."""
    if largest <= 4:  # noqa: PLR2004  four lines
        return 4
    step = 10.0 ** int(log10(largest / 4))
    return next(4 * step * factor for factor in (1, 2, 2.5, 5, 10, 20) if 4 * step * factor >= largest)


def format_number(value: float) -> str:
    """A number as people read it, thousands separated by a narrow space."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if value == int(value) else f"{value:.1f}"
