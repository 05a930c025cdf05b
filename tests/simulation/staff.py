"""EspoCRM as its users treat it, where the simulator alone does not know."""

from __future__ import annotations

from typing import Any

from jobs.sandbox.espocrm.api import EspoSim


class StaffedEspo(EspoSim):
    """EspoCRM with people who unlock a record before they edit it."""

    def edit(self, entity_id: str, **changes: Any) -> None:
        unlock_record(self, entity_id)
        super().edit(entity_id, **changes)


def unlock_record(espo: EspoSim, entity_id: str) -> None:
    """Unlock a record, if it is there and locked."""
    record = espo.store.records.get(entity_id)
    if record is not None and record.is_locked and not record.deleted:
        espo.lock(entity_id, is_locked=False)
