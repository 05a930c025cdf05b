"""The first stage: who may have changed, and what both systems show of them, into the state store (rules.md §1).

Lists only ever make persons due; nothing is concluded from what a list lacks. A person is read in EspoCRM, and in
Advoware only when it is still due after that. Snapshot, due mark and what an unfinished run did are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.errors import Gone, PersonError
from etl.reading import Read, batches, overlapped
from etl.rules.foreign import ASKING, Ours
from etl.run import Look, Run
from etl.settle import settle_person
from etl.snapshot import save_advo, save_espo
from etl.store.baseline import end_baseline, types_moved
from etl.store.due import (
    SEEN_MODIFIED,
    clear_due,
    mark_due,
    no_longer_shared,
    persons_to_poll,
    shared_betnrs,
    try_at_once,
)
from etl.store.holds import open_holds, release_holds
from etl.store.journal import open_changes, wrote_since
from etl.store.persons import load_person, load_persons, save_listings, update_person
from etl.store.states import Status

if TYPE_CHECKING:
    from etl.records import AdvoPerson, EspoRecord, Listing

LINKED_ANEW = "linked to this betnr"
CHANGED_IN_ESPO = "changed in EspoCRM"
CHANGED_IN_ADVO = "changed in Advoware"
SYNCING_PATIENCE = 300  # seconds a record may stand on `syncing` by somebody else's hand (rules.md §1)
A_DAY = 86_400  # no clock is set back further than this without anybody looking
BATCH = 10  # persons a transaction: few commits, and the last answers wait for little once the network is through

Person = Mapping[str, Any]


NO_TROUBLE: dict[str, object] = {"error": None, "retry_count": 0, "next_retry_at": None, "auto_reset_at": None}
"""The columns of a person that is not waiting for a retry."""

# Who may have changed ---------------------------------------------------------------------------------------------


def list_candidates(run: Run) -> None:
    """Walk EspoCRM's lists: what was modified since the cursor, whose status asks for a look; then move the cursor.

    The cursor never passes the server's own time: neither a record dated into the future nor a clock set back may hide
    what is saved from now on.
    """
    cursor = run.store.setting("cursor")
    since = earlier(cursor, run.limits.overlap_seconds) if cursor else None
    latest, answered_at = modified_since(run, since)
    if since is not None and answered_at < since:
        run.log.warning("clock_set_back", system="EspoCRM", cursor=cursor, answered_at=answered_at)
        latest, answered_at = modified_since(run, earlier(answered_at, A_DAY))
    now = run.utcnow()
    asking = run.espo.due(now, earlier(answered_at, SYNCING_PATIENCE))
    with run.store.transaction():
        note_modified(run, asking)
        mark_due(run.store, [one.entity_id for one in asking], "its status asks for a sync", now)
        run.store.set_setting("cursor", min(max(filter(None, [cursor, latest]), default=answered_at), answered_at))


def modified_since(run: Run, since: str | None) -> tuple[str | None, str]:
    """Note the records modified since then; the latest ``modifiedAt`` among them, and the server's time at the end."""
    latest, answered_at = None, run.utcnow()
    for page in run.espo.modified_since(since):
        note_modified(run, page.listings)
        latest = max(filter(None, [latest, *(one.modified_at for one in page.listings)]), default=latest)
        answered_at = page.answered_at
    return latest, answered_at


def note_modified(run: Run, listings: Sequence[Listing]) -> None:
    """Store a page; linked records saved since we last saw them, and not by our own last write, become due.

    Whom somebody edited is tried before its retry time (rules.md §6, Failing person).
    """
    known = {one["entity_id"]: one for one in load_persons(run.store, [one.entity_id for one in listings])}
    saved = [one for one in listings if is_news(run, one, known.get(one.entity_id)) and one.betnr is not None]
    by_other = [one.entity_id for one in saved if one.modified_by != run.user_id]
    with run.store.transaction():
        save_listings(run.store, listings, run.utcnow())
        mark_due(run.store, [one.entity_id for one in saved], SEEN_MODIFIED, run.utcnow())
        mark_due(run.store, by_other, SEEN_MODIFIED, run.utcnow(), edited_by_other=True)
        relinked = [one.entity_id for one in saved if (known.get(one.entity_id) or {}).get("betnr") != one.betnr]
        mark_due(run.store, relinked, LINKED_ANEW, run.utcnow())
        try_at_once(run.store, by_other)
        for one in listings:
            if one.betnr is None:
                not_linked(run, one.entity_id)


def is_news(run: Run, listing: Listing | EspoRecord, known: Person | None) -> bool:
    """Whether a record shows a save we have not seen; our own last write shows exactly its time and our user."""
    if known is None:
        return True
    ours = listing.modified_by == run.user_id and listing.modified_at == known["own_modified_at"]
    return not ours and (listing.modified_at, listing.modified_by) != (
        known["espo_modified_at"],
        known["espo_modified_by"],
    )


def earlier(moment: str, seconds: float) -> str:
    """UTC text some seconds before another."""
    return (datetime.strptime(moment, "%Y-%m-%d %H:%M:%S") - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC text, by contract


# What both systems show -------------------------------------------------------------------------------------------


def look_at(run: Run, persons: Sequence[Person], *, asked: bool = False) -> list[str]:
    """Read these persons on both sides and return the ids that can be planned now.

    ``asked``: an operator or a sweep wants Advoware read in any case. Persons that fail, are gone, deleted, still being
    written, or not due after all are not among the result; ``run.looks`` holds the reads of those that are.
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
        gone_in_espo(run, entity_id)
        return None
    if isinstance(answer, PersonError):
        run.unread[entity_id] = answer
        return None
    changed = save_espo(run, answer)
    if answer.betnr is None:
        not_linked(run, entity_id)
        return None
    end_baseline(run.store, [entity_id], keep_betnr=answer.betnr)
    run.edited |= {entity_id} if changed else set()
    news = is_news(run, answer, person)
    if changed and person["espo_seen_at"] and not news and person["due_since"] is None:
        run.tally.drifted_espo.add(entity_id)
    if news:
        by_other = answer.modified_by != run.user_id
        mark_due(run.store, [entity_id], SEEN_MODIFIED, run.utcnow(), edited_by_other=by_other)
    if changed or answer.betnr != person["betnr"]:
        mark_due(run.store, [entity_id], CHANGED_IN_ESPO, run.utcnow())
    if is_unsettled(run, answer) or is_somebody_elses(run, answer):
        mark_due(run.store, [entity_id], SEEN_MODIFIED, run.utcnow())
        run.tally.waiting.add(entity_id)
        return None
    return EspoLook({**person, "changed": changed or answer.betnr != person["betnr"]}, answer, at)


def is_unsettled(run: Run, record: EspoRecord) -> bool:
    """A record saved a moment ago may be half written (espocrm-api.md, fact 4): by others, and by us if it looks so."""
    if record.modified_at is None or run.limits.settle_seconds <= 0:
        return False
    person = load_person(run.store, record.entity_id)
    if is_our_write(run, person, record) and not emptied(run, record):
        return False
    return record.modified_at > earlier(record.answered_at, run.limits.settle_seconds)


def emptied(run: Run, record: EspoRecord) -> bool:
    """Whether all phones, or all mails, that this run saw are gone."""
    seen = run.looks.get(record.entity_id)
    return seen is not None and bool({one.channel for one in seen.items} - {one.channel for one in record.items})


def is_our_write(run: Run, person: Person | None, record: EspoRecord) -> bool:
    """Whether the record still shows our own last write: exactly its time, and our user."""
    ours = person is not None and record.modified_at == person["own_modified_at"]
    return ours and record.modified_by == run.user_id


def is_somebody_elses(run: Run, record: EspoRecord) -> bool:
    """``syncing``, fresh, and not by our own journal: another sync is at it; left for the next run (rules.md §6)."""
    if record.status != "syncing" or record.modified_at is None or open_changes(run.store, [record.entity_id]):
        return False
    if is_our_write(run, load_person(run.store, record.entity_id), record):
        return False
    return record.modified_at > earlier(record.answered_at, SYNCING_PATIENCE)


def needs_advoware(run: Run, person: Person, record: EspoRecord) -> bool:
    """Whether the person is still due after its EspoCRM GET; if not, the mark goes, and Advoware is not asked."""
    soft = person["due_reason"] == SEEN_MODIFIED and person["last_sync_at"] is not None
    if not soft or person["changed"] or record.status in ASKING or types_moved(run.store, record.entity_id):
        return True
    if person["status"] != "clean" or open_changes(run.store, [record.entity_id]):
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
        deleted_in_advoware(run, record)
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


def poll_advoware(run: Run, taken: Sequence[str]) -> list[Read[Person, AdvoPerson]]:
    """Look at persons in Advoware though nobody said they changed; those that did become due and are returned.

    At least half of the budget goes to the oldest looks, the rest to persons that changed lately on either side.
    """
    polled: Sequence[Person] = persons_to_poll(
        run.store, run.utcnow(), run.limits.poll_budget, taken, run.limits.only
    )
    changed: list[Read[Person, AdvoPerson]] = []
    read = overlapped(
        run, "Advoware", polled, lambda one: run.advoware.fetch(one["betnr"]), run.limits.advo_readers
    )
    for batch in batches(read, BATCH):
        with run.store.what_happened():
            changed += [read for read in batch if drifted(run, read.key, read.answer)]
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


# What becomes of those that cannot be planned ----------------------------------------------------------------------


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


def set_apart_shared(run: Run, shared: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Two records with one betnr: neither is synced, and what was agreed with either ends (rules.md §6).

    A record whose double went becomes due, so that its conflict ends by itself.
    """
    with run.store.transaction():
        for betnr, entity_ids in shared:
            others = ", ".join(entity_ids)
            message = f"Several records carry betnr {betnr} ({others}); keep it in one of them."
            end_baseline(run.store, entity_ids)
            for entity_id in entity_ids:
                update_person(run.store, entity_id, **NO_TROUBLE | {"status": "conflict", "error": message})
                end_holds(run, entity_id, "the record shares its betnr with another")
            run.tally.skipped |= set(entity_ids)
        mark_due(run.store, no_longer_shared(run.store), "its betnr is its own again", run.utcnow())
