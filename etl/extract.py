"""The stage extract: store what both systems show of the persons that may have changed (rules §1).

A person is read in EspoCRM, and in Advoware only if it is still due after that. The snapshot, the due mark and what
an unfinished run did are stored in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.context import PersonReads, RunContext
from etl.enums import SYNC_REQUESTED, Absence, PersonStatus
from etl.errors import NotFound, PersonError
from etl.reading.absences import link_mismatch, readmit_persons, record_absence
from etl.reading.own_arrays import has_unreadable_put
from etl.reading.parallel import Read, chunks, fetch_in_parallel
from etl.reading.snapshot import (
    Person,
    is_synced_by_others,
    is_unseen_save,
    may_be_half_written,
    save_advo_snapshot,
    save_espo_snapshot,
    shows_status,
)
from etl.records import Side
from etl.rules.guards import OwnWrites
from etl.store.tables.baseline import has_type_changes
from etl.store.tables.endings import has_ended_before, load_open_waits, records_with_same_betnr
from etl.store.tables.journal import has_writes_since, open_changes
from etl.store.tables.persons import load_persons, update_person
from etl.store.tables.queue import (
    MODIFIED_IN_ESPO,
    betnrs_of_several_records,
    clear_due,
    clear_retry_times,
    mark_due,
    persons_to_poll,
)
from etl.times import add_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from etl.records import AdvoRecord, EspoRecord

    Recover = Callable[[RunContext, str, EspoRecord, AdvoRecord], None]

CHANGED_IN_ESPO = "changed in EspoCRM"
CHANGED_IN_ADVO = "changed in Advoware"
PERSONS_PER_TRANSACTION = (
    10  # persons a transaction: few commits, and the last answers wait for little once the network is through
)


def read_persons(
    run: RunContext, persons: Sequence[Person], recover: Recover, *, both_sides: bool = False
) -> list[str]:
    """Read these persons on both sides and return the ids that can be planned now.

    ``recover`` settles what an unfinished run did to a person, in the transaction that stores Advoware's snapshot.
    ``both_sides``: an operator or a sweep wants Advoware read in any case. Persons that fail, are not there as agreed
    (``run.absences``), locked by staff, still being written, or not due after all are not among the result;
    ``run.reads`` holds the reads of those that are.
    """
    espo_reads = [
        read for read in read_espo(run, persons) if both_sides or needs_advo_read(run, read.person, read.record)
    ]
    return read_advo(run, espo_reads, recover)


class EspoRead(NamedTuple):
    """A person as EspoCRM showed it, and when it was asked for (monotonic seconds)."""

    person: Person
    record: EspoRecord
    at: float


def read_espo(run: RunContext, persons: Sequence[Person]) -> list[EspoRead]:
    """GET each person's record in EspoCRM; snapshots and what follows from them are stored batch by batch."""
    result: list[EspoRead] = []
    reads = fetch_in_parallel(
        run, "EspoCRM", persons, lambda person: run.espo.fetch(person["entity_id"]), run.limits.espo_readers
    )
    for batch in chunks(reads, PERSONS_PER_TRANSACTION):
        with run.store.transaction_without_fsync():
            result += [espo_read for read in batch if (espo_read := store_espo_read(run, *read)) is not None]
    return result


def store_espo_read(run: RunContext, person: Person, answer: EspoRecord | PersonError, at: float) -> EspoRead | None:
    """Store one answer of EspoCRM; None: the person need not, or cannot, be read in Advoware."""
    entity_id = person["entity_id"]
    run.counters.seen.add(entity_id)
    if isinstance(answer, NotFound):
        mark_missing_in_espo(run, person)
        return None
    if isinstance(answer, PersonError):
        run.read_errors[entity_id] = answer
        return None
    changed, absent = save_espo_snapshot(run, answer), link_mismatch(run, person, answer.betnr)
    if answer.betnr is None and absent is None:
        run.counters.skipped.add(entity_id)
        return None
    run.changed_since_last_read |= {entity_id} if changed else set()
    is_new_save = is_unseen_save(run, answer, person)
    if changed and answer.modified_by != run.user_id:
        note_edit(run, person, Side.ESPO, answer.modified_at)
    if changed and person["espo_seen_at"] and not is_new_save and person["due_since"] is None:
        run.counters.drifted_espo.add(entity_id)
    if is_new_save:
        edited_by_other = answer.modified_by != run.user_id
        mark_due(run.store, [entity_id], MODIFIED_IN_ESPO, run.utcnow(), edited_by_other=edited_by_other)
    if changed or answer.betnr != person["betnr"]:
        mark_changed_due(run, person, CHANGED_IN_ESPO)
    if may_be_half_written(run, answer) or is_synced_by_others(run, answer) or has_unreadable_put(run, entity_id):
        mark_due(run.store, [entity_id], MODIFIED_IN_ESPO, run.utcnow())
        run.counters.deferred.add(entity_id)
        return None
    if absent is not None:
        record_absence(run, entity_id, *absent)
        return None
    return EspoRead({**person, "changed": changed or answer.betnr != person["betnr"]}, answer, at)


def note_edit(run: RunContext, person: Person, side: Side, edited_at: str | None) -> None:
    """Note when an edit was made, to measure how long it takes; of several the first counts.

    A number that another record shares changes without a save of this one: a save before the last look made no edit.
    """
    seen_at = person["espo_seen_at" if side is Side.ESPO else "advo_seen_at"]
    if edited_at is None or seen_at is None or person["last_sync_at"] is None:
        return
    if edited_at >= add_seconds(seen_at, -run.limits.overlap_seconds):
        run.edits.setdefault((person["entity_id"], side), edited_at)


def mark_changed_due(run: RunContext, person: Person, reason: str) -> None:
    """Make a person due whose entries changed; it keeps its reason unless that was merely that it was modified."""
    if person["due_since"] is None or person["due_reason"] == MODIFIED_IN_ESPO:
        mark_due(run.store, [person["entity_id"]], reason, run.utcnow())


def mark_missing_in_espo(run: RunContext, person: Person) -> None:
    """404 in EspoCRM: nothing is changed in Advoware."""
    if person["gone_at"] is None:
        record_absence(run, person["entity_id"], Absence.GONE_IN_ESPOCRM)
    else:
        run.counters.skipped.add(person["entity_id"])


def needs_advo_read(run: RunContext, person: Person, record: EspoRecord) -> bool:
    """Whether the person is still due after its EspoCRM GET; if not, the mark is cleared and Advoware is not asked."""
    only_modified = person["due_reason"] == MODIFIED_IN_ESPO and person["last_sync_at"] is not None
    if (
        not only_modified
        or person["changed"]
        or record.status in SYNC_REQUESTED
        or has_type_changes(run.store, record.entity_id)
    ):
        return True
    if person["status"] != PersonStatus.CLEAN or open_changes(run.store, [record.entity_id]):
        return True
    own_writes = OwnWrites.from_person(person)
    if own_writes.is_other_fingerprint(record.fingerprint) or own_writes.is_other_status(record.status):
        return True
    # a new store has never written there, so nothing looks foreign to it: what is shown may still not be ours
    if not shows_status(run, record, PersonStatus.CLEAN, person["fingerprint"]):
        return True
    clear_due(run.store, [record.entity_id])
    return False


def read_advo(run: RunContext, espo_reads: Sequence[EspoRead], recover: Recover) -> list[str]:
    """GET each person in Advoware; unfinished writes are settled in the transaction that stores the snapshot."""
    answers = fetch_in_parallel(
        run,
        "Advoware",
        espo_reads,
        lambda espo_read: run.advo.fetch(espo_read.record.betnr or 0),
        run.limits.advo_readers,
    )
    ready = []
    for batch in chunks(answers, PERSONS_PER_TRANSACTION):
        with run.store.transaction_without_fsync():
            ready += [
                espo_read.record.entity_id
                for espo_read, answer, at in batch
                if store_advo_read(run, espo_read, answer, at, recover)
            ]
    return ready


def store_advo_read(
    run: RunContext, espo_read: EspoRead, answer: AdvoRecord | PersonError, at: float, recover: Recover
) -> bool:
    """Store one Advoware answer; True when the person can be planned."""
    record = espo_read.record
    if isinstance(answer, NotFound):
        mark_missing_in_advo(run, espo_read.person, record)
        return False
    if isinstance(answer, PersonError):
        run.read_errors[record.entity_id] = answer
        return False
    advo_seen_at = espo_read.person["advo_seen_at"]
    written_by_us = advo_seen_at is None or has_writes_since(run.store, record.entity_id, advo_seen_at)
    recover(run, record.entity_id, record, answer)
    if save_advo_snapshot(run, record.entity_id, answer):
        run.counters.drifted_advo |= set() if written_by_us else {record.entity_id}
        if not written_by_us:
            note_edit(run, espo_read.person, Side.ADVO, advo_seen_at)
        run.changed_since_last_read.add(record.entity_id)
        mark_changed_due(run, espo_read.person, CHANGED_IN_ADVO)
    run.reads[record.entity_id] = PersonReads(record, espo_read.at, answer, at)
    return not is_waiting_for_unlock(run, record)


def is_waiting_for_unlock(run: RunContext, record: EspoRecord) -> bool:
    """Whether staff locked the record: what was seen is stored, and nothing is written to either side (rules §6)."""
    if record.is_locked:
        run.counters.locked.add(record.entity_id)
    return record.is_locked


def mark_missing_in_advo(run: RunContext, person: Person, record: EspoRecord) -> None:
    """404 in Advoware; where that is known already, EspoCRM says so unless somebody changed the status there."""
    is_known = person["status"] == PersonStatus.DELETED_IN_ADVOWARE
    update_person(run.store, record.entity_id, advo_seen_at=run.utcnow())
    if not is_known or not has_ended_before(run.store, record.entity_id, Absence.GONE_IN_ADVOWARE, record.betnr):
        record_absence(run, record.entity_id, Absence.GONE_IN_ADVOWARE, record.betnr)
        return
    run.counters.skipped.add(record.entity_id)
    if not records_with_same_betnr(
        run.store, [record.entity_id]
    ):  # any other reason to wait is gone: its record is there, and linked as before
        readmit_persons(run, [record.entity_id])
    if record.status == PersonStatus.DELETED_IN_ADVOWARE:
        clear_due(run.store, [record.entity_id])
    else:
        mark_due(run.store, [record.entity_id], "EspoCRM does not say that it is deleted in Advoware", run.utcnow())
        run.deleted_to_show.append(record.entity_id)


def poll_advo(run: RunContext, exclude: Sequence[str]) -> list[Read[Person, AdvoRecord]]:
    """Read persons in Advoware though nothing says they changed; those that did become due and are returned.

    At least half of the budget goes to those read longest ago, the rest to persons that changed lately on either side.
    """
    waits = load_open_waits(run.store)
    awaited_ids = {entity_id for entity_id, wait in waits.items() if wait["kind"] == Absence.GONE_IN_ADVOWARE}
    persons: Sequence[Person] = persons_to_poll(
        run.store, run.utcnow(), run.limits.poll_budget, [*exclude, *(waits.keys() - awaited_ids)], run.limits.only
    )
    drifted: list[Read[Person, AdvoRecord]] = []
    reads = fetch_in_parallel(
        run, "Advoware", persons, lambda person: run.advo.fetch(person["betnr"]), run.limits.advo_readers
    )
    for batch in chunks(reads, PERSONS_PER_TRANSACTION):
        with run.store.transaction_without_fsync():
            drifted += [
                read
                for read in batch
                if store_poll_read(run, read.key, read.answer)
                or mark_due_if_back(run, awaited_ids, read.key, read.answer)
            ]
    return drifted


def read_drifted_in_espo(
    run: RunContext, drifted_reads: Sequence[Read[Person, AdvoRecord]], recover: Recover
) -> list[str]:
    """Read in EspoCRM those that had changed in Advoware; the read of the poll serves for Advoware."""
    polled_reads = {read.key["entity_id"]: read for read in drifted_reads}
    ready = []
    for _, record, at in read_espo(run, [read.key for read in drifted_reads]):
        read = polled_reads[record.entity_id]
        if isinstance(read.answer, PersonError):
            continue
        with run.store.transaction():
            recover(run, record.entity_id, record, read.answer)
        run.reads[record.entity_id] = PersonReads(record, at, read.answer, read.at)
        ready += [] if is_waiting_for_unlock(run, record) else [record.entity_id]
    return ready


def store_poll_read(run: RunContext, person: Person, answer: AdvoRecord | PersonError) -> bool:
    """Store a polled answer; True when its rows differ from the last read, and not by our own unfinished writes.

    A person that could not be read becomes due, and counts as read: it takes no place in the next poll.
    """
    entity_id = person["entity_id"]
    run.counters.seen.add(entity_id)
    if isinstance(answer, NotFound):
        record_absence(run, entity_id, Absence.GONE_IN_ADVOWARE, person["betnr"])
        update_person(run.store, entity_id, advo_seen_at=run.utcnow())
        return False
    if isinstance(answer, PersonError):
        mark_due(run.store, [entity_id], f"could not be read in Advoware: {answer}", run.utcnow())
        update_person(run.store, entity_id, advo_seen_at=run.utcnow())
        return False
    if not save_advo_snapshot(run, entity_id, answer) or has_writes_since(run.store, entity_id, person["advo_seen_at"]):
        return False
    run.counters.drifted_advo |= {entity_id} if person["advo_seen_at"] else set()
    note_edit(run, person, Side.ADVO, person["advo_seen_at"])
    run.changed_since_last_read.add(entity_id)
    mark_due(run.store, [entity_id], CHANGED_IN_ADVO, run.utcnow())
    update_person(run.store, entity_id, advo_changed_at=run.utcnow())
    clear_retry_times(run.store, [entity_id])
    return True


def mark_due_if_back(
    run: RunContext, awaited_ids: Container[str], person: Person, answer: AdvoRecord | PersonError
) -> bool:
    """Whether Advoware shows a person again that waits because it did not; then EspoCRM is asked, too."""
    if person["entity_id"] not in awaited_ids or isinstance(answer, PersonError):
        return False
    mark_due(run.store, [person["entity_id"]], "there again in Advoware", run.utcnow())
    return True


def recheck_shared_betnrs(run: RunContext) -> list[tuple[int, list[str]]]:
    """Return each betnr that several records carry, with those records.

    No list shows a deletion (EspoCRM fact A13), so EspoCRM is asked whether they are still there.
    """
    shared_before = betnrs_of_several_records(run.store)
    shared = {
        betnr: ids for betnr, ids in shared_before if any(run.limits.allows(entity_id, betnr) for entity_id in ids)
    }
    if not shared:
        return shared_before
    listed_ids = {listing.entity_id for listing in run.espo.list_by_betnr(list(shared))}
    missing_persons = load_persons(
        run.store, [entity_id for ids in shared.values() for entity_id in ids if entity_id not in listed_ids]
    )
    read_espo(run, [person for person in missing_persons if run.limits.allows(person["entity_id"], person["betnr"])])
    return betnrs_of_several_records(run.store)
