"""A person that is gone, or no longer linked as before, waits; its sync ends when a later run sees the same.

While a person waits, its baseline, status and entries stay as they are, and it is not synced with another betnr. Its
baseline ends (``etl.writing.unlinked``) only when two regular runs, some minutes apart, saw the same (rules §1,
Endings).
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.context import has_configuration_changed
from etl.enums import ABSENCE_REASONS, Absence, HoldKind, PersonStatus
from etl.reading.absences import SIDE_OF_ABSENCE, distrust_reason, readmit_persons, record_absence
from etl.rules.guards import SHARE_APPLIES_ABOVE_PERSONS, too_many_endings
from etl.store.tables.baseline import last_synced_betnr
from etl.store.tables.endings import (
    count_persons_read_since,
    count_recent_endings,
    load_open_waits,
    persons_with_betnr_of_others,
    records_with_same_betnr,
    save_waits,
)
from etl.store.tables.holds import ids_held_as_absent, insert_holds
from etl.store.tables.persons import load_persons, update_person
from etl.store.tables.queue import mark_due, persons_no_longer_sharing
from etl.times import add_seconds, parse_utc
from etl.writing.unlinked import betnr_conflict_message, end_person_sync, write_ending_status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.context import ObservedAbsence, RunContext

REGULAR_RUN_DECIDES = "nothing about it is changed; a regular run decides"
MAX_PERSONS_NAMED = 10
"""More persons than this are counted, not named."""

OTHER_CONFIGURATION_REASON = "the configuration is not the agreed one"
TOO_MANY_REASON = "{} persons were not there as agreed within a day, more than the guard allows"
ONE_DAY_SECONDS = 86_400

BETNR_OWN_AGAIN = "its betnr is its own again"
BETNR_NOT_OWN_YET = "its betnr was another record's, which waits"


def exclude_absent(run: RunContext, ready: Sequence[str]) -> list[str]:
    """Return which of those read on both sides may be planned, and judge whoever was found absent so far.

    A person whose betnr another record carries is absent, too. If its betnr belonged to a record that waits, it waits
    with that record.
    """
    sharers_of_betnr = records_with_same_betnr(run.store, ready)
    for entity_id in sharers_of_betnr:
        if is_shared(run, sharers_of_betnr[entity_id]):
            record_absence(run, entity_id, Absence.SHARED_BETNR, run.reads[entity_id].advo.betnr)
    begin_waits(run)
    present = [entity_id for entity_id in ready if entity_id not in run.absences]
    with run.store.transaction():
        without_own_betnr = {
            *persons_with_betnr_of_others(run.store, present),
            *(sharers_of_betnr.keys() & set(present)),
        }
        mark_due(run.store, without_own_betnr, BETNR_NOT_OWN_YET, run.utcnow())
        present = [entity_id for entity_id in present if entity_id not in without_own_betnr]
        readmit_persons(run, present)
    run.counters.deferred |= without_own_betnr
    end_or_report_absences(run)
    return present


def is_shared(run: RunContext, others: Iterable[str]) -> bool:
    """Whether another record with the betnr is there; one that this run did not find does not count."""
    return any(not is_record_missing(run, entity_id) for entity_id in others)


def is_record_missing(run: RunContext, entity_id: str) -> bool:
    """Whether this run did not find a record in EspoCRM."""
    return entity_id in run.absences and run.absences[entity_id].kind is Absence.GONE_IN_ESPOCRM


def judge_absences(run: RunContext) -> None:
    """Judge whoever was found absent since the last call, by the reads before and after the writes."""
    begin_waits(run)
    end_or_report_absences(run)


def end_or_report_absences(run: RunContext) -> None:
    """End the sync of those an earlier run saw absent too, unless a guard holds them; only a regular run does so."""
    new_absences = sorted(run.absences.keys() - run.judged_absences)
    run.judged_absences |= set(new_absences)
    waits = load_open_waits(run.store) if new_absences else {}
    due_to_end = [entity_id for entity_id in new_absences if entity_id in waits and is_wait_over(run, waits[entity_id])]
    if run.records_absence and new_absences:
        hold_absent_persons(run, new_absences, waits)
    if not run.regular or not run.write:
        run.counters.notices += absence_notices(run, new_absences)
        return
    held_ids = ids_held_as_absent(run.store)
    for entity_id in due_to_end:
        if entity_id not in held_ids:
            end_person_sync(run, entity_id, run.absences[entity_id])
    if due_to_end:
        mark_due(run.store, persons_no_longer_sharing(run.store), BETNR_OWN_AGAIN, run.utcnow())


def begin_waits(run: RunContext) -> None:
    """Store what was seen; a person that waits already keeps the time of the first read, if that saw the same."""
    if not run.records_absence:
        return
    new_absences = {
        entity_id: absent for entity_id, absent in run.absences.items() if entity_id not in run.judged_absences
    }
    with run.store.transaction():
        save_waits(run.store, [waiting_record(run, entity_id, absent) for entity_id, absent in new_absences.items()])
        for entity_id, absent in new_absences.items():
            mark_due(run.store, [entity_id], ABSENCE_REASONS[absent.kind], run.utcnow())


def waiting_record(run: RunContext, entity_id: str, absent: ObservedAbsence) -> dict[str, Any]:
    """The wait as the table keeps it."""
    return {
        "entity_id": entity_id,
        "betnr": last_synced_betnr(run.store, entity_id),
        "kind": absent.kind,
        "seen_betnr": absent.seen_betnr,
        "run_id": run.id,
        "now": run.utcnow(),
    }


def end_approved_persons(run: RunContext, entity_ids: Collection[str], operator: str) -> None:
    """End the sync of those an operator approved, if they are still absent and that absence is believed."""
    for entity_id in sorted(entity_ids):
        if entity_id not in run.absences:
            continue
        distrust = distrust_reason_of(run, entity_id)
        if distrust is None:
            end_person_sync(run, entity_id, run.absences[entity_id], by=operator)
        else:
            run.counters.held.add(entity_id)
            run.counters.newly_held.add(entity_id)
            run.counters.notices.append(
                f"{entity_id} stays held: {ABSENCE_REASONS[run.absences[entity_id].kind]}; {distrust}"
            )
    mark_due(run.store, persons_no_longer_sharing(run.store), BETNR_OWN_AGAIN, run.utcnow())


def hold_absent_persons(run: RunContext, new_absences: Sequence[str], waits: Mapping[str, Mapping[str, Any]]) -> None:
    """Hold who waits, if too many do, if the configuration has changed, or if a 404 is not believed."""
    reasons = {
        entity_id: reason for entity_id in new_absences if (reason := distrust_reason_of(run, entity_id)) is not None
    }
    common_reason = common_hold_reason(run)
    reasons = (dict.fromkeys(waits, common_reason) if common_reason else {}) | reasons
    newly_held = insert_holds(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": waits[entity_id]["betnr"] or waits[entity_id]["seen_betnr"],
                "kind": HoldKind.ENDINGS,
                "reason": f"{ABSENCE_REASONS[Absence(waits[entity_id]['kind'])]}; {reason}",
                "held_at": run.utcnow(),
            }
            for entity_id, reason in reasons.items()
        ],
    )
    run.counters.held |= set(reasons)
    run.counters.newly_held |= set(newly_held)
    counts = Counter(reasons[entity_id] for entity_id in newly_held)
    run.counters.notices += [
        f"{count} persons that were not there are held: {reason}" for reason, count in counts.items()
    ]


def distrust_reason_of(run: RunContext, entity_id: str) -> str | None:
    """Why this person's 404 is not believed; None where it is, or where the absence is no 404."""
    kind = run.absences[entity_id].kind
    return distrust_reason(run, kind) if kind in SIDE_OF_ABSENCE else None


def common_hold_reason(run: RunContext) -> str | None:
    """Why everybody who waits is held; None when there is no such reason."""
    if has_configuration_changed(run):
        return OTHER_CONFIGURATION_REASON
    since = add_seconds(run.utcnow(), -ONE_DAY_SECONDS)
    endings = count_recent_endings(run.store, since)
    if endings <= min(SHARE_APPLIES_ABOVE_PERSONS, run.limits.max_removals):
        return None
    is_too_many = too_many_endings(
        endings,
        count_persons_read_since(run.store, since),
        max_removals=run.limits.max_removals,
        max_removal_share=run.limits.max_removal_share,
    )
    return TOO_MANY_REASON.format(endings) if is_too_many else None


def is_wait_over(run: RunContext, wait: Mapping[str, Any]) -> bool:
    """Whether an earlier run saw the same, long enough ago."""
    waiting_time = parse_utc(run.utcnow()) - parse_utc(wait["seen_at"])
    return wait["run_id"] != run.id and waiting_time >= timedelta(minutes=run.limits.endings_after_minutes)


def absence_notices(run: RunContext, entity_ids: Sequence[str]) -> list[str]:
    """What a run that only reports tells people: each person, or how many where there are many."""
    if len(entity_ids) > MAX_PERSONS_NAMED:
        counts = Counter(ABSENCE_REASONS[run.absences[entity_id].kind] for entity_id in entity_ids)
        return [f"{count} persons: {what}; {REGULAR_RUN_DECIDES}" for what, count in counts.items()]
    betnrs = {person["entity_id"]: person["betnr"] for person in load_persons(run.store, entity_ids)}
    notices = {
        entity_id: f"{ABSENCE_REASONS[run.absences[entity_id].kind]}; {REGULAR_RUN_DECIDES}" for entity_id in entity_ids
    }
    return [f"{entity_id} / {betnrs.get(entity_id) or 'no betnr'}: {what}" for entity_id, what in notices.items()]


# Two records with one betnr -------------------------------------------------------------------------------------------


def mark_shared_betnrs(run: RunContext, shared: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Two records with one betnr: neither is synced; one whose status is ``conflict`` for that already keeps it.

    When only one of them is left it becomes due, so that its conflict ends by itself.
    """
    statuses = {
        person["entity_id"]: person["status"]
        for person in load_persons(run.store, [entity_id for _, ids in shared for entity_id in ids])
    }
    for betnr, entity_ids in shared:
        present = [entity_id for entity_id in entity_ids if not is_record_missing(run, entity_id)]
        for entity_id in present:
            if statuses[entity_id] == PersonStatus.CONFLICT:
                run.counters.skipped.add(entity_id)
                update_person(run.store, entity_id, error=betnr_conflict_message(run, betnr))
                write_ending_status(run, entity_id)
            elif len(present) > 1:
                record_absence(run, entity_id, Absence.SHARED_BETNR, betnr)
            else:
                run.counters.deferred.add(entity_id)
    mark_due(run.store, persons_no_longer_sharing(run.store), BETNR_OWN_AGAIN, run.utcnow())
