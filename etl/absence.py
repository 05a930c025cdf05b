"""What a look notes of a person that is not there as it was agreed with (rules.md §1, Endings).

Nothing is concluded from it here: the run judges it when all its looks are done (``etl.ending``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.run import Absent
from etl.store.baseline import betnr_agreed_with
from etl.store.states import Absence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.run import Run

GONE_IN: Final = {"Advoware": Absence.GONE_IN_ADVOWARE, "EspoCRM": Absence.GONE_IN_ESPOCRM}
"""By the system that answered 404."""


def note_absent(run: Run, entity_id: str, kind: Absence, seen_betnr: int | None = None) -> None:
    """Note it; whoever is noted is not planned in this run."""
    run.absent[entity_id] = Absent(kind, seen_betnr)
    run.judged.discard(entity_id)
    run.tally.waiting.add(entity_id)
    run.log.warning("absent", entity_id=entity_id, what=kind)


def unlinked(run: Run, person: Mapping[str, Any], betnr: int | None) -> Absent | None:
    """How a record as just read is not linked as it was agreed; None where it is, or where nothing was agreed.

    A record that never had a betnr is due for nothing, so one that is due was seen with one.
    """
    agreed_with = betnr_agreed_with(run.store, person["entity_id"])
    if betnr is None:
        had_one = agreed_with is not None or person["due_since"] is not None
        return Absent(Absence.NO_BETNR) if had_one else None
    return Absent(Absence.OTHER_BETNR, betnr) if agreed_with not in (None, betnr) else None
