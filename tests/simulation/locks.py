"""Staff lock records, which only EspoCRM 10 can do (facts B17 to B23)."""

from __future__ import annotations

from tests.simulation.fault import FaultContext
from tests.simulation.people import LOCKED
from tests.simulation.staff import unlock_record

MOST_RUNS = 2  # that meet a lock besides the one in which it was set


def lock_record(context: FaultContext) -> None:
    """Staff lock the record of this request, and unlock it in this run's end or some runs later."""
    espo, person = context.injector.firm.espo, context.person
    record = espo.store.records.get(person.entity_id) if person is not None else None
    if person is None or record is None or record.deleted or record.is_locked:
        return
    person.edit_kinds.add(LOCKED)
    espo.lock(record.id)
    context.injector.undo_after(context.rng.randint(0, MOST_RUNS), lambda: unlock_record(espo, record.id))


def is_lockable(context: FaultContext) -> bool:
    """Whether staff can lock the record a request is about."""
    return context.is_about_person and context.injector.firm.espo.store.entity.lockable is True
