"""End the sync of a person: nothing changes in the other system, and EspoCRM's fingerprint stays.

So a person that returns with its old betnr is recovered from its markers (rules §1, Endings; §3, Recovery).
``etl.endings`` says whose sync ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.enums import ABSENCE_REASONS, Absence, DecisionState, PersonStatus
from etl.records import Side
from etl.rules.marker import decode
from etl.store.tables.baseline import delete_baseline
from etl.store.tables.endings import close_wait_as_ending
from etl.store.tables.holds import open_holds, release_holds
from etl.store.tables.journal import close_plans, open_changes, set_decision_state
from etl.store.tables.persons import FAILURE_COLUMNS_CLEARED, find_persons, load_person, update_person
from etl.store.tables.queue import clear_due, mark_due
from etl.writing.status import write_conflict_status, write_deleted_status

if TYPE_CHECKING:
    from etl.context import ObservedAbsence, RunContext


def end_person_sync(run: RunContext, entity_id: str, absent: ObservedAbsence, *, by: str | None = None) -> None:
    """End the baseline of a person, and say so in EspoCRM if the record is still there.

    ``by``: the operator who approved it.
    """
    reason = ABSENCE_REASONS[absent.kind]
    columns: dict[str, object] = dict(FAILURE_COLUMNS_CLEARED)
    match absent.kind:
        case Absence.GONE_IN_ADVOWARE:
            columns["status"] = PersonStatus.DELETED_IN_ADVOWARE
        case Absence.GONE_IN_ESPOCRM:
            columns["gone_at"] = run.utcnow()
        case Absence.SHARED_BETNR:
            columns |= {"status": PersonStatus.CONFLICT, "error": betnr_conflict_message(run, absent.seen_betnr or 0)}
    with run.store.transaction():
        delete_baseline(run.store, entity_id)
        close_person_journal(run, entity_id)
        clear_due(run.store, [entity_id])
        update_person(run.store, entity_id, **columns)
        close_wait_as_ending(run.store, entity_id, run.utcnow(), approved=by is not None)
        release_person_holds(run, entity_id, by or reason)
        if absent.kind is Absence.OTHER_BETNR or not is_deletion_shown(run, entity_id, columns.get("status")):
            mark_due(run.store, [entity_id], reason, run.utcnow())
    run.counters.deferred.discard(entity_id)
    run.counters.skipped.add(entity_id)
    run.log.warning("ended", entity_id=entity_id, what=absent.kind)
    write_ending_status(run, entity_id)


def close_person_journal(run: RunContext, entity_id: str) -> None:
    """Close a person's journal: what an unfinished run did no longer matters, as a return is recovered from markers.

    Only a write that contained an own text stays open: Advoware may have shortened it, and once the person is back the
    text is to be made whole.
    """
    changes = open_changes(run.store, [entity_id])
    text_changes = [
        change for change in changes if change["side"] == Side.ADVO and decode(change["new_remark"]).own_text
    ]
    close_plans(run.store, entity_id, keep_change_ids=[change["id"] for change in text_changes])
    decisions = [change["decision_id"] for change in text_changes if change["decision_id"] is not None]
    set_decision_state(run.store, decisions, DecisionState.SUPERSEDED)


def is_deletion_shown(run: RunContext, entity_id: str, status: object) -> bool:
    """Whether nothing is left to say in EspoCRM; a deletion in Advoware has to be shown there, if it is not yet."""
    person = load_person(run.store, entity_id) or {}
    return status != PersonStatus.DELETED_IN_ADVOWARE or person["espo_status"] == status


def write_ending_status(run: RunContext, entity_id: str) -> None:
    """Write the person's status to EspoCRM if it does not show it yet."""
    person = load_person(run.store, entity_id) or {}
    if person["status"] == person["espo_status"] or not run.write:
        return
    if person["status"] == PersonStatus.DELETED_IN_ADVOWARE and person["betnr"] is not None:
        write_deleted_status(run, entity_id)
    elif person["status"] == PersonStatus.CONFLICT and person["gone_at"] is None:
        write_conflict_status(run, entity_id, person["error"])


def release_person_holds(run: RunContext, entity_id: str, reason: str) -> None:
    """Release the holds of a person: they cannot be approved any more, as the baseline they were planned from ended."""
    holds = [hold["id"] for hold in open_holds(run.store, entity_id=entity_id)]
    release_holds(run.store, holds, now=run.utcnow(), released_by=reason)


def betnr_conflict_message(run: RunContext, betnr: int) -> str:
    """The message to people; ``etl.rules.espo.german_errors`` has it in German."""
    entity_ids = [person["entity_id"] for person in find_persons(run.store, str(betnr)) if person["gone_at"] is None]
    return f"Several records carry betnr {betnr}: {', '.join(entity_ids)}. Keep it in one of them."
