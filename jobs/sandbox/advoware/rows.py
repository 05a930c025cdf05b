"""Advoware's database: Beteiligte, their Kommunikationen, and the rowIds that change with every write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.sandbox.simulator import Json

LETTERS = str.maketrans("0123456789abcdef", "ABCDEFGHIJKLMNOP")
FIRST_ID = 88001


@dataclass(slots=True)
class KommRow:
    """A Kommunikation as stored, its real kommKz included."""

    id: int
    betnr: int
    row_id: str
    tlf: str | None
    bemerkung: str | None
    komm_kz: int
    online: bool

    def show(self, *, real_komm_kz: bool) -> Json:
        """The row as the API shows it: GET has kommKz 0 for all, a known bug (Advoware §2)."""
        return {
            "id": self.id,
            "betNr": self.betnr,
            "rowId": self.row_id,
            "kommArt": 0,
            "kommKz": self.komm_kz if real_komm_kz else 0,
            "tlf": self.tlf,
            "bemerkung": self.bemerkung,
            "online": self.online,
        }


@dataclass(slots=True)
class Beteiligter:
    """A person with its own rowId, which a change of a Kommunikation leaves alone."""

    betnr: int
    row_id: str
    fields: Json
    changed_at: str
    rows: dict[int, KommRow] = field(default_factory=dict)

    def show(self, *, real_komm_kz: bool) -> Json:
        """The person as the API shows it."""
        return {
            "betNr": self.betnr,
            "rowId": self.row_id,
            **self.fields,
            "geaendertAm": self.changed_at,
            "kommunikation": [row.show(real_komm_kz=real_komm_kz) for row in self.rows.values()],
        }


@dataclass(slots=True)
class AdvoDatabase:
    """All persons of an Advoware; ids and rowIds follow from the seed and the order of writes.

    So a copy put back gives out again what was given out since.
    """

    seed: int = 0
    persons: dict[int, Beteiligter] = field(default_factory=dict)
    next_id: int = FIRST_ID
    writes: int = 0

    def add_person(self, betnr: int, fields: Json, changed_at: str) -> Beteiligter:
        """Store a person without rows."""
        person = Beteiligter(betnr, self.new_row_id(), fields, changed_at)
        self.persons[betnr] = person
        return person

    def add_row(self, betnr: int, tlf: str | None, bemerkung: str | None, komm_kz: int, *, online: bool) -> KommRow:
        """Store a new row of a person."""
        row = KommRow(self.next_id, betnr, self.new_row_id(), tlf, bemerkung, komm_kz, online)
        self.next_id += 1
        self.persons[betnr].rows[row.id] = row
        return row

    def touch(self, row: KommRow) -> None:
        """Give a written row its new rowId, also when nothing changed."""
        row.row_id = self.new_row_id()

    def new_row_id(self) -> str:
        """40 letters A to P, never the same twice."""
        digest = hashlib.sha1(f"advoware {self.seed} {self.writes}".encode())  # noqa: S324  a name, no secret
        self.writes += 1
        return digest.hexdigest().translate(LETTERS)
