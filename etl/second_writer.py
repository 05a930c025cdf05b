"""Persons whom another sync, or a hook, writes too: named and left until their entries change (rules.md §6).

What stands in EspoCRM is then taken as known, so that an edit of an entry, or an approval, lets the person go on.

A store that was put back from a copy meets its own later runs. Where the copy says so, that is no second writer. In
either case what such a store knew as agreed is outdated: it would take a number typed again since for one deleted. So
the person is recovered by its markers, and what would take something away waits for approval (rules.md §3, Recovery).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.guard import digest
from etl.rules.foreign import FOREIGN_HASH, LATER_RUN, OUR_KEY, Ours, judged, too_many
from etl.store.baseline import end_baseline
from etl.store.holds import hold_persons, open_holds, release_holds
from etl.store.journal import settle
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
                run.foreign[entity_id] = why
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
    ours, by_us = Ours.of(person), record.modified_by == run.user_id
    put_back = run.copied_at is not None and (person["last_sync_at"] or "") <= run.copied_at
    if ours.is_outdated(record.fingerprint, person["advo_fingerprint"], ours_since=put_back and by_us):
        run.log.warning("store_outdated", entity_id=person["entity_id"], last_sync_at=person["last_sync_at"])
        forget_agreed(run, person["entity_id"])
        take_as_known(run, person, ours, record, 0)
        return None if put_back else LATER_RUN
    found = judged(
        ours,
        record.status,
        record.fingerprint,
        saved_by_us=by_us,
        entry_changed=person["entity_id"] in run.edited,
    )
    take_as_known(run, person, ours, record, found.foreign_writes)
    if found.reason is None:
        return None
    return f"{NAMED}: {found.reason}" + (f"; {OUR_KEY}" if found.reason == FOREIGN_HASH and by_us else "")


def forget_agreed(run: Run, entity_id: str) -> None:
    """Know no more of a person than a new store would: its next plan is a recovery."""
    end_baseline(run.store, entity_id)
    settle(run.store, entity_id)
    update_person(run.store, entity_id, last_sync_at=None)


def take_as_known(run: Run, person: Mapping[str, Any], ours: Ours, record: EspoRecord, foreign_writes: int) -> None:
    """What stands in EspoCRM is not foreign to us a second time."""
    known: dict[str, Any] = {"foreign_writes": foreign_writes}
    if ours.statuses and record.status:
        known |= {"status_written": record.status, "status_sent": record.status}
    if ours.fingerprints and record.fingerprint:
        known |= {"fingerprint_written": record.fingerprint, "fingerprint_sent": record.fingerprint}
    if any(person[column] != value for column, value in known.items()):
        update_person(run.store, person["entity_id"], **known)


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

