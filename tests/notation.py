"""The short notation of scenarios.md, for tests: letters for numbers, ``m(x:1)`` for a marker, a text table a person.

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

AS_IT_STANDS = "^"
UNTOUCHED = "="
NOTHING = "-"

MARGIN = 9
"""Where the cells of a line begin."""

Cells = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class ItemShown:
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
class RowShown:
    """A row in Advoware with its real kommKz."""

    komm_id: int
    komm_kz: int
    tlf: str | None
    remark: str | None
    online: bool = False


@dataclass(slots=True)
class Shown:
    """What stands on both sides; None: as it stood before."""

    items: list[ItemShown] | None = None
    rows: list[RowShown] | None = None


@dataclass(slots=True)
class Round:
    """Edits, one run, and what then is: both sides, the calls about the person, what lost, what is left alone."""

    edits: Shown = field(default_factory=Shown)
    run: list[str] = field(default_factory=list)
    after: Shown = field(default_factory=Shown)
    calls: list[str] | None = None
    did: list[str] = field(default_factory=list)
    lost: list[tuple[str | None, str | None]] = field(default_factory=list)
    left: list[tuple[str, str, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """A person's way through one or more runs; ``synced`` when a first sync comes before the first edits."""

    before: Shown = field(default_factory=Shown)
    person: dict[str, str] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    synced: bool = False

    @property
    def is_told(self) -> bool:
        """Whether the last round has its end, so that the next line begins another."""
        return not self.rounds or self.rounds[-1].after != Shown()


def marker(value: str, komm_kz: int, own_text: str = "") -> str:
    """A remark with a marker, as rules.md §0 writes it."""
    return f"[ESPOCRM:{base64.b64encode(value.encode()).decode()}:{komm_kz}] {own_text}".rstrip(" " * (not own_text))


def slot(komm_kz: int, own_text: str = "") -> str:
    """The remark of an emptied row."""
    return f"[ESPOCRM-SLOT:{komm_kz}] {own_text}".rstrip(" " * (not own_text))


def own_text(remark: str | None) -> str:
    """What of a remark is the person's."""
    return re.sub(r"^\s*\[ESPOCRM[^\]]*\] ?", "", remark or "")


def spelled(cell: str, legend: Mapping[str, str | None] = LEGEND) -> str | None:
    """A value: a letter of the legend, or itself."""
    return legend.get(cell, cell)


def remark(cell: str, legend: Mapping[str, str | None] = LEGEND) -> str | None:
    r"""A remark: ``m(x:1) text``, ``slot(1) text``, ``null``, or text in which ``\n`` is a line end."""
    text = cell.replace("\\n", "\n")
    if found := re.match(r"m\((?P<value>[^:()]+):(?P<kz>\d+)\) ?(?P<own>.*)", text, re.DOTALL):
        return marker(spelled(found["value"], legend) or "", int(found["kz"]), found["own"])
    if found := re.match(r"slot\((?P<kz>\d+)\) ?(?P<own>.*)", text, re.DOTALL):
        return slot(int(found["kz"]), found["own"])
    return spelled(text, legend) if text == "null" else text


def item(cell: str, legend: Mapping[str, str | None] = LEGEND) -> ItemShown:
    """``x Office * optOut invalid``: value, type (none for a mail), ``*`` for the primary, flags."""
    name, *rest = cell.split()
    flags = {"*", "optOut", "invalid"}
    kind = next((word for word in rest if word not in flags), None)
    return ItemShown(spelled(name, legend) or "", kind, "*" in rest, "optOut" in rest, "invalid" in rest)


def row(cell: str, told: str, legend: Mapping[str, str | None] = LEGEND) -> RowShown:
    """``88001 1 x'``: id, kommKz (``1o``: online), tlf; the remark stands in the next cell."""
    komm_id, komm_kz, *tlf = cell.split(maxsplit=2)
    kz = int(komm_kz.removesuffix("o"))
    return RowShown(int(komm_id), kz, spelled("".join(tlf), legend), remark(told, legend), komm_kz.endswith("o"))


def story(text: str, legend: Mapping[str, str | None] = LEGEND) -> Story:
    """Read a person's table: keywords at the left margin (``READERS``), then EspoCRM | row | remark."""
    told = Story()
    for word, lines in blocks(text):
        if word == "edits" or (word in {"run", "after"} and told.is_told):
            told.rounds.append(Round())
            told.synced |= word == "edits"
        setattr(told if word in {"person", "before"} else told.rounds[-1], word, READERS[word](lines, legend))
    return told


def blocks(text: str) -> list[tuple[str, list[Cells]]]:
    """Each keyword with its lines of three cells; a line without keyword belongs to the one above. The title goes."""
    found: list[tuple[str, list[Cells]]] = []
    for line in filter(str.strip, text.splitlines()[1:]):
        word, rest = line[:MARGIN].strip(), line[MARGIN:]
        espo, advo, told = (*(cell.strip() for cell in rest.split("|")), "", "")[:3]
        if word:
            found.append((word, []))
        found[-1][1].append((espo, advo, told))
    return found


def shown(lines: list[Cells], legend: Mapping[str, str | None] = LEGEND) -> Shown:
    """Both sides as some lines show them; ``=`` in the first: that side is untouched."""
    items = [item(espo, legend) for espo, _, _ in lines if espo not in {"", NOTHING, UNTOUCHED}]
    rows = [row(advo, told, legend) for _, advo, told in lines if advo not in {"", NOTHING, UNTOUCHED}]
    espo, advo, _ = lines[0]
    return Shown(None if espo == UNTOUCHED else items, None if advo == UNTOUCHED else rows)


def words(lines: list[Cells], _legend: Mapping[str, str | None]) -> list[str]:
    """The words of a single line."""
    return lines[0][0].split()


def fields(lines: list[Cells], _legend: Mapping[str, str | None]) -> dict[str, str]:
    """``mobil=0171 2223334``: a person's top-level fields in Advoware."""
    return dict(line[0].split("=", 1) for line in lines)


def lost(lines: list[Cells], legend: Mapping[str, str | None]) -> list[tuple[str | None, str | None]]:
    """EspoCRM's value that was kept, ``-`` for none, and Advoware's that lost."""
    return [(None if kept == NOTHING else spelled(kept, legend), spelled(gone, legend)) for kept, gone, _ in lines]


def left(lines: list[Cells], legend: Mapping[str, str | None]) -> list[tuple[str, str, str | None]]:
    """``unsyncable advo v``: reason, side, value."""
    told = (line[0].split(maxsplit=2) for line in lines)
    return [(reason, side, spelled(value, legend)) for reason, side, value in told]


READERS: Mapping[str, Callable[[list[Cells], Mapping[str, str | None]], Any]] = {
    "person": fields,
    "before": shown,
    "edits":  shown,
    "run":    words,
    "after":  shown,
    "calls":  words,
    "did":    words,
    "lost":   lost,
    "left":   left,
}  # fmt: skip
"""Each keyword of a table, also the name of what it fills, and how its lines are read."""
