"""The notation of tests/scenarios.md: letters for numbers, ``m(x:1)`` for a marker, a text table a person.

A letter is a number as EspoCRM has it, the letter with a prime the same number as people spell it in Advoware. Marker
and slot are written here a second time, so that a wrong encoder cannot agree with itself.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEGEND = {
    "x":  "+495111234560", "x'":  "0511/12345-60",   # x, x2, x3 resemble each other, as after a correction
    "x2": "+495111234561", "x2'": "0511 1234561",
    "x3": "+495111234562", "x3'": "(0511) 1234562",
    "y":  "+493022334455", "y'":  "030 22334455",
    "y3": "+493022334456", "y3'": "030/22334456",
    "z":  "+498955667788", "z'":  "089/556677-88",
    "w":  "+494099887766", "w'":  "040 99887766",    # the one more entry that nobody touches
    "p":  "+491712223334", "p'":  "0171 2223334",    # mobile
    "q":  "+491609998877", "q'":  "0160/9998877",    # mobile
    "a":  "max@muster.de", "a'":  "Max@Muster.DE",
    "b":  "mu@muster.de",  "b'":  "MU@muster.de",
    "null": None,
    "blanks": " \t\u00a0", "unseen": "\u200b\u00ad ",   # what people type over a number to delete it
}  # fmt: skip

SAME_REMARK = "^"
UNTOUCHED = "="
NOTHING = "-"

KEYWORD_WIDTH = 9
"""Where the cells of a line begin."""

Cells = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class ItemState:
    """An item in EspoCRM; a mail has no type."""

    value: str
    type: str | None
    primary: bool = False
    opt_out: bool = False
    invalid: bool = False

    @property
    def is_mail(self) -> bool:
        """Whether it is a mail."""
        return self.type is None


@dataclass(frozen=True, slots=True, order=True)
class RowState:
    """A row in Advoware with its real kommKz."""

    komm_id: int
    komm_kz: int
    tlf: str | None
    remark: str | None
    online: bool = False


@dataclass(slots=True)
class SideStates:
    """What stands on both sides; None: as it stood before."""

    items: list[ItemState] | None = None
    rows: list[RowState] | None = None


@dataclass(slots=True)
class ScenarioRound:
    """Edits, one run, and what then is: both sides, the calls about the person, what lost, what is left alone."""

    edits: SideStates = field(default_factory=SideStates)
    run: list[str] = field(default_factory=list)
    after: SideStates = field(default_factory=SideStates)
    calls: list[str] | None = None
    did: list[str] = field(default_factory=list)
    lost: list[tuple[str | None, str | None]] = field(default_factory=list)
    left: list[tuple[str, str, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class Scenario:
    """A person's way through one or more runs; ``synced`` when a first sync comes before the first edits."""

    before: SideStates = field(default_factory=SideStates)
    person: dict[str, str] = field(default_factory=dict)
    rounds: list[ScenarioRound] = field(default_factory=list)
    synced: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the last round has its end, so that the next line begins another."""
        return not self.rounds or self.rounds[-1].after != SideStates()


def marker_text(value: str, komm_kz: int, own_text: str = "") -> str:
    """A remark with a marker, as rules §0 writes it."""
    return f"[ESPOCRM:{base64.b64encode(value.encode()).decode()}:{komm_kz}] {own_text}".rstrip(" " * (not own_text))


def slot_text(komm_kz: int, own_text: str = "") -> str:
    """The remark of an emptied row."""
    return f"[ESPOCRM-SLOT:{komm_kz}] {own_text}".rstrip(" " * (not own_text))


def own_text_of_remark(remark: str | None) -> str:
    """What of a remark is the person's."""
    return re.sub(r"^\s*\[ESPOCRM[^\]]*\] ?", "", remark or "")


def legend_value(cell: str, legend: Mapping[str, str | None] = LEGEND) -> str | None:
    """A value: a letter of the legend, or itself."""
    return legend.get(cell, cell)


def parse_remark(cell: str, legend: Mapping[str, str | None] = LEGEND) -> str | None:
    r"""A remark: ``m(x:1) text``, ``slot(1) text``, ``null``, or text in which ``\n`` is a line end."""
    text = cell.replace("\\n", "\n")
    if match := re.match(r"m\((?P<value>[^:()]+):(?P<kz>\d+)\) ?(?P<own>.*)", text, re.DOTALL):
        return marker_text(legend_value(match["value"], legend) or "", int(match["kz"]), match["own"])
    if match := re.match(r"slot\((?P<kz>\d+)\) ?(?P<own>.*)", text, re.DOTALL):
        return slot_text(int(match["kz"]), match["own"])
    return legend_value(text, legend) if text == "null" else text


def parse_item(cell: str, legend: Mapping[str, str | None] = LEGEND) -> ItemState:
    """``x Mobile_Fax * optOut invalid``: value, type (none for a mail; ``_`` is a blank), ``*`` if primary, flags."""
    name, *rest = cell.split()
    flags = {"*", "optOut", "invalid"}
    kinds = [word.replace("_", " ") for word in rest if word not in flags]
    if len(kinds) > 1:
        msg = f"{cell!r} names several types; a blank in a type is written as _."
        raise ValueError(msg)
    kind = next(iter(kinds), None)
    return ItemState(legend_value(name, legend) or "", kind, "*" in rest, "optOut" in rest, "invalid" in rest)


def parse_row(cell: str, remark_cell: str, legend: Mapping[str, str | None] = LEGEND) -> RowState:
    """``88001 1 x'``: id, kommKz (``1o``: online), tlf; the remark stands in the next cell."""
    komm_id, komm_kz, *tlf = cell.split(maxsplit=2)
    kz = int(komm_kz.removesuffix("o"))
    return RowState(
        int(komm_id), kz, legend_value("".join(tlf), legend), parse_remark(remark_cell, legend), komm_kz.endswith("o")
    )


def parse_scenario(text: str, legend: Mapping[str, str | None] = LEGEND) -> Scenario:
    """Read a person's table: keywords at the left margin (``LINE_PARSERS``), then EspoCRM | row | remark."""
    scenario = Scenario()
    for word, lines in table_blocks(text):
        if word == "edits" or (word in {"run", "after"} and scenario.is_complete):
            scenario.rounds.append(ScenarioRound())
            scenario.synced |= word == "edits"
        setattr(
            scenario if word in {"person", "before"} else scenario.rounds[-1], word, LINE_PARSERS[word](lines, legend)
        )
    return scenario


def table_blocks(text: str) -> list[tuple[str, list[Cells]]]:
    """Each keyword with its lines of three cells; a line without keyword belongs to the one above. The title goes."""
    word_lines: list[tuple[str, list[Cells]]] = []
    for line in filter(str.strip, text.splitlines()[1:]):
        word, rest = line[:KEYWORD_WIDTH].strip(), line[KEYWORD_WIDTH:]
        espo, advo, remark_cell = (*(cell.strip() for cell in rest.split("|")), "", "")[:3]
        if word:
            word_lines.append((word, []))
        word_lines[-1][1].append((espo, advo, remark_cell))
    return word_lines


def parse_sides(lines: list[Cells], legend: Mapping[str, str | None] = LEGEND) -> SideStates:
    """Both sides as some lines show them; ``=`` in the first: that side is untouched."""
    items = [parse_item(espo, legend) for espo, _, _ in lines if espo not in {"", NOTHING, UNTOUCHED}]
    rows = [
        parse_row(advo, remark_cell, legend) for _, advo, remark_cell in lines if advo not in {"", NOTHING, UNTOUCHED}
    ]
    espo, advo, _ = lines[0]
    return SideStates(None if espo == UNTOUCHED else items, None if advo == UNTOUCHED else rows)


def parse_words(lines: list[Cells], _legend: Mapping[str, str | None]) -> list[str]:
    """The words of a single line."""
    return lines[0][0].split()


def parse_person_fields(lines: list[Cells], _legend: Mapping[str, str | None]) -> dict[str, str]:
    """``mobil=0171 2223334``: a person's top-level fields in Advoware."""
    return dict(line[0].split("=", 1) for line in lines)


def parse_lost(lines: list[Cells], legend: Mapping[str, str | None]) -> list[tuple[str | None, str | None]]:
    """EspoCRM's value that was kept, ``-`` for none, and Advoware's that lost."""
    return [
        (None if espo_value == NOTHING else legend_value(espo_value, legend), legend_value(advo_value, legend))
        for espo_value, advo_value, _ in lines
    ]


def parse_left_alone(lines: list[Cells], legend: Mapping[str, str | None]) -> list[tuple[str, str, str | None]]:
    """``unsyncable advo v``: reason, side, value."""
    cells = (line[0].split(maxsplit=2) for line in lines)
    return [(reason, side, legend_value(value, legend)) for reason, side, value in cells]


LINE_PARSERS: Mapping[str, Callable[[list[Cells], Mapping[str, str | None]], Any]] = {
    "person": parse_person_fields,
    "before": parse_sides,
    "edits":  parse_sides,
    "run":    parse_words,
    "after":  parse_sides,
    "calls":  parse_words,
    "did":    parse_words,
    "lost":   parse_lost,
    "left":   parse_left_alone,
}  # fmt: skip
"""Each keyword of a table, also the name of what it fills, and how its lines are read."""
