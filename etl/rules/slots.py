"""Which slot a new value may reuse (rules §3, Var1): same kommKz, no own text, not made in this run; each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.rules.marker import MarkerKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.rules.entry import AdvoEntry


class Slots:
    """The free slots of one person, given out lowest komm_id first."""

    def __init__(self, rows: Iterable[AdvoEntry]) -> None:
        self._free = sorted(
            (row for row in rows if row.marker_kind is MarkerKind.SLOT and not row.value and not row.own_text),
            key=lambda row: row.komm_id,
        )

    def take(self, komm_kz: int) -> AdvoEntry | None:
        """Return a free slot of this kommKz, and never the same one again; None if there is none."""
        for row in self._free:
            if row.marker_komm_kz == komm_kz:
                self._free.remove(row)
                return row
        return None
