"""When there is nothing to sync any more: unlinked, gone, deleted, or two records with one betnr (rules.md §6).

What was agreed with the person ends; nothing is changed in the other system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.store.baseline import end_baseline
from etl.store.due import clear_due, mark_due, no_longer_shared
from etl.store.holds import open_holds, release_holds
from etl.store.persons import update_person
from etl.store.states import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.records import EspoRecord
    from etl.run import Run

NO_TROUBLE: dict[str, object] = {"error": None, "retry_count": 0, "next_retry_at": None, "auto_reset_at": None}
"""The columns of a person that is not waiting for a retry."""


def not_linked(run: Run, entity_id: str) -> None:
    """No ``betnr``: skipped, reported; what was agreed ends."""
    ends(run, entity_id, "the record has no betnr", status=None)


def gone_in_espo(run: Run, entity_id: str) -> None:
    """404 in EspoCRM: reported; nothing is changed in Advoware, and what was agreed ends."""
    run.log.warning("gone_in_espocrm", entity_id=entity_id)
    ends(run, entity_id, "the record is gone in EspoCRM", gone_at=run.utcnow())


def deleted_in_advoware(run: Run, record: EspoRecord) -> None:
    """404 in Advoware: EspoCRM's entries stay, the record says so; sweeps look again. Due until it was told so."""
    columns = {"status": Status.DELETED_IN_ADVOWARE, "advo_seen_at": run.utcnow()}
    ends(run, record.entity_id, "the person is deleted in Advoware", **columns)
    if record.status != Status.DELETED_IN_ADVOWARE:
        mark_due(run.store, [record.entity_id], "EspoCRM does not say yet that it is deleted in Advoware", run.utcnow())
        run.deleted.append(record.entity_id)


def ends(run: Run, entity_id: str, why: str, **columns: object) -> None:
    """Nothing is to be synced any more: baseline, due mark, retry and holds of the person end."""
    end_baseline(run.store, [entity_id])
    clear_due(run.store, [entity_id])
    update_person(run.store, entity_id, **NO_TROUBLE, **columns)
    end_holds(run, entity_id, why)
    run.tally.skipped.add(entity_id)


def end_holds(run: Run, entity_id: str, why: str) -> None:
    """Nobody can approve any more what was held: it was planned from what was agreed, and that ended."""
    holds = [one["id"] for one in open_holds(run.store, entity_id=entity_id)]
    release_holds(run.store, holds, now=run.utcnow(), by=why)


def several_carry(betnr: int, entity_ids: Sequence[str]) -> str:
    """What people are told; ``etl.rules.words`` knows it in German."""
    return f"Several records carry betnr {betnr}: {', '.join(entity_ids)}. Keep it in one of them."


def set_apart_shared(run: Run, shared: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Two records with one betnr: neither is synced, and what was agreed with either ends (rules.md §6).

    A record whose double went becomes due, so that its conflict ends by itself.
    """
    with run.store.transaction():
        for betnr, entity_ids in shared:
            message = several_carry(betnr, entity_ids)
            end_baseline(run.store, entity_ids)
            for entity_id in entity_ids:
                update_person(run.store, entity_id, **NO_TROUBLE | {"status": Status.CONFLICT, "error": message})
                end_holds(run, entity_id, "the record shares its betnr with another")
            run.tally.skipped |= set(entity_ids)
        mark_due(run.store, no_longer_shared(run.store), "its betnr is its own again", run.utcnow())
