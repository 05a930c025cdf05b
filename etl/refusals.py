"""When a 403 is not the person's fault: one after another is refused, and nobody gets through (rules.md §6).

A refused person fails, and is tried again behind all others. Three in a row while no write of the run has passed stop
the run; the next one begins behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from etl.errors import RIGHTS, Forbidden, OneAfterAnother

IN_A_ROW = 3


@dataclass
class Refusals:
    """The refused persons of a run, in a row. ``wrote``: a write of it has passed.

    Reads come before all writes. So a system that showed anybody refuses persons and not us: else three persons without
    rights, read last, would keep all those read before them from being written, in this run and the next.
    """

    wrote: bool = False
    _row: list[Forbidden] = field(default_factory=list)
    _shown_by: set[str] = field(default_factory=set)

    @property
    def of_everybody(self) -> bool:
        """Whether to believe that whoever comes next is refused, too."""
        return len(self._row) >= IN_A_ROW and not self.wrote

    def after_read(self, system: str, answer: object) -> None:
        """One answer to a person's read, in the order they were asked for."""
        if not isinstance(answer, Forbidden):
            self._shown_by.add(system)
            self._row.clear()
        elif system not in self._shown_by:
            self._row.append(answer)

    def after_person(self, error: Exception | None) -> None:
        """What bringing one person into agreement ended with."""
        self._row = [*self._row, error] if isinstance(error, Forbidden) else []

    def stop_if_of_everybody(self) -> None:
        """End the run, once those refused have been told of."""
        if self.of_everybody:
            raise OneAfterAnother(self._row[-1].system, f"403 {RIGHTS}")
