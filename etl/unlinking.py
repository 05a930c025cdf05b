"""What was agreed with a person ends: nothing changes in the other system, and EspoCRM's fingerprint stays.

So whoever returns with the betnr it had is recovered by its markers (rules.md §1, Endings; §3, Recovery). Who is to end
says ``etl.ending``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.records import Side
from etl.rules.marker import decode
from etl.status import show_deleted, show_shared
from etl.store.baseline import end_baseline
from etl.store.due import clear_due, mark_due
from etl.store.endings import end_wait
from etl.store.holds import open_holds, release_holds
from etl.store.journal import open_changes, set_decision_state, settle
from etl.store.persons import find_persons, load_person, update_person
from etl.store.states import SEEN, Absence, DecisionState, Status

if TYPE_CHECKING:
    from etl.run import Absent, Run

NO_TROUBLE: dict[str, object] = {"error": None, "retry_count": 0, "next_retry_at": None, "auto_reset_at": None}
"""The columns of a person that is not waiting for a retry."""


def end(run: Run, entity_id: str, absent: Absent, *, by: str | None = None) -> None:
    """What was agreed with the person ends, and EspoCRM is told where the record is there to be told.

    ``by``: the operator who approved it.
    """
    why = SEEN[absent.kind]
    columns: dict[str, object] = dict(NO_TROUBLE)
    match absent.kind:
        case Absence.GONE_IN_ADVOWARE:
            columns["status"] = Status.DELETED_IN_ADVOWARE
        case Absence.GONE_IN_ESPOCRM:
            columns["gone_at"] = run.utcnow()
        case Absence.SHARED_BETNR:
            columns |= {"status": Status.CONFLICT, "error": several_carry(run, absent.seen_betnr or 0)}
    with run.store.transaction():
        end_baseline(run.store, entity_id)
        close_journal(run, entity_id)
        clear_due(run.store, [entity_id])
        update_person(run.store, entity_id, **columns)
        end_wait(run.store, entity_id, run.utcnow(), approved=by is not None)
        end_holds(run, entity_id, by or why)
        if absent.kind is Absence.OTHER_BETNR or not is_shown(run, entity_id, columns.get("status")):
            mark_due(run.store, [entity_id], why, run.utcnow())
    run.tally.waiting.discard(entity_id)
    run.tally.skipped.add(entity_id)
    run.log.warning("ended", entity_id=entity_id, what=absent.kind)
    show(run, entity_id)


def close_journal(run: Run, entity_id: str) -> None:
    """What an unfinished run did says nothing any more of what is agreed; who returns is recovered by the markers.

    Only a write that brought somebody's own text stays open: Advoware may have shortened it, and once the person is
    there again the text is to be whole.
    """
    open_ = open_changes(run.store, [entity_id])
    with_text = [one for one in open_ if one["side"] == Side.ADVO and decode(one["new_remark"]).own_text]
    settle(run.store, entity_id, keeping=[one["id"] for one in with_text])
    decisions = [one["decision_id"] for one in with_text if one["decision_id"] is not None]
    set_decision_state(run.store, decisions, DecisionState.SUPERSEDED)


def is_shown(run: Run, entity_id: str, status: object) -> bool:
    """Whether EspoCRM says already that the person is deleted in Advoware; who shares its betnr is told at each run."""
    person = load_person(run.store, entity_id) or {}
    return status != Status.DELETED_IN_ADVOWARE or person["espo_status"] == status


def show(run: Run, entity_id: str) -> None:
    """Say in EspoCRM how the person stands, where it does not say so yet."""
    person = load_person(run.store, entity_id) or {}
    if person["status"] == person["espo_status"] or not run.write:
        return
    if person["status"] == Status.DELETED_IN_ADVOWARE and person["betnr"] is not None:
        show_deleted(run, entity_id)
    elif person["status"] == Status.CONFLICT and person["gone_at"] is None:
        show_shared(run, entity_id, person["error"])


def end_holds(run: Run, entity_id: str, why: str) -> None:
    """Nobody can approve any more what was held: it was planned from what was agreed, and that ended."""
    holds = [one["id"] for one in open_holds(run.store, entity_id=entity_id)]
    release_holds(run.store, holds, now=run.utcnow(), by=why)


def several_carry(run: Run, betnr: int) -> str:
    """What people are told; ``etl.rules.words`` knows it in German."""
    entity_ids = [one["entity_id"] for one in find_persons(run.store, str(betnr)) if one["gone_at"] is None]
    return f"Several records carry betnr {betnr}: {', '.join(entity_ids)}. Keep it in one of them."
