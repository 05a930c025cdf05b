"""Persons whom another sync, or a hook, writes too: named and left until their entries change (rules.md §6).

What stands in EspoCRM is then taken as known, so that an edit of an entry, or an approval, lets the person go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.guard import digest
from etl.rules.foreign import Ours, judged, too_many
from etl.store.holds import hold_persons, open_holds, release_holds
from etl.store.persons import load_persons, update_person
from etl.store.states import HoldKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.records import EspoRecord
    from etl.rules.plan import Plan
    from etl.run import Run

NAMED: Final = "another sync, or a hook, writes here"
EDITED: Final = "an entry of the person changed"


def without_foreign(run: Run, ready: Sequence[str], accepted: Collection[str] = ()) -> list[str]:
    """Return who of ``ready`` may be planned and written; the others are named in ``run.foreign`` or stay left.

    ``accepted``: whom an operator just approved although somebody else writes there.
    """
    left = {one["entity_id"]: one["id"] for one in open_holds(run.store) if one["until_edited"]}
    free = set()
    with run.store.transaction():
        for person in load_persons(run.store, ready):
            entity_id = person["entity_id"]
            if entity_id not in accepted and stays_left(run, entity_id, left.get(entity_id)):
                continue
            why = reason_to_leave(run, person, run.looks[entity_id].espo)
            if why is None or entity_id in accepted:
                free.add(entity_id)
            else:
                run.foreign[entity_id] = f"{NAMED}: {why}"
    return [entity_id for entity_id in ready if entity_id in free]


def stays_left(run: Run, entity_id: str, hold: int | None) -> bool:
    """Whether a person that was left alone before still shows the same entries; else its hold ends."""
    if hold is None:
        return False
    if entity_id in run.edited:
        release_holds(run.store, [hold], now=run.utcnow(), by=EDITED)
        return False
    run.tally.held.add(entity_id)
    return True


def reason_to_leave(run: Run, person: Mapping[str, Any], record: EspoRecord) -> str | None:
    """Judge one person by its record, and take what stands there as known."""
    ours = Ours.of(person)
    found = judged(
        ours,
        record.status,
        record.fingerprint,
        saved_by_us=record.modified_by == run.user_id,
        entry_changed=person["entity_id"] in run.edited,
    )
    known: dict[str, Any] = {"foreign_writes": found.foreign_writes}
    if ours.statuses and record.status:
        known |= {"status_written": record.status, "status_sent": record.status}
    if ours.fingerprints and record.fingerprint:
        known |= {"fingerprint_written": record.fingerprint, "fingerprint_sent": record.fingerprint}
    if any(person[column] != value for column, value in known.items()):
        update_person(run.store, person["entity_id"], **known)
    return found.reason


def hold_foreign(run: Run, entity_ids: Sequence[str], plans: Plan) -> None:
    """Name these persons and keep them back: until an entry changes, or until an operator approves when too many."""
    if not entity_ids:
        return
    until_edited = not too_many(run.foreign)
    newly = hold_persons(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": run.looks[entity_id].advo.betnr,
                "kind": HoldKind.SECOND_WRITER,
                "reason": run.foreign[entity_id],
                "digest": digest(plans[entity_id]) if entity_id in plans and plans[entity_id].steps else None,
                "until_edited": until_edited,
                "held_at": run.utcnow(),
            }
            for entity_id in entity_ids
        ],
    )
    run.tally.held |= set(entity_ids)
    run.tally.newly_held |= set() if until_edited else set(newly)
    for entity_id in newly:
        run.log.error("second_writer", entity_id=entity_id, reason=run.foreign[entity_id])
        run.tally.notices.append(notice(entity_id, run.foreign[entity_id], run.id, until_edited=until_edited))


def notice(entity_id: str, reason: str, run_id: int, *, until_edited: bool) -> str:
    """One sentence for people: who, what was seen, and what ends it."""
    ends = "until one of its entries changes, or" if until_edited else "with everybody else until"
    return f"{entity_id}: {reason}. It is left alone {ends} `advosync approve {run_id}`."

