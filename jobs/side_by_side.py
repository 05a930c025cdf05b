"""What stands in both simulated systems, side by side: for the eye, and to tell whether they agree.

Read from the simulators themselves, past the state store and past the sync, so that neither can vouch for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from etl.records import Channel
from etl.rules.canonical import canonical
from etl.rules.kommkz import KommKzTable
from etl.rules.marker import MarkerKind, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.sandbox.advoware import AdvoSim
    from jobs.sandbox.espocrm import EspoSim
    from jobs.sandbox.simulator import Json

REGION = "DE"
KOMM_KZ = KommKzTable.default()


class Sign(StrEnum):
    """How one line stands."""

    AGREED = "="
    UNKNOWN = "≈"
    ONLY_ESPO = "→"
    ONLY_ADVO = "←"
    LEFT_ALONE = "·"


#   sign               how it looks  what it says
SIGNS = {
    Sign.AGREED:      ("green",      "in sync"),
    Sign.UNKNOWN:     ("yellow",     "the same, not linked"),
    Sign.ONLY_ESPO:   ("yellow",     "only EspoCRM"),
    Sign.ONLY_ADVO:   ("yellow",     "only Advoware"),
    Sign.LEFT_ALONE:  ("dim",        "left alone"),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One value of a person on either side, or on both; ``kind`` is EspoCRM's type of a phone."""

    person: str
    sign: Sign
    espo: str = ""
    kind: str = ""
    advo: str = ""
    remark: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """What stands there, however it is judged."""
        return self.person, self.espo, self.kind, self.advo, self.remark

    @property
    def agrees(self) -> bool:
        """Nothing is to be done here."""
        return self.sign in {Sign.AGREED, Sign.LEFT_ALONE}

    def __str__(self) -> str:
        return f"{self.person}: {self.espo or '–'} {self.sign} {self.advo or '–'}"


def side_by_side(espo: EspoSim, advo: AdvoSim) -> list[Line]:
    """Every person of EspoCRM, item by item, each beside the row that holds the same value."""
    return [line for entity_id in espo.store.records for line in lines_of(espo, advo, entity_id)]


def lines_of(espo: EspoSim, advo: AdvoSim, entity_id: str) -> Iterator[Line]:
    """One person's items with their rows, then the rows that have none."""
    record = espo.record(entity_id)
    name, betnr = record["name"], record["betnr"]
    rows = advo.rows(betnr) if betnr else []
    values = set()
    for item in espo.items(entity_id):
        value = str(item.get("phoneNumber") or item.get("emailAddress"))
        values.add(meaning(value))
        same = [row for row in rows if meaning(row["tlf"]) == meaning(value)]
        row = next((row for row in same if is_linked(row)), same[0] if same else None)  # beside somebody's duplicate
        shown = {"espo": value, "kind": item.get("type", "")}
        if row is None:
            yield Line(name, Sign.ONLY_ESPO if betnr else Sign.LEFT_ALONE, **shown)
        else:
            rows.remove(row)
            yield Line(name, Sign.AGREED if is_linked(row) else Sign.UNKNOWN, **shown, **as_seen(row))
    for row in rows:
        held = meaning(row["tlf"]) in values or not to_be_synced(row)
        yield Line(name, Sign.LEFT_ALONE if held else Sign.ONLY_ADVO, **as_seen(row))


def is_linked(row: Json) -> bool:
    """Whether the row carries our marker."""
    return decode(row["bemerkung"]).kind is MarkerKind.MARKER


def as_seen(row: Json) -> dict[str, str]:
    """A row's value and what people wrote to it, without the marker; an emptied row says what it waits for."""
    remark = decode(row["bemerkung"])
    if remark.kind is MarkerKind.SLOT and not row["tlf"]:
        return {"advo": f"(slot for the next {KOMM_KZ.kinds[remark.komm_kz or 1].name})", "remark": remark.own_text}
    return {"advo": row["tlf"] or "", "remark": remark.own_text}


def meaning(value: str | None) -> str | None:
    """What a value is compared by."""
    return canonical(Channel.MAIL if "@" in (value or "") else Channel.PHONE, value, REGION)


def to_be_synced(row: Json) -> bool:
    """Whether EspoCRM can and should hold what this row says: a number that is one, or a mail without umlauts."""
    value = meaning(row["tlf"]) or ""
    return KOMM_KZ.kinds[row["kommKz"]].relevant and (value.isascii() if "@" in value else value.startswith("+"))


def table(lines: list[Line], before: list[Line] | None = None) -> Table:
    """The lines, each person named once; with ``before``, what was not there before stands out."""
    known = {line.values for line in before or ()}
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for width, ratio in ((16, None), (29, None), (1, None), (None, 1)):
        grid.add_column(width=width, ratio=ratio, no_wrap=True, overflow="ellipsis")
    grid.add_row("", Text("EspoCRM", "bold"), "", Text("Advoware", "bold"))
    for person, own in groupby(lines, key=lambda line: line.person):
        for number, line in enumerate(own):
            fresh = before is not None and line.values not in known
            value = "dim" if line.sign is Sign.LEFT_ALONE else "bold green" if fresh else ""
            grid.add_row(
                "" if number else Text(person, "cyan"),
                Text.assemble((line.espo, value), (f" {line.kind}".rstrip(), "dim")),
                Text(line.sign, SIGNS[line.sign][0]),
                Text.assemble((line.advo, value), (f"  {' '.join(line.remark.split())}", "dim italic")),
            )
    return grid


def legend() -> Text:
    """What the signs mean."""
    parts = [part for sign, (style, words) in SIGNS.items() for part in ((f"{sign} ", style), (f"{words}  ", "dim"))]
    return Text.assemble(*parts)
