"""Whoever is not there as agreed waits, and ends when a later run sees the same (rules.md §1, Endings).

While a person waits, its baseline, status and entries stay as they are, and no other betnr is synced with it. What was
agreed ends (``etl.unlinking``) only when two regular runs, some minutes apart, saw the same.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.absence import note_absent
from etl.belief import SIDES, why_not
from etl.guard import configuration_changed
from etl.rules.guards import FEW_PERSONS, too_many_endings
from etl.store.baseline import betnr_agreed_with
from etl.store.due import mark_due, no_longer_shared
from etl.store.endings import (
    belonging_to_others,
    count_of_late,
    looked_at_since,
    open_waits,
    return_from_wait,
    save_waits,
    sharers,
)
from etl.store.holds import hold_persons, kept_absent, open_holds, release_holds
from etl.store.persons import load_persons, update_person
from etl.store.states import SEEN, Absence, HoldKind, Status
from etl.unlinking import end, several_carry, show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.run import Absent, Run

REGULAR_RUN_DECIDES = "nothing of it is touched, a regular run decides"
NAMED = 10
"""More persons than this are counted, not named."""

OTHER_CONFIGURATION = "the configuration is not the agreed one"
TOO_MANY = "{} persons were not there as agreed within a day, more than the guard lets end"
TIME, A_DAY = "%Y-%m-%d %H:%M:%S", timedelta(days=1)

THERE_AGAIN = "it is there again"
OWN_AGAIN = "its betnr is its own again"
NOT_ITS_OWN_YET = "its betnr was another record's, which waits"


def who_is_there(run: Run, ready: Sequence[str]) -> list[str]:
    """Return who of those read on both sides may be planned, and judge whoever was found absent until now.

    Whose betnr another record carries is absent, too. Whose betnr belonged to a record that waits, waits with it.
    """
    others = sharers(run.store, ready)
    for entity_id in others:
        if is_shared(run, others[entity_id]):
            note_absent(run, entity_id, Absence.SHARED_BETNR, run.looks[entity_id].advo.betnr)
    begin_waits(run)
    there = [entity_id for entity_id in ready if entity_id not in run.absent]
    with run.store.transaction():
        not_its_own = {*belonging_to_others(run.store, there), *(others.keys() & set(there))}
        mark_due(run.store, not_its_own, NOT_ITS_OWN_YET, run.utcnow())
        there = [entity_id for entity_id in there if entity_id not in not_its_own]
        let_return(run, there)
    run.tally.waiting |= not_its_own
    end_or_report(run)
    return there


def is_shared(run: Run, others: Iterable[str]) -> bool:
    """Whether another record with the betnr is there; one that was just not found neither counts nor is gone yet."""
    return any(not is_gone(run, entity_id) for entity_id in others)


def is_gone(run: Run, entity_id: str) -> bool:
    """Whether this run did not find a record in EspoCRM."""
    return entity_id in run.absent and run.absent[entity_id].kind is Absence.GONE_IN_ESPOCRM


def let_return(run: Run, there: Sequence[str]) -> None:
    """Who is there again, with its own betnr and alone on it, waits no more and is held no more for that."""
    return_from_wait(run.store, there, run.utcnow())
    absent = [one for one in open_holds(run.store) if one["kind"] == HoldKind.ENDINGS]
    back = [one["id"] for one in absent if one["entity_id"] in there]
    release_holds(run.store, back, now=run.utcnow(), by=THERE_AGAIN)


def judge_absent(run: Run) -> None:
    """Judge whoever was found absent since the last time: by the reads around the writes."""
    begin_waits(run)
    end_or_report(run)


def end_or_report(run: Run) -> None:
    """End whom an earlier run saw so, unless a guard holds them; a run that is not regular only reports."""
    news = sorted(run.absent.keys() - run.judged)
    run.judged |= set(news)
    waits = open_waits(run.store) if news else {}
    over = [entity_id for entity_id in news if entity_id in waits and is_over(run, waits[entity_id])]
    if run.notes_absence and news:
        hold_absent(run, news, waits)
    if not run.regular or not run.write:
        run.tally.notices += reports(run, news)
        return
    held = kept_absent(run.store)
    for entity_id in over:
        if entity_id not in held:
            end(run, entity_id, run.absent[entity_id])
    if over:
        mark_due(run.store, no_longer_shared(run.store), OWN_AGAIN, run.utcnow())


def begin_waits(run: Run) -> None:
    """Store what was seen; who waits already keeps the moment of the first look, if the same was seen then."""
    if not run.notes_absence:
        return
    news = {entity_id: absent for entity_id, absent in run.absent.items() if entity_id not in run.judged}
    with run.store.transaction():
        save_waits(run.store, [wait_of(run, entity_id, absent) for entity_id, absent in news.items()])
        for entity_id, absent in news.items():
            mark_due(run.store, [entity_id], SEEN[absent.kind], run.utcnow())


def wait_of(run: Run, entity_id: str, absent: Absent) -> dict[str, Any]:
    """The wait as the table keeps it."""
    return {
        "entity_id": entity_id,
        "betnr": betnr_agreed_with(run.store, entity_id),
        "kind": absent.kind,
        "seen_betnr": absent.seen_betnr,
        "run_id": run.id,
        "now": run.utcnow(),
    }


def end_approved(run: Run, entity_ids: Collection[str], operator: str) -> None:
    """End those an operator approved that are still not there; by a 404 that is not believed nobody ends."""
    for entity_id in sorted(entity_ids):
        if entity_id not in run.absent:
            continue
        why = why_unbelieved(run, entity_id)
        if why is None:
            end(run, entity_id, run.absent[entity_id], by=operator)
        else:
            run.tally.held.add(entity_id)
            run.tally.newly_held.add(entity_id)
            run.tally.notices.append(f"{entity_id} stays held: {SEEN[run.absent[entity_id].kind]}; {why}")
    mark_due(run.store, no_longer_shared(run.store), OWN_AGAIN, run.utcnow())


def hold_absent(run: Run, news: Sequence[str], waits: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep back who waits, where so many do, where the configuration is another, or where a 404 is not believed."""
    reasons = {entity_id: why for entity_id in news if (why := why_unbelieved(run, entity_id)) is not None}
    general = why_all(run)
    reasons = (dict.fromkeys(waits, general) if general else {}) | reasons
    newly = hold_persons(
        run.store,
        [
            {
                "run_id": run.id,
                "entity_id": entity_id,
                "betnr": waits[entity_id]["betnr"] or waits[entity_id]["seen_betnr"],
                "kind": HoldKind.ENDINGS,
                "reason": f"{SEEN[Absence(waits[entity_id]['kind'])]}; {why}",
                "held_at": run.utcnow(),
            }
            for entity_id, why in reasons.items()
        ],
    )
    run.tally.held |= set(reasons)
    run.tally.newly_held |= set(newly)
    counts = Counter(reasons[entity_id] for entity_id in newly)
    run.tally.notices += [f"{count} persons that were not there are held: {why}" for why, count in counts.items()]


def why_unbelieved(run: Run, entity_id: str) -> str | None:
    """Why this person's 404 does not count, where it is one and does not."""
    kind = run.absent[entity_id].kind
    return why_not(run, kind) if kind in SIDES else None


def why_all(run: Run) -> str | None:
    """Why everybody is held who waits; None when nobody is for that."""
    if configuration_changed(run):
        return OTHER_CONFIGURATION
    since = (moment_of(run.utcnow()) - A_DAY).strftime(TIME)
    endings = count_of_late(run.store, since)
    if endings <= min(FEW_PERSONS, run.limits.max_removals):
        return None
    many = too_many_endings(
        endings,
        looked_at_since(run.store, since),
        max_removals=run.limits.max_removals,
        max_removal_share=run.limits.max_removal_share,
    )
    return TOO_MANY.format(endings) if many else None


def is_over(run: Run, wait: Mapping[str, Any]) -> bool:
    """Whether an earlier run saw the same, long enough ago."""
    since = moment_of(run.utcnow()) - moment_of(wait["seen_at"])
    return wait["run_id"] != run.id and since >= timedelta(minutes=run.limits.endings_after_minutes)


def moment_of(written: str) -> datetime:
    """UTC text as a moment."""
    return datetime.strptime(written, TIME)  # noqa: DTZ007 - UTC text, by contract


def reports(run: Run, entity_ids: Sequence[str]) -> list[str]:
    """What people are told by a run that only reports: each person, or how many where there are many."""
    if len(entity_ids) > NAMED:
        counts = Counter(SEEN[run.absent[entity_id].kind] for entity_id in entity_ids)
        return [f"{count} persons: {what}; {REGULAR_RUN_DECIDES}" for what, count in counts.items()]
    betnrs = {one["entity_id"]: one["betnr"] for one in load_persons(run.store, entity_ids)}
    told = {entity_id: f"{SEEN[run.absent[entity_id].kind]}; {REGULAR_RUN_DECIDES}" for entity_id in entity_ids}
    return [f"{entity_id} / {betnrs.get(entity_id) or 'no betnr'}: {what}" for entity_id, what in told.items()]


# Two records with one betnr -------------------------------------------------------------------------------------------


def note_shared(run: Run, shared: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Two records with one betnr: neither is synced; who stands on ``conflict`` for it already stays there.

    A record whose double went becomes due, so that its conflict ends by itself.
    """
    statuses = {
        one["entity_id"]: one["status"] for one in load_persons(run.store, [one for _, ids in shared for one in ids])
    }
    for betnr, entity_ids in shared:
        there = [entity_id for entity_id in entity_ids if not is_gone(run, entity_id)]
        for entity_id in there:
            if statuses[entity_id] == Status.CONFLICT:
                run.tally.skipped.add(entity_id)
                update_person(run.store, entity_id, error=several_carry(run, betnr))
                show(run, entity_id)
            elif len(there) > 1:
                note_absent(run, entity_id, Absence.SHARED_BETNR, betnr)
            else:
                run.tally.waiting.add(entity_id)
    mark_due(run.store, no_longer_shared(run.store), OWN_AGAIN, run.utcnow())
