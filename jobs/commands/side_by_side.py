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
from etl.rules.marker import MarkerKind, decode
from etl.rules.values.canonical import canonical
from etl.rules.values.kommkz import KommKzTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim
    from jobs.sandbox.simulator import Json

REGION = "DE"
KOMM_KZ_TABLE = KommKzTable.default()


class RowMark(StrEnum):
    """How one line stands."""

    IN_SYNC = "="
    NOT_LINKED = "≈"
    ONLY_ESPO = "→"
    ONLY_ADVO = "←"
    LEFT_ALONE = "·"


#   sign               how it looks  what it says
MARK_STYLES = {
    RowMark.IN_SYNC:      ("green",      "in sync"),
    RowMark.NOT_LINKED:     ("yellow",     "the same, not linked"),
    RowMark.ONLY_ESPO:   ("yellow",     "only EspoCRM"),
    RowMark.ONLY_ADVO:   ("yellow",     "only Advoware"),
    RowMark.LEFT_ALONE:  ("dim",        "left alone"),
}  # fmt: skip


@dataclass(frozen=True)
class ComparisonLine:
    """One value of a person on either side, or on both; ``kind`` is EspoCRM's type of a phone."""

    person: str
    mark: RowMark
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
        return self.mark in {RowMark.IN_SYNC, RowMark.LEFT_ALONE}

    def __str__(self) -> str:
        return f"{self.person}: {self.espo or '–'} {self.mark} {self.advo or '–'}"


def compare_sides(espo: EspoSim, advo: AdvoSim) -> list[ComparisonLine]:
    """Every person of EspoCRM, item by item, each beside the row that holds the same value."""
    return [line for entity_id in espo.store.records for line in comparison_lines(espo, advo, entity_id)]


def comparison_lines(espo: EspoSim, advo: AdvoSim, entity_id: str) -> Iterator[ComparisonLine]:
    """One person's items with their rows, then the rows that have none."""
    record = espo.record(entity_id)
    name, betnr = record["name"], record["betnr"]
    rows = advo.rows(betnr) if betnr else []
    values = set()
    for item in espo.items(entity_id):
        value = str(item.get("phoneNumber") or item.get("emailAddress"))
        values.add(comparison_value(value))
        same_value_rows = [row for row in rows if comparison_value(row["tlf"]) == comparison_value(value)]
        row = next(
            (row for row in same_value_rows if is_marked_row(row)), same_value_rows[0] if same_value_rows else None
        )  # beside somebody's duplicate
        espo_columns = {"espo": value, "kind": item.get("type", "")}
        if row is None:
            yield ComparisonLine(name, RowMark.ONLY_ESPO if betnr else RowMark.LEFT_ALONE, **espo_columns)
        else:
            rows.remove(row)
            yield ComparisonLine(
                name, RowMark.IN_SYNC if is_marked_row(row) else RowMark.NOT_LINKED, **espo_columns, **row_texts(row)
            )
    for row in rows:
        is_left_alone = comparison_value(row["tlf"]) in values or not is_syncable_row(row)
        yield ComparisonLine(name, RowMark.LEFT_ALONE if is_left_alone else RowMark.ONLY_ADVO, **row_texts(row))


def is_marked_row(row: Json) -> bool:
    """Whether the row carries our marker."""
    return decode(row["bemerkung"]).kind is MarkerKind.MARKER


def row_texts(row: Json) -> dict[str, str]:
    """A row's value and what people wrote to it, without the marker; an emptied row says what it waits for."""
    remark = decode(row["bemerkung"])
    if remark.kind is MarkerKind.SLOT and not row["tlf"]:
        return {
            "advo": f"(slot for the next {KOMM_KZ_TABLE.kinds[remark.komm_kz or 1].name})",
            "remark": remark.own_text,
        }
    return {"advo": row["tlf"] or "", "remark": remark.own_text}


def comparison_value(value: str | None) -> str | None:
    """What a value is compared by."""
    return canonical(Channel.MAIL if "@" in (value or "") else Channel.PHONE, value, REGION)


def is_syncable_row(row: Json) -> bool:
    """Whether EspoCRM can and should hold what this row says: a number that is one, or a mail without umlauts."""
    value = comparison_value(row["tlf"]) or ""
    return KOMM_KZ_TABLE.kinds[row["kommKz"]].relevant and (value.isascii() if "@" in value else value.startswith("+"))


def comparison_table(lines: list[ComparisonLine], before: list[ComparisonLine] | None = None) -> Table:
    """The lines, each person named once; with ``before``, what was not there before stands out."""
    values_before = {line.values for line in before or ()}
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for width, ratio in ((16, None), (29, None), (1, None), (None, 1)):
        grid.add_column(width=width, ratio=ratio, no_wrap=True, overflow="ellipsis")
    grid.add_row("", Text("EspoCRM", "bold"), "", Text("Advoware", "bold"))
    for person, person_lines in groupby(lines, key=lambda line: line.person):
        for number, line in enumerate(person_lines):
            is_new = before is not None and line.values not in values_before
            style = "dim" if line.mark is RowMark.LEFT_ALONE else "bold green" if is_new else ""
            grid.add_row(
                "" if number else Text(person, "cyan"),
                Text.assemble((line.espo, style), (f" {line.kind}".rstrip(), "dim")),
                Text(line.mark, MARK_STYLES[line.mark][0]),
                Text.assemble((line.advo, style), (f"  {' '.join(line.remark.split())}", "dim italic")),
            )
    return grid


def mark_legend() -> Text:
    """What the signs mean."""
    parts = [
        part for mark, (style, text) in MARK_STYLES.items() for part in ((f"{mark} ", style), (f"{text}  ", "dim"))
    ]
    return Text.assemble(*parts)
