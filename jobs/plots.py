"""Small plots as inline SVG: no script, no foreign font, readable in light and dark, on paper and to a screen reader.

Each function takes labels and numbers and returns one ``<svg>``; every mark carries its figure as a tooltip.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The palette of Okabe and Ito, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PINK, YELLOW, GREY = "#56b4e9", "#cc79a7", "#d8c92c", "#8a8f98"

WIDTH: Final = 520
LINE: Final = 26  # one bar with its space
LABELS: Final = 185  # room for the words left of bars
PLOT_HEIGHT: Final = 190
AXIS: Final = 44  # room for the numbers left of columns
LEGEND_COLUMN: Final = 238


@dataclass(frozen=True, slots=True)
class Bar:
    """One labelled figure."""

    label: str
    value: float
    colour: str = BLUE


@dataclass(frozen=True, slots=True)
class Dot:
    """One event: where in the span (0 to 1), how much, and what its tooltip says."""

    place: float
    value: float
    told: str
    colour: str = BLUE


def bars(title: str, drawn: Sequence[Bar]) -> str:
    """Horizontal bars, each with its figure; the longest fills the width."""
    most = max((bar.value for bar in drawn), default=0) or 1
    room = WIDTH - LABELS - 70
    parts = []
    for number, bar in enumerate(drawn):
        y, length = number * LINE, max(room * bar.value / most, 1.5 if bar.value else 0)
        parts += [
            text(LABELS - 10, y + 17, bar.label, anchor="end"),
            rect(LABELS, y + 4, length, LINE - 8, bar.colour, f"{bar.label}: {figure(bar.value)}"),
            text(LABELS + length + 8, y + 17, figure(bar.value), weight=600),
        ]
    return svg(title, max(len(drawn), 1) * LINE, parts or [nothing()])


def columns(
    title: str, days: Sequence[str], series: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]
) -> str:
    """Stacked columns, one a day: ``series`` is name to day to figure, stacked in its order, with a legend."""
    totals = [sum(by_day.get(day, 0) for by_day in series.values()) for day in days]
    top = nice(max(totals, default=0))
    wide = (WIDTH - AXIS) / max(len(days), 1)
    parts = grid(top)
    for number, day in enumerate(days):
        parts += stack(AXIS + number * wide, wide, day, series, colours, top)
    parts += below(days, wide)
    legend, height = legend_of([(name, colours.get(name, GREY)) for name in series], PLOT_HEIGHT + 34)
    return svg(title, height, parts + legend)


def dots(title: str, drawn: Sequence[Dot], ends: tuple[str, str], unit: str) -> str:
    """Events over time; the highest reaches the top, the ends of the span stand below."""
    top = nice(max((dot.value for dot in drawn), default=0))
    room = WIDTH - AXIS - 12
    marks = [
        f'<circle cx="{AXIS + 6 + dot.place * room:.1f}" cy="{height_of(dot.value, top):.1f}" r="3.5" '
        f'fill="{dot.colour}" fill-opacity=".75"><title>{escape(dot.told)}</title></circle>'
        for dot in drawn
    ]
    words = [text(AXIS, PLOT_HEIGHT + 20, ends[0]), text(WIDTH, PLOT_HEIGHT + 20, ends[1], anchor="end")]
    return svg(title, PLOT_HEIGHT + 28, [*grid(top, unit), *(marks or [nothing()]), *words])


# Parts ------------------------------------------------------------------------------------------------------------


def svg(title: str, height: float, parts: Iterable[str]) -> str:
    """The whole picture; its words take the colour of the page around it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: int = 400) -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def rect(x: float, y: float, wide: float, high: float, colour: str, told: str) -> str:
    """A filled box that tells its figure."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="2" fill="{colour}">'
        f"<title>{escape(told)}</title></rect>"
    )


def stack(
    x: float, wide: float, day: str, series: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], top: float
) -> list[str]:
    """The boxes of one day, from the ground up."""
    parts, ground = [], 0.0
    for name, by_day in series.items():
        value = by_day.get(day, 0)
        if value:
            upper, lower = height_of(ground + value, top), height_of(ground, top)
            told = f"{day}: {figure(value)} × {name}"
            parts.append(rect(x + wide * 0.12, upper, wide * 0.76, lower - upper, colours.get(name, GREY), told))
            ground += value
    return parts


def grid(top: float, unit: str = "") -> list[str]:
    """Four lines with their figures."""
    parts = []
    for quarter in range(5):
        y = height_of(top * quarter / 4, top)
        parts += [
            f'<line x1="{AXIS}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" stroke-opacity=".15"/>',
            text(AXIS - 8, y + 4, figure(top * quarter / 4) + unit, anchor="end"),
        ]
    return parts


def below(days: Sequence[str], wide: float) -> list[str]:
    """The days under the columns, as many as there is room for: month and day of an ISO date."""
    every = max(ceil(len(days) * 46 / (WIDTH - AXIS)), 1)
    return [
        text(AXIS + (number + 0.5) * wide, PLOT_HEIGHT + 20, day[5:], anchor="middle")
        for number, day in enumerate(days)
        if number % every == 0
    ]


def legend_of(entries: Sequence[tuple[str, str]], y: float) -> tuple[list[str], float]:
    """What the colours mean, two a line, and the height of the picture with it."""
    parts = []
    for number, (name, colour) in enumerate(entries):
        x, line = AXIS + number % 2 * LEGEND_COLUMN, y + number // 2 * 20
        parts += [rect(x, line, 11, 11, colour, name), text(x + 17, line + 10, name)]
    return parts, y + ceil(len(entries) / 2) * 20


def nothing() -> str:
    """An empty picture says so."""
    return text(WIDTH / 2, 17, "–", anchor="middle")


def height_of(value: float, top: float) -> float:
    """The y of a figure; the plot hangs ten below the upper edge, for the uppermost figure's words."""
    return 10 + (PLOT_HEIGHT - 10) * (1 - value / top)


def nice(most: float) -> float:
    """The next number above that four lines divide well."""
    if most <= 4:  # noqa: PLR2004  four lines
        return 4
    step = 10.0 ** int(log10(most / 4))
    return next(4 * step * factor for factor in (1, 2, 2.5, 5, 10, 20) if 4 * step * factor >= most)


def figure(value: float) -> str:
    """A number for the eye, thousands apart by a narrow space."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if value == int(value) else f"{value:.1f}"
