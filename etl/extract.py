"""The first stage: what both systems show of the persons that may have changed, into the state store (rules.md §1).

A person is read in EspoCRM, and in Advoware only when it is still due after that. Snapshot, due mark and what an
unfinished run did are one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.absence import note_absent, unlinked
from etl.ending import let_return
from etl.errors import Gone, PersonError
from etl.judging import awaits_judgement
from etl.reading import Read, batches, overlapped
from etl.rules.foreign import ASKING, Ours
from etl.run import Look, Run
from etl.saves import Person, is_news, is_somebody_elses, is_unsettled
from etl.settle import settle_person
from etl.snapshot import save_advo, save_espo
from etl.status import shows
from etl.store.baseline import types_moved
from etl.store.due import SEEN_MODIFIED, clear_due, mark_due, persons_to_poll, shared_betnrs, try_at_once
from etl.store.endings import has_ended, open_waits, sharers
from etl.store.journal import open_changes, wrote_since
from etl.store.persons import load_persons, update_person
from etl.store.states import Absence, Status

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from etl.records import AdvoPerson, EspoRecord

CHANGED_IN_ESPO = "changed in EspoCRM"
CHANGED_IN_ADVO = "changed in Advoware"
BATCH = 10  # persons a transaction: few commits, and the last answers wait for little once the network is through


def look_at(run: Run, persons: Sequence[Person], *, asked: bool = False) -> list[str]:
    """Read these persons on both sides and return the ids that can be planned now.

    ``asked``: an operator or a sweep wants Advoware read in any case. Persons that fail, are not there as agreed
    (``run.absent``), still being written, or not due after all are not among the result; ``run.looks`` holds the reads
    of those that are.
    """
    wanted = [one for one in espo_looks(run, persons) if asked or needs_advoware(run, one.person, one.record)]
    return advo_looks(run, wanted)


class EspoLook(NamedTuple):
    """EspoCRM's half of a look, and when it was asked for (monotonic seconds)."""

    person: Person
    record: EspoRecord
    at: float


def espo_looks(run: Run, persons: Sequence[Person]) -> list[EspoLook]:
    """One GET of each in EspoCRM; the snapshot and what follows from it are stored batch by batch."""
    result: list[EspoLook] = []
    answers = overlapped(
        run, "EspoCRM", persons, lambda person: run.espo.fetch(person["entity_id"]), run.limits.espo_readers
    )
    for batch in batches(answers, BATCH):
        with run.store.what_happened():
            result += [found for read in batch if (found := took_espo(run, *read)) is not None]
    return result


def took_espo(run: Run, person: Person, answer: EspoRecord | PersonError, at: float) -> EspoLook | None:
    """Store one EspoCRM answer; None ends the look at this person."""
    entity_id = person["entity_id"]
    run.tally.seen.add(entity_id)
    if isinstance(answer, Gone):
        gone_in_espo(run, person)
        return None
    if isinstance(answer, PersonError):
        run.unread[entity_id] = answer
        return None
    changed, absent = save_espo(run, answer), unlinked(run, person, answer.betnr)
    if answer.betnr is None and absent is None:
        run.tally.skipped.add(entity_id)
        return None
    run.edited |= {entity_id} if changed else set()
    news = is_news(run, answer, person)
    if changed and person["espo_seen_at"] and not news and person["due_since"] is None:
        run.tally.drifted_espo.add(entity_id)
    if news:
        by_other = answer.modified_by != run.user_id
        mark_due(run.store, [entity_id], SEEN_MODIFIED, run.utcnow(), edited_by_other=by_other)
    if changed or answer.betnr != person["betnr"]:
        mark_due(run.store, [entity_id], CHANGED_IN_ESPO, run.utcnow())
    if is_unsettled(run, answer) or is_somebody_elses(run, answer) or awaits_judgement(run, entity_id):
        mark_due(run.store, [entity_id], SEEN_MODIFIED, run.utcnow())
        run.tally.waiting.add(entity_id)
        return None
    if absent is not None:
        note_absent(run, entity_id, *absent)
        return None
    return EspoLook({**person, "changed": changed or answer.betnr != person["betnr"]}, answer, at)


def gone_in_espo(run: Run, person: Person) -> None:
    """404 in EspoCRM: nothing is changed in Advoware."""
    if person["gone_at"] is None:
        note_absent(run, person["entity_id"], Absence.GONE_IN_ESPOCRM)
    else:
        run.tally.skipped.add(person["entity_id"])


def needs_advoware(run: Run, person: Person, record: EspoRecord) -> bool:
    """Whether the person is still due after its EspoCRM GET; if not, the mark goes, and Advoware is not asked."""
    soft = person["due_reason"] == SEEN_MODIFIED and person["last_sync_at"] is not None
    if not soft or person["changed"] or record.status in ASKING or types_moved(run.store, record.entity_id):
        return True
    if person["status"] != Status.CLEAN or open_changes(run.store, [record.entity_id]):
        return True
    if not shows(run, record, Status.CLEAN, person["fingerprint"]):  # nor did it while we never wrote there ourselves
        return True
    ours = Ours.of(person)
    if ours.has_foreign_hash(record.fingerprint) or ours.has_foreign_status(record.status):
        return True
    clear_due(run.store, [record.entity_id])
    return False


def advo_looks(run: Run, wanted: Sequence[EspoLook]) -> list[str]:
    """One GET of each in Advoware; unfinished writes are settled in the transaction that stores the snapshot."""
    read = overlapped(
        run, "Advoware", wanted, lambda one: run.advoware.fetch(one.record.betnr or 0), run.limits.advo_readers
    )
    ready = []
    for batch in batches(read, BATCH):
        with run.store.what_happened():
            ready += [seen.record.entity_id for seen, answer, at in batch if took_advo(run, seen, answer, at)]
    return ready


def took_advo(run: Run, seen: EspoLook, answer: AdvoPerson | PersonError, at: float) -> bool:
    """Store one Advoware answer; True when the person can be planned."""
    record = seen.record
    if isinstance(answer, Gone):
        gone_in_advo(run, seen.person, record)
        return False
    if isinstance(answer, PersonError):
        run.unread[record.entity_id] = answer
        return False
    by_us = wrote_since(run.store, record.entity_id, seen.person["advo_seen_at"])
    settle_person(run, record.entity_id, record, answer)
    if save_advo(run, record.entity_id, answer):
        run.tally.drifted_advo |= {record.entity_id} if seen.person["advo_seen_at"] and not by_us else set()
        run.edited.add(record.entity_id)
        mark_due(run.store, [record.entity_id], CHANGED_IN_ADVO, run.utcnow())
    run.looks[record.entity_id] = Look(record, seen.at, answer, at)
    return True


def gone_in_advo(run: Run, person: Person, record: EspoRecord) -> None:
    """404 in Advoware; where that is known, it stands in EspoCRM until somebody writes another status over it."""
    known = person["status"] == Status.DELETED_IN_ADVOWARE
    update_person(run.store, record.entity_id, advo_seen_at=run.utcnow())
    if not known or not has_ended(run.store, record.entity_id, Absence.GONE_IN_ADVOWARE, record.betnr):
        note_absent(run, record.entity_id, Absence.GONE_IN_ADVOWARE, record.betnr)
        return
    run.tally.skipped.add(record.entity_id)
    if not sharers(run.store, [record.entity_id]):  # what else it waited for is over: its record is there, as linked
        let_return(run, [record.entity_id])
    if record.status == Status.DELETED_IN_ADVOWARE:
        clear_due(run.store, [record.entity_id])
    else:
        mark_due(run.store, [record.entity_id], "EspoCRM does not say that it is deleted in Advoware", run.utcnow())
        run.deleted.append(record.entity_id)


def poll_advoware(run: Run, taken: Sequence[str]) -> list[Read[Person, AdvoPerson]]:
    """Look at persons in Advoware though nobody said they changed; those that did become due and are returned.

    At least half of the budget goes to the oldest looks, the rest to persons that changed lately on either side.
    """
    waits = open_waits(run.store)
    waiting = {entity_id for entity_id, wait in waits.items() if wait["kind"] == Absence.GONE_IN_ADVOWARE}
    polled: Sequence[Person] = persons_to_poll(
        run.store, run.utcnow(), run.limits.poll_budget, [*taken, *(waits.keys() - waiting)], run.limits.only
    )
    changed: list[Read[Person, AdvoPerson]] = []
    read = overlapped(
        run, "Advoware", polled, lambda one: run.advoware.fetch(one["betnr"]), run.limits.advo_readers
    )
    for batch in batches(read, BATCH):
        with run.store.what_happened():
            changed += [
                read
                for read in batch
                if drifted(run, read.key, read.answer) or returned(run, waiting, read.key, read.answer)
            ]
    return changed


def look_at_drifted(run: Run, changed: Sequence[Read[Person, AdvoPerson]]) -> list[str]:
    """Read what drifted in Advoware in EspoCRM too; the poll's read is Advoware's half of the look."""
    polled = {read.key["entity_id"]: read for read in changed}
    ready = []
    for _, record, at in espo_looks(run, [read.key for read in changed]):
        read = polled[record.entity_id]
        if isinstance(read.answer, PersonError):
            continue
        with run.store.transaction():
            settle_person(run, record.entity_id, record, read.answer)
        run.looks[record.entity_id] = Look(record, at, read.answer, read.at)
        ready.append(record.entity_id)
    return ready


def drifted(run: Run, person: Person, answer: AdvoPerson | PersonError) -> bool:
    """Store a polled answer; True when its rows are not those of the last look, and not our own unfinished writes.

    A person that could not be read becomes due, and its look counts: it takes no place of the next poll.
    """
    entity_id = person["entity_id"]
    run.tally.seen.add(entity_id)
    if isinstance(answer, Gone):
        note_absent(run, entity_id, Absence.GONE_IN_ADVOWARE, person["betnr"])
        update_person(run.store, entity_id, advo_seen_at=run.utcnow())
        return False
    if isinstance(answer, PersonError):
        mark_due(run.store, [entity_id], f"could not be read in Advoware: {answer}", run.utcnow())
        update_person(run.store, entity_id, advo_seen_at=run.utcnow())
        return False
    if not save_advo(run, entity_id, answer) or wrote_since(run.store, entity_id, person["advo_seen_at"]):
        return False
    run.tally.drifted_advo |= {entity_id} if person["advo_seen_at"] else set()
    run.edited.add(entity_id)
    mark_due(run.store, [entity_id], CHANGED_IN_ADVO, run.utcnow())
    update_person(run.store, entity_id, advo_changed_at=run.utcnow())
    try_at_once(run.store, [entity_id])
    return True


def returned(run: Run, waiting: Container[str], person: Person, answer: AdvoPerson | PersonError) -> bool:
    """Whether Advoware shows somebody again who waits because it did not; EspoCRM is asked, too, then."""
    if person["entity_id"] not in waiting or isinstance(answer, PersonError):
        return False
    mark_due(run.store, [person["entity_id"]], "there again in Advoware", run.utcnow())
    return True


def recheck_shared(run: Run) -> list[tuple[int, list[str]]]:
    """Look whether the doubles of a betnr are still there: no list shows a deletion (espocrm-api.md, fact 13).

    Returned are those that are: each betnr with its records.
    """
    known = shared_betnrs(run.store)
    shared = {betnr: ids for betnr, ids in known if any(run.limits.allows(x, betnr) for x in ids)}
    if not shared:
        return known
    listed = {one.entity_id for one in run.espo.with_betnr(list(shared))}
    missing = load_persons(run.store, [one for ids in shared.values() for one in ids if one not in listed])
    espo_looks(run, [one for one in missing if run.limits.allows(one["entity_id"], one["betnr"])])
    return shared_betnrs(run.store)
